//! Leap seconds known from a list or a time zone (discipline chapter, section 11.1).
//!
//! Reading, checking and parsing the files is the business of crate `chrony-conf`
//! (`leap::choose`, `LeapSource::read`); the owner wraps it in a [`LeapDatabase`].

use crate::journal::Journal;

use super::driver::PendingLeap;

/// Lookups are kept for this long, seconds.
const CACHE_PERIOD_S: i64 = 43_200;

/// What a database says about a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeapLookup {
    /// The leap second at the end of that UTC day.
    pub leap: PendingLeap,
    /// TAI − UTC at that time, seconds; `None` when the database cannot be read.
    pub tai_offset_s: Option<i32>,
}

/// Looks up a time (POSIX seconds) in the files, with the messages of the lookup
/// (`Failed to open leap seconds list %s`, `Leap second list %s needs update`, …).
pub type LeapFileLookup = Box<dyn FnMut(i64, &mut Journal) -> LeapLookup + Send>;

/// A leap second database.
pub struct LeapDatabase {
    look_up: LeapFileLookup,
    cache: Option<(i64, LeapLookup)>,
}

impl std::fmt::Debug for LeapDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeapDatabase")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl LeapDatabase {
    /// A database that has passed its check.
    pub fn new(look_up: LeapFileLookup) -> Self {
        Self {
            look_up,
            cache: None,
        }
    }

    /// What the database says about a time (POSIX seconds). The files are asked once for
    /// each half day of UTC.
    pub fn look_up(&mut self, seconds: i64, journal: &mut Journal) -> LeapLookup {
        let period = seconds.div_euclid(CACHE_PERIOD_S);
        match self.cache {
            Some((cached, lookup)) if cached == period => lookup,
            _ => {
                let lookup = (self.look_up)(seconds, journal);
                self.cache = Some((period, lookup));
                lookup
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::testing::messages;

    #[test]
    fn files_are_asked_once_for_each_half_day() {
        let mut database = LeapDatabase::new(Box::new(|seconds, journal| {
            journal.info(format!("asked {seconds}"));
            LeapLookup {
                leap: PendingLeap::Insert,
                tai_offset_s: Some(37),
            }
        }));
        let mut journal = Journal::new();
        for seconds in [0, 43_199, 43_200, 86_399, 86_400] {
            let lookup = database.look_up(seconds, &mut journal);
            assert_eq!(lookup.tai_offset_s, Some(37));
        }
        assert_eq!(
            messages(&mut journal),
            ["asked 0", "asked 43200", "asked 86400"]
        );
    }
}
