//! The leap indicator (RFC 5905, section 7.3).

/// Warning of a leap second at the end of the current month, or of a clock that is not
/// synchronised. The discriminants are the values on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LeapIndicator {
    /// No leap second is announced.
    #[default]
    Normal = 0,
    /// The last minute of the day has 61 seconds.
    InsertSecond = 1,
    /// The last minute of the day has 59 seconds.
    DeleteSecond = 2,
    /// The clock is not synchronised.
    Unsynchronised = 3,
}

impl LeapIndicator {
    /// From the two bits of the wire; higher bits are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Normal,
            1 => Self::InsertSecond,
            2 => Self::DeleteSecond,
            _ => Self::Unsynchronised,
        }
    }

    /// The letter of logs and reports.
    pub const fn letter(self) -> char {
        match self {
            Self::Normal => 'N',
            Self::InsertSecond => '+',
            Self::DeleteSecond => '-',
            Self::Unsynchronised => '?',
        }
    }

    /// The two bits of the wire.
    pub const fn bits(self) -> u8 {
        self as u8
    }
}
