//! NTS-KE records and the framing of a message (NTS chapter, sections 3.2 and 3.3).

/// Longest message in either direction, all records with headers.
pub const MAX_MESSAGE: usize = 16384;
/// Octets of a record's header.
const HEADER: usize = 4;
/// Bit 15 of a record's first two octets.
const CRITICAL: u16 = 0x8000;

/// Record types (RFC 8915, section 7.6; 1024 is chrony's).
pub mod kind {
    /// End of message.
    pub const END_OF_MESSAGE: u16 = 0;
    /// Next protocol negotiation.
    pub const NEXT_PROTOCOL: u16 = 1;
    /// Error.
    pub const ERROR: u16 = 2;
    /// Warning.
    pub const WARNING: u16 = 3;
    /// AEAD algorithm negotiation.
    pub const AEAD: u16 = 4;
    /// New cookie for NTPv4.
    pub const COOKIE: u16 = 5;
    /// NTPv4 server negotiation.
    pub const NTP_SERVER: u16 = 6;
    /// NTPv4 port negotiation.
    pub const NTP_PORT: u16 = 7;
    /// Exporter context of AEAD 30 as RFC 8915 wants it.
    pub const COMPLIANT_GCM_SIV: u16 = 1024;
}

/// The protocol number of NTPv4.
pub const PROTOCOL_NTPV4: u16 = 0;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Critical bit.
    pub critical: bool,
    /// Type, 15 bits.
    pub kind: u16,
    /// Body.
    pub body: &'a [u8],
}

impl Record<'_> {
    /// Octets of the record with its header.
    fn length(&self) -> usize {
        HEADER + self.body.len()
    }

    /// The body as one 16-bit number.
    pub fn number(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.body.try_into().ok()?))
    }

    /// The body as a list of 16-bit numbers; an odd octet at the end is left out.
    pub fn numbers(&self) -> impl Iterator<Item = u16> {
        self.body
            .as_chunks::<2>()
            .0
            .iter()
            .map(|octets| u16::from_be_bytes(*octets))
    }
}

/// The complete records of a message, in order. Ends before a partial record.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records of `message`.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let ([a, b, c, d], rest) = self.rest.split_first_chunk::<HEADER>()?;
        let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
        self.rest = rest;
        let kind = u16::from_be_bytes([*a, *b]);
        Some(Record {
            critical: kind & CRITICAL != 0,
            kind: kind & !CRITICAL,
            body,
        })
    }
}

/// Appends a record. A body over 65535 octets is cut (none of ours is near it).
pub fn push(message: &mut Vec<u8>, critical: bool, kind: u16, body: &[u8]) {
    let body = &body[..body.len().min(usize::from(u16::MAX))];
    let kind = if critical { kind | CRITICAL } else { kind };
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(body.len() as u16).to_be_bytes());
    message.extend_from_slice(body);
}

/// State of a message that is being received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// More data is awaited.
    Incomplete,
    /// The data ends with the end-of-message record.
    Complete,
    /// An end-of-message record is not critical, has a body, or is the second one.
    Invalid,
    /// The message is longer than [`MAX_MESSAGE`].
    TooLong,
}

/// Collects a message that arrives in any pieces. Each octet is looked at once.
#[derive(Debug, Default)]
pub struct MessageBuffer {
    data: Vec<u8>,
    /// Octets of the complete records at the start of `data`.
    checked: usize,
    ended: bool,
}

impl MessageBuffer {
    /// Adds what arrived and checks everything received so far.
    pub fn push(&mut self, arrived: &[u8]) -> Framing {
        let (taken, left) = arrived.split_at(arrived.len().min(MAX_MESSAGE - self.data.len()));
        self.data.extend_from_slice(taken);
        let mut last_is_end = self.ended && self.checked == self.data.len();
        for record in Records::new(&self.data[self.checked..]) {
            self.checked += record.length();
            last_is_end = record.kind == kind::END_OF_MESSAGE;
            if last_is_end {
                if self.ended || !record.critical || !record.body.is_empty() {
                    return Framing::Invalid;
                }
                self.ended = true;
            }
        }
        if last_is_end && self.checked == self.data.len() {
            Framing::Complete
        } else if left.is_empty() {
            Framing::Incomplete
        } else {
            Framing::TooLong
        }
    }

    /// The state when the peer ends its side before the message is complete: one that fills
    /// the buffer counts as too long (NTS chapter, section 3.3).
    pub const fn end(&self) -> Framing {
        if self.is_full() {
            Framing::TooLong
        } else {
            Framing::Invalid
        }
    }

    /// Whether not one more octet fits.
    pub const fn is_full(&self) -> bool {
        self.data.len() == MAX_MESSAGE
    }

    /// The records received.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    fn framing(message: &str) -> Framing {
        MessageBuffer::default().push(&hex(message))
    }

    #[test]
    fn end_of_message() {
        assert_eq!(framing("80000000"), Framing::Complete);
        assert_eq!(framing("80040002000f80000000"), Framing::Complete);
        assert_eq!(framing("80040002000f"), Framing::Incomplete);
        assert_eq!(framing("80000000800400"), Framing::Incomplete);
        assert_eq!(framing("8000000080040002000f"), Framing::Incomplete);
        assert_eq!(framing("00000000"), Framing::Invalid);
        assert_eq!(framing("800000020000"), Framing::Invalid);
        assert_eq!(framing("8000000080000000"), Framing::Invalid);
    }

    /// 16384 octets are accepted, one more is not.
    #[test]
    fn longest() {
        for (body, expected) in [(16376, Framing::Complete), (16377, Framing::TooLong)] {
            let mut message = Vec::new();
            push(&mut message, false, 0x4000, &vec![0; body]);
            push(&mut message, true, kind::END_OF_MESSAGE, &[]);
            assert_eq!(MessageBuffer::default().push(&message), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        /// Records come out as they went in, and the pieces they arrive in do not matter.
        #[test]
        fn pieces_do_not_matter(
            records in prop::collection::vec(
                (any::<bool>(), 1..0x8000u16, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cuts in prop::collection::vec(1..30usize, 1..50),
        ) {
            let mut message = Vec::new();
            for (critical, kind, body) in &records {
                push(&mut message, *critical, *kind, body);
            }
            push(&mut message, true, kind::END_OF_MESSAGE, &[]);
            let mut buffer = MessageBuffer::default();
            let mut rest = &message[..];
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                let framing = buffer.push(piece);
                if rest.is_empty() {
                    prop_assert_eq!(framing, Framing::Complete);
                    break;
                }
                prop_assert_eq!(framing, Framing::Incomplete);
            }
            let out: Vec<_> = buffer
                .records()
                .map(|r| (r.critical, r.kind, r.body.to_vec()))
                .collect();
            prop_assert_eq!(&out[..records.len()], &records[..]);
            prop_assert_eq!(out.len(), records.len() + 1);
        }

        #[test]
        fn any_octets(pieces in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..3000), 0..12)) {
            let mut buffer = MessageBuffer::default();
            for piece in pieces {
                let _ = buffer.push(&piece);
            }
            prop_assert!(buffer.records().map(|r| r.length()).sum::<usize>() <= MAX_MESSAGE);
        }
    }
}
