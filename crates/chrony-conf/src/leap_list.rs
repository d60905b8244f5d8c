//! Leap second lists of IERS and NIST (configuration chapter, section 7.4).

use crate::leap_table::{LeapEntry, LeapTable};
use crate::lexer;
use crate::numbers;

/// Seconds from 1900, the list's epoch, to 1970.
const EPOCH_DIFFERENCE_S: i64 = 2_208_988_800;

/// Parses a list; none when a line cannot be parsed, or when the time of the last update
/// or the expiry is missing.
pub fn parse(content: &[u8]) -> Option<LeapTable> {
    let mut table = LeapTable::default();
    let mut updated = false;
    for line in lexer::lines(content) {
        let words = lexer::split(&line.text);
        let mut numbers = words
            .iter()
            .map(|word| numbers::integer_prefix(word.text).map(|found| found.0));
        match words.first().map(|word| word.text) {
            None => {}
            Some("#$") => updated = numbers.nth(1)?? != 0,
            Some("#@") => {
                let time = numbers.nth(1)??;
                table.expiry_s = (time != 0).then(|| time.saturating_sub(EPOCH_DIFFERENCE_S));
            }
            Some(word) if word.starts_with('#') => {}
            Some(_) => {
                let (time, offset) = (numbers.next()??, numbers.next()??);
                table.entries.push(LeapEntry {
                    from_s: time.saturating_sub(EPOCH_DIFFERENCE_S),
                    tai_offset_s: i32::try_from(offset).ok()?,
                });
            }
        }
    }
    (updated && table.expiry_s.is_some()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leap_table::Leap;
    use proptest::prelude::*;

    const LIST: &[u8] = b"#$\t 3676924800\n#@ 3900000000\n\n#h 1 2\n2272060800 10 # 1 Jan 1972\n\
        2287785600 11\n3439756800 34\n3550089600 35\n3644697600 36\n";

    #[test]
    fn known_days_are_found() {
        let table = parse(LIST).expect("list");
        assert!(table.passes_check());
        let answer = |time_s| table.lookup(time_s);
        // The last second of June 2015, and the first of July.
        assert_eq!(answer(1_435_708_799).leap, Leap::Insert);
        assert_eq!(answer(1_435_708_799).tai_offset_s, 35);
        assert_eq!(answer(1_435_708_800).leap, Leap::None);
        assert_eq!(answer(1_435_708_800).tai_offset_s, 36);
        assert_eq!(answer(0).tai_offset_s, 10);
        assert!(!answer(1_435_708_800).needs_update);
        assert!(answer(1_800_000_000).needs_update);
    }

    #[test]
    fn both_times_are_required() {
        for missing in [
            "#$ 1\n2272060800 10\n",
            "#@ 1\n",
            "#$ 0\n#@ 1\n",
            "#$ 1\n#@ 1\nabc\n",
            "#$ 1\n#@ 1\n5\n",
        ] {
            assert_eq!(parse(missing.as_bytes()), None, "{missing}");
        }
        assert!(parse(b"#$ 1\n#@ 1\n").is_some_and(|table| !table.passes_check()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(content in proptest::collection::vec(any::<u8>(), 0..200), time_s: i64) {
            if let Some(table) = parse(&content) {
                table.lookup(time_s);
            }
        }
    }
}
