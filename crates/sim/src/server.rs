//! Minimal servers: they answer every request of mode 3 from their own clock.

use std::net::SocketAddr;

use ntp_wire::{Header, LeapIndicator, Mode, NtpShort, NtpTimestamp, Packet};

use crate::clock::{SimClock, TrueTime};

/// What a server says about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Announcement {
    /// Leap status.
    pub leap: LeapIndicator,
    /// Stratum.
    pub stratum: u8,
    /// Reference ID.
    pub reference_id: u32,
    /// Precision, log2 seconds.
    pub precision: i8,
    /// Root delay, seconds.
    pub root_delay_s: f64,
    /// Root dispersion, seconds.
    pub root_dispersion_s: f64,
}

impl Announcement {
    /// A primary server with a perfect reference.
    pub const PRIMARY: Self = Self {
        leap: LeapIndicator::Normal,
        stratum: 1,
        reference_id: u32::from_be_bytes(*b"GPS\0"),
        precision: -30,
        root_delay_s: 0.0,
        root_dispersion_s: 0.0,
    };
}

/// A leap second that a server announces and makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeapSecond {
    /// When its clock is stepped.
    pub at: TrueTime,
    /// By how much, seconds: −1 for an inserted second, 1 for a deleted one.
    pub step_s: f64,
}

/// A server.
#[derive(Debug)]
pub struct SimServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its clock.
    pub clock: SimClock,
    /// What it says about itself.
    pub announcement: Announcement,
    /// Whether it answers at all.
    pub answers: bool,
    /// The leap second to come; announced with [`Announcement::leap`] until it is made.
    pub leap: Option<LeapSecond>,
}

impl SimServer {
    /// The response to a request that arrives at `now`, sent without delay.
    pub fn respond(&mut self, now: TrueTime, request: &[u8]) -> Option<Vec<u8>> {
        self.clock.advance(now);
        if let Some(leap) = self.leap.filter(|leap| leap.at <= now) {
            self.leap = None;
            self.clock.step(leap.step_s);
            self.announcement.leap = LeapIndicator::Normal;
        }
        let request = Packet::parse(request).ok()?.header;
        if !self.answers || request.mode != Mode::Client {
            return None;
        }
        let time = NtpTimestamp::from_unix_ns(self.clock.raw().as_ns());
        let announcement = &self.announcement;
        let response = Header {
            leap: announcement.leap,
            version: request.version,
            mode: Mode::Server,
            stratum: announcement.stratum,
            poll_log2: request.poll_log2,
            precision_log2: announcement.precision,
            root_delay: NtpShort::from_seconds(announcement.root_delay_s),
            root_dispersion: NtpShort::from_seconds(announcement.root_dispersion_s),
            reference_id: announcement.reference_id,
            reference_time: time,
            origin: request.transmit,
            receive: time,
            transmit: time,
        };
        Some(response.to_bytes().to_vec())
    }
}
