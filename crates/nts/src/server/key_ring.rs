//! The life of the server keys: when they rotate, what is loaded and saved and which
//! messages that gives (NTS chapter, sections 8.1 and 8.3).

use std::sync::Arc;

use crate::random::Random;
use crate::server::key_file::{KeyFile, KeyFileError};
use crate::server::keys::ServerKeys;
use crate::time::RunningTime;

/// Owner of the current [`ServerKeys`]. The caller reads and writes the file.
#[derive(Debug)]
pub struct KeyRing {
    keys: Arc<ServerKeys>,
    /// `ntsrotate` in seconds; 0: no rotation, nothing is ever saved.
    interval_s: u32,
    last_rotation: RunningTime,
}

impl KeyRing {
    /// New random keys, with the interval of `ntsrotate`.
    pub fn new(interval_s: u32, now: RunningTime, random: &mut dyn Random) -> Self {
        Self {
            keys: Arc::new(ServerKeys::generate(random)),
            interval_s,
            last_rotation: now,
        }
    }

    /// The keys in force; threads keep the `Arc` until they are told of a new one.
    pub const fn keys(&self) -> &Arc<ServerKeys> {
        &self.keys
    }

    /// Takes over the content of `ntskeys`: at start, and on `rekey` when
    /// [`Self::reloads_on_rekey`]. The log line after it is `Loaded server NTS keys`
    /// (information).
    ///
    /// # Errors
    ///
    /// The present keys stay; the log line is `Could not load server NTS keys` (error).
    pub fn load(&mut self, text: &str, now: RunningTime) -> Result<(), KeyFileError> {
        let file = KeyFile::parse(text)?;
        self.keys = Arc::new(file.keys);
        self.last_rotation = now.plus_s(-file.age_s);
        Ok(())
    }

    /// Whether keys are saved at all: at start when none could be loaded, after each
    /// rotation, on `dump` and at exit. Not with `ntsrotate 0`, so that a shared file is
    /// only written by the server that rotates it.
    pub const fn saves(&self) -> bool {
        self.interval_s > 0
    }

    /// Whether `rekey` loads the file again: only with `ntsrotate 0`.
    pub const fn reloads_on_rekey(&self) -> bool {
        self.interval_s == 0
    }

    /// The file as it has to be written now.
    pub fn to_text(&self, now: RunningTime) -> String {
        KeyFile {
            keys: ServerKeys::clone(&self.keys),
            age_s: now.since(self.last_rotation).max(0.0),
        }
        .to_text()
    }

    /// When the next rotation is due; `None` with `ntsrotate 0`. A time that has passed
    /// means at once.
    pub fn next_rotation(&self) -> Option<RunningTime> {
        (self.interval_s > 0).then(|| self.last_rotation.plus_s(f64::from(self.interval_s)))
    }

    /// Rotates if it is due and says whether it did (then the file has to be saved).
    pub fn rotate_if_due(&mut self, now: RunningTime, random: &mut dyn Random) -> bool {
        if self.next_rotation().is_none_or(|due| now < due) {
            return false;
        }
        self.keys = Arc::new(self.keys.rotated(random));
        self.last_rotation = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{counting, text};

    #[test]
    fn loads_rotates_and_saves() {
        let mut random = counting(3);
        let start = RunningTime::from_ns(5_000_000_000);
        let mut ring = KeyRing::new(1000, start, &mut random);
        assert_eq!(ring.next_rotation(), Some(start.plus_s(1000.0)));
        ring.load(&text("ntskeys_30"), start).unwrap();
        assert_eq!(ring.next_rotation(), Some(start.plus_s(900.0)));
        assert_eq!(ring.to_text(start), text("ntskeys_30"));
        assert_eq!(
            ring.to_text(start.plus_s(1.25)),
            text("ntskeys_30").replace("100.0", "101.2")
        );
        assert!(!ring.rotate_if_due(start.plus_s(899.9), &mut random));
        assert!(ring.rotate_if_due(start.plus_s(900.0), &mut random));
        assert_eq!(ring.keys().current().id(), 0xa500_0003);
        assert!(ring.keys().by_id(0xa500_0000).is_none());
        assert!(ring.load("NKS1\n", start).is_err());
        assert_eq!(ring.keys().current().id(), 0xa500_0003);
    }

    #[test]
    fn without_rotation() {
        let mut random = counting(3);
        let mut ring = KeyRing::new(0, RunningTime::ZERO, &mut random);
        assert!(!ring.saves() && ring.reloads_on_rekey());
        assert!(!ring.rotate_if_due(RunningTime::from_ns(i64::MAX), &mut random));
        ring.load(&text("ntskeys_15"), RunningTime::ZERO).unwrap();
        assert_eq!(ring.next_rotation(), None);
    }

    /// A key file older than the interval is rotated at once.
    #[test]
    fn overdue() {
        let mut random = counting(3);
        let mut ring = KeyRing::new(50, RunningTime::ZERO, &mut random);
        ring.load(&text("ntskeys_15"), RunningTime::ZERO).unwrap();
        assert!(ring.rotate_if_due(RunningTime::ZERO, &mut random));
        assert!(!ring.rotate_if_due(RunningTime::ZERO, &mut random));
    }
}
