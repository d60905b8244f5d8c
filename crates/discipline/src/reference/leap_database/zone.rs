//! Leap seconds of a TZif file (RFC 9636), for example of the zone `right/UTC`.

use super::{FIRST_TAI_OFFSET_S, LeapLookup, look_up_changes};

/// Length of a TZif header (RFC 9636 section 3.1).
const HEADER_LENGTH: usize = 44;

/// Largest count in a header that is believed; the largest real one is a few thousand.
const MAX_COUNT: usize = 1 << 20;

/// Half a day, to round to midnight, seconds.
const HALF_DAY_S: i64 = 43_200;

/// Why a file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeapZoneError {
    /// No TZif header.
    Header,
    /// The file is shorter than its counts say.
    Short,
}

/// The leap seconds of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeapZone {
    /// (POSIX second, TAI − UTC from then on).
    changes: Vec<(i64, i32)>,
}

/// The counts of a header, in the order of the data block.
struct Header {
    version: u8,
    transitions: usize,
    types: usize,
    characters: usize,
    leaps: usize,
    standard_indicators: usize,
    utc_indicators: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, LeapZoneError> {
        let header = bytes.get(..HEADER_LENGTH).ok_or(LeapZoneError::Header)?;
        if !header.starts_with(b"TZif") {
            return Err(LeapZoneError::Header);
        }
        let count = |index: usize| {
            let start = 20 + 4 * index;
            integer(header.get(start..start + 4).unwrap_or_default()) as u32 as usize
        };
        if (0..6).any(|index| count(index) > MAX_COUNT) {
            return Err(LeapZoneError::Short);
        }
        Ok(Self {
            version: header.get(4).copied().unwrap_or_default(),
            utc_indicators: count(0),
            standard_indicators: count(1),
            leaps: count(2),
            transitions: count(3),
            types: count(4),
            characters: count(5),
        })
    }

    /// Bytes before the leap second records.
    fn before_leaps(&self, time_length: usize) -> usize {
        self.transitions * (time_length + 1) + self.types * 6 + self.characters
    }

    /// Bytes of the whole data block.
    fn data_length(&self, time_length: usize) -> usize {
        self.before_leaps(time_length)
            + self.leaps * (time_length + 4)
            + self.standard_indicators
            + self.utc_indicators
    }
}

/// A big-endian two's complement integer of up to 8 bytes.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes
        .iter()
        .fold(if negative { -1 } else { 0 }, |value, &byte| {
            (value << 8) | i64::from(byte)
        })
}

impl LeapZone {
    /// Parses a TZif file of any version.
    ///
    /// # Errors
    ///
    /// See [`LeapZoneError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LeapZoneError> {
        let first = Header::parse(bytes)?;
        if first.version == 0 {
            return Self::parse_leaps(&first, 4, &bytes[HEADER_LENGTH..]);
        }
        let rest = bytes
            .get(HEADER_LENGTH + first.data_length(4)..)
            .ok_or(LeapZoneError::Short)?;
        let second = Header::parse(rest)?;
        Self::parse_leaps(&second, 8, rest.get(HEADER_LENGTH..).unwrap_or_default())
    }

    fn parse_leaps(
        header: &Header,
        time_length: usize,
        data: &[u8],
    ) -> Result<Self, LeapZoneError> {
        let start = header.before_leaps(time_length);
        let record_length = time_length + 4;
        let records = data
            .get(start..start + header.leaps * record_length)
            .ok_or(LeapZoneError::Short)?;
        let mut before = 0;
        let changes = records
            .chunks_exact(record_length)
            .map(|record| {
                let (time, correction) = record.split_at(time_length);
                let correction = integer(correction) as i32;
                let at_s = integer(time).saturating_sub(before);
                before = i64::from(correction);
                (
                    midnight(at_s),
                    FIRST_TAI_OFFSET_S.saturating_add(correction),
                )
            })
            .collect();
        Ok(Self { changes })
    }

    /// The leap second at a midnight (POSIX seconds), and TAI − UTC before it.
    pub fn look_up(&self, midnight_s: i64) -> LeapLookup {
        look_up_changes(&self.changes, midnight_s)
    }
}

/// The midnight nearest to a time. An inserted second is recorded at midnight, a deleted
/// one a second before.
fn midnight(seconds: i64) -> i64 {
    let day_s = 2 * HALF_DAY_S;
    seconds.saturating_add(HALF_DAY_S).div_euclid(day_s) * day_s
}
