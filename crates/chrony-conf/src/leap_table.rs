//! Known leap seconds, whatever file they come from (discipline chapter, section 11.1).

/// Seconds of a day.
const DAY_S: i64 = 86_400;
/// TAI−UTC before the first entry of a table, s.
pub const TAI_OFFSET_FIRST_S: i32 = 10;
/// 30 June 2012, noon: a leap second is inserted at its end. Seconds since 1970.
const TEST_INSERTION_S: i64 = 1_341_057_600;
/// 31 December 2012, noon: nothing happens at its end. Seconds since 1970.
const TEST_NORMAL_S: i64 = 1_356_955_200;

/// What happens at the end of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leap {
    /// Nothing.
    #[default]
    None,
    /// A second is inserted.
    Insert,
    /// A second is deleted.
    Delete,
}

/// Answer for one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeapLookup {
    /// What happens at the end of the UTC day.
    pub leap: Leap,
    /// TAI−UTC at the moment, s.
    pub tai_offset_s: i32,
    /// The table has expired by the end of the day; its data is still used.
    pub needs_update: bool,
}

/// A change of TAI−UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeapEntry {
    /// The midnight from which on the offset holds, seconds since 1970.
    pub from_s: i64,
    /// TAI−UTC, s.
    pub tai_offset_s: i32,
}

/// A table of leap seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeapTable {
    /// Changes in the order of the file.
    pub entries: Vec<LeapEntry>,
    /// When the table expires, seconds since 1970; none = unknown.
    pub expiry_s: Option<i64>,
}

impl LeapTable {
    /// Looks a moment up: UTC, seconds since 1970.
    pub fn lookup(&self, time_s: i64) -> LeapLookup {
        let midnight_s = (time_s.div_euclid(DAY_S).saturating_add(1)).saturating_mul(DAY_S);
        let mut tai_offset_s = TAI_OFFSET_FIRST_S;
        let mut leap = Leap::None;
        for entry in &self.entries {
            if entry.from_s < midnight_s {
                tai_offset_s = entry.tai_offset_s;
            } else if entry.from_s == midnight_s {
                leap = match entry.tai_offset_s.cmp(&tai_offset_s) {
                    std::cmp::Ordering::Greater => Leap::Insert,
                    std::cmp::Ordering::Less => Leap::Delete,
                    std::cmp::Ordering::Equal => Leap::None,
                };
                break;
            } else {
                break;
            }
        }
        let needs_update = self.expiry_s.is_some_and(|expiry_s| midnight_s >= expiry_s);
        LeapLookup {
            leap,
            tai_offset_s,
            needs_update,
        }
    }

    /// The check made at start with known data.
    pub fn passes_check(&self) -> bool {
        let answer = |time_s| {
            let found = self.lookup(time_s);
            (found.leap, found.tai_offset_s)
        };
        answer(TEST_INSERTION_S) == (Leap::Insert, 34) && answer(TEST_NORMAL_S) == (Leap::None, 35)
    }
}
