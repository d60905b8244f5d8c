//! A clock's sample in a datagram, as programs send them to the daemon's Unix socket
//! (discipline chapter, section 17.7).

use std::mem::offset_of;

use discipline::time::RawTime;
use libc::{c_double, c_int};

use super::segment::moment;

/// Marks the datagrams of this form.
const MAGIC: c_int = 0x534F_434B;

/// A datagram. The C compiler's alignment is part of it.
#[repr(C)]
struct Layout {
    time: libc::timeval,
    offset_s: c_double,
    pulse: c_int,
    leap: c_int,
    padding: c_int,
    magic: c_int,
}

/// The datagram of programs whose `timeval` has the other width, which 32-bit machines see.
#[repr(C)]
struct WideLayout {
    time_s: i64,
    time_us: i64,
    offset_s: c_double,
    pulse: c_int,
    leap: c_int,
    padding: c_int,
    magic: c_int,
}

/// Bytes of the longest datagram of this form.
pub const SAMPLE_MESSAGE_LENGTH: usize = size_of::<WideLayout>();

/// What a datagram says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleMessage {
    /// The system's time of the sample.
    pub local: RawTime,
    /// How far the system's clock is behind the other, seconds; finite.
    pub offset_s: f64,
    /// A pulse: only the offset within the second is known.
    pub pulse: bool,
    /// Leap second announced, as sent: 0 none, 1 insert, 2 delete.
    pub leap: i32,
}

impl SampleMessage {
    /// The sample in a datagram; none in one of another length or mark, or with numbers that
    /// are no time.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        // The part after the time is the same in both.
        let (time, rest) = if datagram.len() == size_of::<Layout>() {
            let seconds = int_at(datagram, offset_of!(libc::timeval, tv_sec), WORD)?;
            let us = int_at(datagram, offset_of!(libc::timeval, tv_usec), WORD)?;
            ((seconds, us), offset_of!(Layout, offset_s))
        } else if datagram.len() == size_of::<WideLayout>() {
            let seconds = int_at(datagram, offset_of!(WideLayout, time_s), 8)?;
            let us = int_at(datagram, offset_of!(WideLayout, time_us), 8)?;
            ((seconds, us), offset_of!(WideLayout, offset_s))
        } else {
            return None;
        };
        let rest = datagram.get(rest..)?;
        let field = |offset: usize| {
            let bytes = rest.get(offset - offset_of!(Layout, offset_s)..)?;
            bytes.first_chunk().copied().map(c_int::from_ne_bytes)
        };
        if field(offset_of!(Layout, magic))? != MAGIC {
            return None;
        }
        let offset_s = c_double::from_ne_bytes(*rest.first_chunk()?);
        let (seconds, us) = time;
        Some(Self {
            local: moment(seconds, us.checked_mul(1000)?)?,
            offset_s: offset_s.is_finite().then_some(offset_s)?,
            pulse: field(offset_of!(Layout, pulse))? != 0,
            leap: field(offset_of!(Layout, leap))?,
        })
    }
}

/// Bytes of the C library's seconds and microseconds.
const WORD: usize = size_of::<libc::time_t>();

/// A signed number of 4 or 8 bytes.
fn int_at(bytes: &[u8], offset: usize, width: usize) -> Option<i64> {
    let bytes = bytes.get(offset..)?;
    match width {
        4 => bytes
            .first_chunk()
            .copied()
            .map(i32::from_ne_bytes)
            .map(i64::from),
        _ => bytes.first_chunk().copied().map(i64::from_ne_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn datagram(
        seconds: i64,
        us: i64,
        offset_s: f64,
        pulse: i32,
        leap: i32,
        magic: i32,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(seconds.to_ne_bytes());
        bytes.extend(us.to_ne_bytes());
        bytes.extend(offset_s.to_ne_bytes());
        bytes.extend([pulse, leap, 0x55, magic].map(i32::to_ne_bytes).concat());
        bytes
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_layout_is_that_of_the_senders() {
        assert_eq!(size_of::<Layout>(), 40);
        let offsets = [
            offset_of!(Layout, offset_s),
            offset_of!(Layout, pulse),
            offset_of!(Layout, leap),
            offset_of!(Layout, padding),
            offset_of!(Layout, magic),
        ];
        assert_eq!(offsets, [16, 24, 28, 32, 36]);
    }

    #[test]
    fn samples_and_pulses_are_told_apart() {
        let sample = SampleMessage::parse(&datagram(1_700_000_000, 250_001, -0.5, 0, 1, MAGIC));
        let wanted = SampleMessage {
            local: RawTime::from_parts(1_700_000_000, 250_001_000),
            offset_s: -0.5,
            pulse: false,
            leap: 1,
        };
        assert_eq!(sample, Some(wanted));
        let pulse = SampleMessage::parse(&datagram(1, 2, 0.25, 7, 0, MAGIC)).expect("a pulse");
        assert!(pulse.pulse);
    }

    #[test]
    fn other_datagrams_are_ignored() {
        let good = datagram(1, 2, 0.25, 0, 0, MAGIC);
        assert!(SampleMessage::parse(&good).is_some());
        for length in (0..good.len()).chain([41, 48, 100]) {
            let mut other = good.clone();
            other.resize(length, 0);
            assert_eq!(SampleMessage::parse(&other), None, "{length} bytes");
        }
        for other in [
            datagram(1, 2, 0.25, 0, 0, MAGIC ^ 1),
            datagram(1, 2, f64::NAN, 0, 0, MAGIC),
            datagram(1, 2, f64::INFINITY, 0, 0, MAGIC),
            datagram(i64::MAX, 2, 0.0, 0, 0, MAGIC),
            datagram(1, i64::MIN, 0.0, 0, 0, MAGIC),
        ] {
            assert_eq!(SampleMessage::parse(&other), None);
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_a_sample_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(sample) = SampleMessage::parse(&bytes) {
                prop_assert!(sample.offset_s.is_finite());
                prop_assert!([size_of::<Layout>(), size_of::<WideLayout>()].contains(&bytes.len()));
            }
        }

        #[test]
        fn what_is_sent_is_read(
            seconds in -4_000_000_000i64..8_000_000_000,
            us in 0i64..1_000_000,
            offset_s in -1e10f64..1e10,
            pulse in any::<i32>(),
            leap in any::<i32>(),
        ) {
            let read = SampleMessage::parse(&datagram(seconds, us, offset_s, pulse, leap, MAGIC));
            let wanted = SampleMessage {
                local: RawTime::from_parts(seconds, us * 1000),
                offset_s,
                pulse: pulse != 0,
                leap,
            };
            prop_assert_eq!(read, Some(wanted));
        }
    }
}
