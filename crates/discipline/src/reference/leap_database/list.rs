//! `leap-seconds.list` of IERS and NIST.

use super::{LeapLookup, look_up_changes};

/// Seconds from 1900 to 1970.
const EPOCH_FROM_1900_S: i64 = 2_208_988_800;

/// Why a list was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeapListError {
    /// A line that is neither a comment nor two numbers.
    Line,
    /// No line `#$` with the time of the last update.
    NoUpdateTime,
    /// No line `#@` with the time of expiry.
    NoExpiry,
}

/// A parsed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeapList {
    /// (POSIX second, TAI − UTC from then on).
    changes: Vec<(i64, i32)>,
    expiry_s: i64,
}

impl LeapList {
    /// Parses the file.
    ///
    /// # Errors
    ///
    /// See [`LeapListError`]; nothing of a list with a bad line is used.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeapListError> {
        let text = String::from_utf8_lossy(bytes);
        let mut changes = Vec::new();
        let (mut updated, mut expiry_s) = (false, None);
        for line in text.lines() {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("#$") {
                posix_seconds(rest).ok_or(LeapListError::Line)?;
                updated = true;
            } else if let Some(rest) = line.strip_prefix("#@") {
                expiry_s = Some(posix_seconds(rest).ok_or(LeapListError::Line)?);
            } else if !(line.is_empty() || line.starts_with('#')) {
                changes.push(change(line).ok_or(LeapListError::Line)?);
            }
        }
        if !updated {
            return Err(LeapListError::NoUpdateTime);
        }
        Ok(Self {
            changes,
            expiry_s: expiry_s.ok_or(LeapListError::NoExpiry)?,
        })
    }

    /// When the list ends, POSIX seconds.
    pub fn expiry_s(&self) -> i64 {
        self.expiry_s
    }

    /// The leap second at a midnight (POSIX seconds), and TAI − UTC before it.
    pub fn look_up(&self, midnight_s: i64) -> LeapLookup {
        look_up_changes(&self.changes, midnight_s)
    }
}

/// The first number, seconds since 1900, as POSIX seconds.
fn posix_seconds(text: &str) -> Option<i64> {
    let word = text.split_whitespace().next()?;
    word.parse::<i64>().ok()?.checked_sub(EPOCH_FROM_1900_S)
}

fn change(line: &str) -> Option<(i64, i32)> {
    let offset_s = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((posix_seconds(line)?, offset_s))
}
