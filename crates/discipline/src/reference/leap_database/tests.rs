use super::*;
use crate::reference::testing::messages;
use proptest::prelude::*;

/// From the published list: first two, 2012, 2015 and 2016; expires 2027-06-28.
const LIST: &str = "#\tcomment\n#$\t3960835200\n#@ 4023216000\n\n\
    2272060800\t10\t# 1 Jan 1972\n2287785600\t11\t# 1 Jul 1972\n\
    3439756800 34 # 1 Jan 2009\n3550089600 35 # 1 Jul 2012\n\
    3644697600 36\n3692217600 37\n#h 1 2 3 4 5\n";

/// 2016-12-31 12:00 UTC.
const LEAP_2016_S: i64 = 1_483_185_600;
/// 2030-01-01 12:00 UTC.
const AFTER_EXPIRY_S: i64 = 1_893_499_200;

fn reader(bytes: Option<Vec<u8>>) -> LeapReader {
    Box::new(move || bytes.clone())
}

/// A TZif file with leap seconds (POSIX midnights and total corrections after them).
fn zone(version: u8, leaps: &[(i64, i32)]) -> Vec<u8> {
    let block = |time_length: usize| {
        let mut block = b"TZif".to_vec();
        block.push(version);
        block.extend([0; 15]);
        // isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt
        for count in [1, 1, leaps.len() as u32, 1, 1, 4] {
            block.extend(count.to_be_bytes());
        }
        block.extend(vec![0; time_length + 1]);
        block.extend([0; 6]);
        block.extend(b"UTC\0");
        let mut before = 0;
        for &(midnight_s, correction) in leaps {
            let time = midnight_s + i64::from(before);
            block.extend(&time.to_be_bytes()[8 - time_length..]);
            block.extend(correction.to_be_bytes());
            before = correction;
        }
        block.extend([0, 0]);
        block
    };
    let mut file = block(4);
    if version > 0 {
        file.extend(block(8));
        file.extend(b"\nUTC0\n");
    }
    file
}

/// Leap seconds of the real table around the check, all before them in one.
fn zone_leaps() -> Vec<(i64, i32)> {
    vec![
        (78_796_800, 23),
        (1_230_768_000, 24),
        (1_341_100_800, 25),
        (1_435_708_800, 26),
        (1_483_228_800, 27),
    ]
}

fn with_leap(offset_s: i32) -> LeapLookup {
    LeapLookup {
        leap: PendingLeap::Insert,
        tai_offset_s: Some(offset_s),
    }
}

fn without(offset_s: i32) -> LeapLookup {
    LeapLookup {
        leap: PendingLeap::None,
        tai_offset_s: Some(offset_s),
    }
}

#[test]
fn a_list_is_looked_up() {
    let mut journal = Journal::new();
    let read = reader(Some(LIST.into()));
    let mut list = LeapDatabase::choose(Some(("/list".into(), read)), None, &mut journal)
        .expect("passes its check");
    assert_eq!(list.look_up(LEAP_2016_S, &mut journal), with_leap(36));
    assert_eq!(
        list.look_up(LEAP_2016_S + 86_400, &mut journal),
        without(37)
    );
    assert_eq!(list.look_up(AFTER_EXPIRY_S, &mut journal), without(37));
    assert_eq!(list.look_up(AFTER_EXPIRY_S + 1, &mut journal), without(37));
    assert_eq!(
        messages(&mut journal),
        [
            "Using leap second list /list",
            "Leap second list /list needs update"
        ]
    );
}

#[test]
fn a_zone_is_looked_up_in_both_versions() {
    for version in [0, b'2', b'4'] {
        let mut journal = Journal::new();
        let read = reader(Some(zone(version, &zone_leaps())));
        let mut zone = LeapDatabase::choose(None, Some(("right/UTC".into(), read)), &mut journal)
            .expect("passes its check");
        assert_eq!(zone.look_up(LEAP_2016_S, &mut journal), with_leap(36));
        assert_eq!(zone.look_up(AFTER_EXPIRY_S, &mut journal), without(37));
        assert_eq!(
            messages(&mut journal),
            ["Using right/UTC timezone to obtain leap second data"]
        );
    }
}

#[test]
fn a_deleted_second_is_found() {
    // The second 23:59:59 before 2030-01-01 is left out.
    let mut leaps = zone_leaps();
    leaps.push((1_893_456_000 - 1, 26));
    let zone = LeapZone::parse(&zone(b'2', &leaps)).expect("parses");
    assert_eq!(
        zone.look_up(1_893_456_000),
        LeapLookup {
            leap: PendingLeap::Delete,
            tai_offset_s: Some(37)
        }
    );
}

#[test]
fn failures_are_told() {
    let mut journal = Journal::new();
    let mut open = |list: Option<Vec<u8>>| {
        LeapDatabase::choose(Some(("/l".into(), reader(list))), None, &mut journal).is_some()
    };
    assert!(!open(None));
    assert!(!open(Some(b"3692217600 x\n".to_vec())));
    assert!(!open(Some(LIST.replace("3550089600 35", "").into_bytes())));
    let texts = messages(&mut journal);
    assert_eq!(
        texts,
        [
            "Failed to open leap seconds list /l",
            "Failed to open leap seconds list /l",
            "Leap second list /l failed check, ignoring",
            "Failed to parse leap seconds list /l",
            "Failed to parse leap seconds list /l",
            "Leap second list /l failed check, ignoring",
            "Leap second list /l failed check, ignoring",
        ]
    );
    let plain = reader(Some(zone(b'2', &[])));
    assert!(LeapDatabase::choose(None, Some(("UTC".into(), plain)), &mut journal).is_none());
    assert_eq!(
        messages(&mut journal),
        ["Timezone UTC failed leap second check, ignoring"]
    );
}

#[test]
fn lists_without_their_special_lines_are_refused() {
    let without = |line: &str| {
        let text: String = LIST
            .lines()
            .filter(|candidate| !candidate.starts_with(line))
            .map(|line| format!("{line}\n"))
            .collect();
        LeapList::parse(text.as_bytes())
    };
    assert_eq!(without("#$"), Err(LeapListError::NoUpdateTime));
    assert_eq!(without("#@"), Err(LeapListError::NoExpiry));
}

proptest! {
    #[test]
    fn any_zone_is_read(mut bytes in prop::collection::vec(any::<u8>(), 0..300), version in 0u8..5) {
        let _ = LeapZone::parse(&bytes);
        let mut file = zone(version, &zone_leaps());
        for (index, byte) in bytes.drain(..).enumerate().filter(|(index, _)| index % 7 == 0) {
            let length = file.len();
            file[index * 31 % length] ^= byte;
        }
        if let Ok(zone) = LeapZone::parse(&file) {
            zone.look_up(i64::MAX);
        }
    }

    #[test]
    fn any_list_is_read(text in "(#[$@]|[0-9]{1,20}| |\n|#|-){0,40}") {
        if let Ok(list) = LeapList::parse(text.as_bytes()) {
            list.look_up(list.expiry_s());
        }
    }
}
