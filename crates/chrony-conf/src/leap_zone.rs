//! Leap seconds in a time zone file, as `right/UTC` has them (RFC 9636).
//!
//! The reference asks the C library for local times in the zone; the file's own table
//! says the same without changing the process' time zone.

use std::path::PathBuf;

use crate::leap_table::{LeapEntry, LeapTable, TAI_OFFSET_FIRST_S};

/// Folder of the time zone database.
const ZONE_FOLDER: &str = "/usr/share/zoneinfo";
/// Length of a header (RFC 9636, section 3.1).
const HEADER_LENGTH: usize = 44;
/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// The file of a zone named as in the `TZ` variable.
pub fn path(zone: &str) -> PathBuf {
    let name = zone.strip_prefix(':').unwrap_or(zone);
    PathBuf::from(ZONE_FOLDER).join(crate::text::to_path(name))
}

/// Counts of a header, in the file's order.
struct Header {
    version: u8,
    is_ut: usize,
    is_standard: usize,
    leaps: usize,
    times: usize,
    types: usize,
    characters: usize,
}

impl Header {
    fn read(content: &[u8]) -> Option<Self> {
        let count = |index: usize| {
            let start = 20 + 4 * index;
            let bytes: [u8; 4] = content.get(start..start + 4)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(bytes)).ok()
        };
        if content.len() < HEADER_LENGTH || !content.starts_with(b"TZif") {
            return None;
        }
        Some(Self {
            version: *content.get(4)?,
            is_ut: count(0)?,
            is_standard: count(1)?,
            leaps: count(2)?,
            times: count(3)?,
            types: count(4)?,
            characters: count(5)?,
        })
    }

    /// Offset of the leap second records in a data block, and the block's length.
    fn layout(&self, time_octets: usize) -> Option<(usize, usize)> {
        let leaps = self.times.checked_mul(time_octets + 1)?;
        let leaps = leaps
            .checked_add(self.types.checked_mul(6)?)?
            .checked_add(self.characters)?;
        let end = leaps.checked_add(self.leaps.checked_mul(time_octets + 4)?)?;
        Some((
            leaps,
            end.checked_add(self.is_standard)?.checked_add(self.is_ut)?,
        ))
    }
}

/// Parses the leap seconds of a time zone file; none if it is not one.
pub fn parse(content: &[u8]) -> Option<LeapTable> {
    let first = Header::read(content)?;
    let body = content.get(HEADER_LENGTH..)?;
    if first.version == 0 {
        return records(body, &first, 4);
    }
    // The second block has the same data with times of 64 bits.
    let second = body.get(first.layout(4)?.1..)?;
    records(second.get(HEADER_LENGTH..)?, &Header::read(second)?, 8)
}

fn records(block: &[u8], header: &Header, time_octets: usize) -> Option<LeapTable> {
    let (start, length) = header.layout(time_octets)?;
    block.get(..length)?;
    let bytes = block.get(start..start + header.leaps * (time_octets + 4))?;
    let mut table = LeapTable::default();
    let mut correction = 0i64;
    for record in bytes.chunks_exact(time_octets + 4) {
        let (time, next) = record.split_at_checked(time_octets)?;
        let occurrence = match time_octets {
            4 => i64::from(i32::from_be_bytes(time.try_into().ok()?)),
            _ => i64::from_be_bytes(time.try_into().ok()?),
        };
        let next = i64::from(i32::from_be_bytes(next.try_into().ok()?));
        // Occurrences count the leap seconds before them; what is left is the midnight
        // after the leap second, but for a second where one is deleted.
        let near_s = occurrence.saturating_sub(correction);
        let from_s = near_s
            .saturating_add(DAY_S / 2)
            .div_euclid(DAY_S)
            .saturating_mul(DAY_S);
        if next == correction {
            // Without a change the record is the expiry of the table.
            table.expiry_s = Some(near_s);
        } else {
            let tai_offset_s = i32::try_from(next).ok()?.checked_add(TAI_OFFSET_FIRST_S)?;
            table.entries.push(LeapEntry {
                from_s,
                tai_offset_s,
            });
        }
        correction = next;
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leap_table::Leap;
    use proptest::prelude::*;

    /// A version 2 file with an empty first block and these leap seconds.
    fn zone_file(leaps: &[(i64, i32)]) -> Vec<u8> {
        let header = |leaps: u32| {
            let counts = [0, 0, leaps, 0, 1, 4].map(u32::to_be_bytes).concat();
            [b"TZif2".as_slice(), &[0; 15], &counts].concat()
        };
        let types = [0, 0, 0, 0, 0, 0, b'U', b'T', b'C', 0];
        let mut file = [
            header(0),
            types.to_vec(),
            header(leaps.len() as u32),
            types.to_vec(),
        ]
        .concat();
        for (time, correction) in leaps {
            file.extend(time.to_be_bytes());
            file.extend(correction.to_be_bytes());
        }
        file.extend(b"\nUTC0\n");
        file
    }

    #[test]
    fn occurrences_count_earlier_leap_seconds() {
        // 1 July 1972 and 1 January 1973; a deletion is made up for 1 July 1973.
        let table = parse(&zone_file(&[
            (78_796_800, 1),
            (94_694_401, 2),
            (110_332_801, 1),
        ]))
        .expect("file");
        let lookup = |time_s| (table.lookup(time_s).leap, table.lookup(time_s).tai_offset_s);
        assert_eq!(lookup(78_796_799), (Leap::Insert, 10));
        assert_eq!(lookup(94_694_399), (Leap::Insert, 11));
        assert_eq!(lookup(94_694_400), (Leap::None, 12));
        assert_eq!(lookup(110_332_798), (Leap::Delete, 12));
        assert_eq!(table.entries.len(), 3);
    }

    #[test]
    fn a_record_without_change_is_the_expiry() {
        let table = parse(&zone_file(&[(78_796_800, 1), (94_694_401, 1)])).expect("file");
        assert_eq!((table.entries.len(), table.expiry_s), (1, Some(94_694_400)));
    }

    #[test]
    fn a_zone_without_leap_seconds_fails_the_check() {
        assert!(parse(&zone_file(&[])).is_some_and(|table| !table.passes_check()));
        assert_eq!(parse(b"UTC"), None);
    }

    proptest! {
        #[test]
        fn damaged_files_are_read(position in 0usize..120, byte: u8, cut in 0usize..120) {
            let mut file = zone_file(&[(78_796_800, 1)]);
            if let Some(place) = file.get_mut(position) {
                *place = byte;
            }
            file.truncate(cut);
            parse(&file);
        }
    }
}
