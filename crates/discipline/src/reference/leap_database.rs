//! Leap second databases: a list in IERS/NIST form or a time zone with leap seconds
//! (discipline chapter, section 11.1).
//!
//! The bytes come from the owner, who reads the files; both forms are files that somebody
//! else may write, so nothing in them is trusted.

mod list;
mod zone;

use crate::journal::Journal;

use super::driver::PendingLeap;

pub use list::{LeapList, LeapListError};
pub use zone::{LeapZone, LeapZoneError};

/// Seconds in a day.
const DAY_S: i64 = 86_400;
/// Lookups are kept for this long, seconds.
const CACHE_PERIOD_S: i64 = DAY_S / 2;
/// TAI − UTC before the first leap second, seconds.
const FIRST_TAI_OFFSET_S: i32 = 10;

/// 2012-06-30 12:00 UTC, a day that ended with an inserted second.
const CHECK_WITH_LEAP_S: i64 = 1_341_057_600;
/// 2012-12-31 12:00 UTC, a day that ended without.
const CHECK_WITHOUT_LEAP_S: i64 = 1_356_955_200;

/// What a database says about a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeapLookup {
    /// The leap second at the end of that UTC day.
    pub leap: PendingLeap,
    /// TAI − UTC at that time, seconds; `None` when the database cannot be read.
    pub tai_offset_s: Option<i32>,
}

/// Which kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeapDatabaseKind {
    /// `leapseclist`: the name is the file's.
    List,
    /// `leapsectz`: the name is the zone's, the bytes are its TZif file.
    Zone,
}

/// Reads the database's file anew; `None` when it cannot be read.
pub type LeapReader = Box<dyn FnMut() -> Option<Vec<u8>> + Send>;

/// A leap second database that has passed its check.
pub struct LeapDatabase {
    kind: LeapDatabaseKind,
    name: String,
    read: LeapReader,
    cache: Option<(i64, LeapLookup)>,
}

impl std::fmt::Debug for LeapDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeapDatabase")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl LeapDatabase {
    /// A database, if it passes the check with known leap seconds.
    pub fn open(
        kind: LeapDatabaseKind,
        name: String,
        read: LeapReader,
        journal: &mut Journal,
    ) -> Option<Self> {
        let mut database = Self {
            kind,
            name,
            read,
            cache: None,
        };
        let with = database.read_for(CHECK_WITH_LEAP_S, journal);
        let without = database.read_for(CHECK_WITHOUT_LEAP_S, journal);
        let expected = |leap, offset_s| LeapLookup {
            leap,
            tai_offset_s: Some(offset_s),
        };
        if with == expected(PendingLeap::Insert, 34) && without == expected(PendingLeap::None, 35) {
            return Some(database);
        }
        let name = &database.name;
        journal.warning(match kind {
            LeapDatabaseKind::List => format!("Leap second list {name} failed check, ignoring"),
            LeapDatabaseKind::Zone => {
                format!("Timezone {name} failed leap second check, ignoring")
            }
        });
        None
    }

    /// Opens what is configured; the list wins when both pass.
    pub fn choose(
        list: Option<(String, LeapReader)>,
        zone: Option<(String, LeapReader)>,
        journal: &mut Journal,
    ) -> Option<Self> {
        let zone =
            zone.and_then(|(name, read)| Self::open(LeapDatabaseKind::Zone, name, read, journal));
        let list =
            list.and_then(|(name, read)| Self::open(LeapDatabaseKind::List, name, read, journal));
        let chosen = list.or(zone)?;
        let name = &chosen.name;
        journal.info(match chosen.kind {
            LeapDatabaseKind::List => format!("Using leap second list {name}"),
            LeapDatabaseKind::Zone => {
                format!("Using {name} timezone to obtain leap second data")
            }
        });
        Some(chosen)
    }

    /// What the database says about a time (POSIX seconds). The file is read once for
    /// each half day.
    pub fn look_up(&mut self, seconds: i64, journal: &mut Journal) -> LeapLookup {
        let period = seconds.div_euclid(CACHE_PERIOD_S);
        match self.cache {
            Some((cached, lookup)) if cached == period => lookup,
            _ => {
                let lookup = self.read_for(seconds, journal);
                self.cache = Some((period, lookup));
                lookup
            }
        }
    }

    fn read_for(&mut self, seconds: i64, journal: &mut Journal) -> LeapLookup {
        let bytes = (self.read)();
        let midnight_s = seconds
            .div_euclid(DAY_S)
            .saturating_add(1)
            .saturating_mul(DAY_S);
        let name = &self.name;
        match self.kind {
            LeapDatabaseKind::Zone => bytes
                .and_then(|bytes| LeapZone::parse(&bytes).ok())
                .map_or_else(LeapLookup::default, |zone| zone.look_up(midnight_s)),
            LeapDatabaseKind::List => {
                let Some(bytes) = bytes else {
                    journal.error(format!("Failed to open leap seconds list {name}"));
                    return LeapLookup::default();
                };
                let Ok(list) = LeapList::parse(&bytes) else {
                    journal.error(format!("Failed to parse leap seconds list {name}"));
                    return LeapLookup::default();
                };
                if midnight_s >= list.expiry_s() {
                    journal.warning(format!("Leap second list {name} needs update"));
                }
                list.look_up(midnight_s)
            }
        }
    }
}

/// Looks up the day ending at `midnight_s` in changes of TAI − UTC, given as (POSIX
/// second, new value) in order.
fn look_up_changes(changes: &[(i64, i32)], midnight_s: i64) -> LeapLookup {
    let mut offset_s = FIRST_TAI_OFFSET_S;
    let mut leap = PendingLeap::None;
    for &(at_s, value_s) in changes {
        if at_s < midnight_s {
            offset_s = value_s;
        } else if at_s == midnight_s {
            leap = match value_s.cmp(&offset_s) {
                std::cmp::Ordering::Greater => PendingLeap::Insert,
                std::cmp::Ordering::Less => PendingLeap::Delete,
                std::cmp::Ordering::Equal => PendingLeap::None,
            };
        }
    }
    LeapLookup {
        leap,
        tai_offset_s: Some(offset_s),
    }
}

#[cfg(test)]
mod tests;
