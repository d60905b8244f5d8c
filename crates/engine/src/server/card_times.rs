//! Hardware timestamps on the raw clock, for those who answer requests: the main thread
//! tracks the cards' clocks and publishes a linear function for each.

use discipline::time::RawTime;

use crate::event::{HardwareStamp, PacketTime, TimestampSource};
use crate::names::Family;

/// Check sequence at the end of a frame, which lengths do not count, bytes.
const CHECK_SEQUENCE: u32 = 4;

/// The link of an interface, as far as the duration of receptions depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Speed, Mb/s; 0 when there is none.
    pub speed_mbps: u32,
    /// Start of the UDP payload in a frame, IPv4 and IPv6, bytes.
    pub payload_start: [u32; 2],
}

impl Link {
    /// Before anything is known: 1000 Mb/s, Ethernet without tags.
    pub const UNKNOWN: Self = Self {
        speed_mbps: 1000,
        payload_start: [42, 62],
    };

    /// Time that the reception of a frame with a payload of this length (bytes) takes, seconds
    /// (ntp chapter, section 15.3).
    pub fn receive_duration_s(&self, stamp: &HardwareStamp, family: Family, payload: usize) -> f64 {
        let length = match stamp.frame_length {
            // At most 64 KiB.
            0 => self.payload_start[family as usize] + payload as u32,
            known => known,
        };
        match self.speed_mbps {
            0 => 0.0,
            speed => f64::from(length + CHECK_SEQUENCE) * 8.0 / (f64::from(speed) * 1e6),
        }
    }
}

/// How the timestamps of an interface's card are converted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardTimes {
    /// Index of the interface.
    pub interface: u32,
    /// Where `base` holds, nanoseconds of the card's clock.
    pub base_ns: i64,
    /// Raw time at `base_ns`.
    pub base: RawTime,
    /// Raw seconds in a second of the card's clock.
    pub rate: f64,
    /// Its link.
    pub link: Link,
    /// Subtracted from receive timestamps, seconds.
    pub receive_compensation_s: f64,
    /// Added to transmit timestamps, seconds.
    pub transmit_compensation_s: f64,
}

impl CardTimes {
    fn raw(&self, clock_ns: i64) -> RawTime {
        let elapsed_s = clock_ns.saturating_sub(self.base_ns) as f64 / 1e9;
        self.base.plus(elapsed_s * self.rate)
    }

    /// When a packet with a payload of this length (bytes) was received completely, and how
    /// long the reception took, seconds (ntp chapter, section 15.3).
    pub fn received(
        &self,
        stamp: &HardwareStamp,
        family: Family,
        payload: usize,
    ) -> (PacketTime, f64) {
        let duration_s = self.link.receive_duration_s(stamp, family, payload);
        let raw = self
            .raw(stamp.clock_ns)
            .plus(duration_s - self.receive_compensation_s);
        (hardware_time(raw), duration_s)
    }

    /// When a packet was sent.
    pub fn sent(&self, stamp: &HardwareStamp) -> PacketTime {
        hardware_time(self.raw(stamp.clock_ns).plus(self.transmit_compensation_s))
    }
}

fn hardware_time(raw: RawTime) -> PacketTime {
    PacketTime {
        raw,
        source: TimestampSource::Hardware,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_moved_to_the_end_of_the_frame() {
        let card = CardTimes {
            interface: 2,
            base_ns: 5_000_000_000,
            base: RawTime::from_parts(1_700_000_000, 0),
            rate: 1.0,
            link: Link {
                speed_mbps: 100,
                ..Link::UNKNOWN
            },
            receive_compensation_s: 1e-6,
            transmit_compensation_s: 2e-6,
        };
        let stamp = |frame_length| HardwareStamp {
            clock_ns: 6_500_000_000,
            interface: 2,
            frame_length,
        };
        let exact = RawTime::from_parts(1_700_000_001, 500_000_000);
        // 42 + 48 + 4 bytes at 100 Mb/s take 7.52 µs.
        let (time, duration_s) = card.received(&stamp(0), Family::V4, 48);
        assert!((duration_s - 7.52e-6).abs() < 1e-12, "{duration_s}");
        assert!((time.raw.since(exact) - 6.52e-6).abs() < 1.1e-9);
        assert_eq!(time.source, TimestampSource::Hardware);
        // With a VLAN tag, as the kernel tells it.
        let (_, duration_s) = card.received(&stamp(94), Family::V4, 48);
        assert!((duration_s - 7.84e-6).abs() < 1e-12, "{duration_s}");
        assert!((card.sent(&stamp(0)).raw.since(exact) - 2e-6).abs() < 1.1e-9);
        let stopped = CardTimes {
            link: Link {
                speed_mbps: 0,
                ..card.link
            },
            ..card
        };
        assert_eq!(stopped.received(&stamp(0), Family::V6, 48).1, 0.0);
    }
}
