//! What an association is told with each event, and what it answers.

use std::net::{IpAddr, SocketAddr};

use discipline::journal::Journal;
use discipline::samples::SourceStatistics;
use discipline::time::CookedTime;
use ntp_wire::{LeapIndicator, NtpTimestamp};

use super::authentication::Authenticator;
use super::schedule::TransmissionSchedule;
use super::verdict::TestResults;
use crate::action::Payload;
use crate::event::{Now, TimestampSource};
use crate::random::RandomSource;

/// The own state that is sent to peers and compared in the loop test (ntp chapter,
/// sections 5, 6.7 and 10.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnReference {
    /// Own leap status; unsynchronised also during a leap second.
    pub leap: LeapIndicator,
    /// Own stratum, 1 … 16; 16 is unsynchronised.
    pub stratum: u8,
    /// Own reference ID.
    pub reference_id: u32,
    /// Own reference time as on the wire; zero when there is none.
    pub reference_time: NtpTimestamp,
    /// Own root delay, seconds.
    pub root_delay_s: f64,
    /// Own root dispersion, grown to now, seconds.
    pub root_dispersion_s: f64,
}

/// The own monotonic scale of field F323 (ntp chapter, section 6.8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonotonicScale {
    /// Random number drawn at start and at every step.
    pub epoch: u32,
    /// Sum of all offset corrections of the clock since the epoch began, seconds.
    pub correction_s: f64,
}

/// Facts about the daemon that all associations share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalState {
    /// Clock precision q, seconds (discipline chapter, section 1.5).
    pub precision_s: f64,
    /// round(log2 q), as sent in packets.
    pub precision_log2: i8,
    /// φ of directive `maxclockerror`, s/s.
    pub max_clock_error: f64,
    /// E, the first POSIX second of the window that NTP timestamps are mapped to.
    pub window_start_s: i64,
    /// The own reference.
    pub reference: OwnReference,
    /// The own monotonic scale.
    pub monotonic: MonotonicScale,
    /// Whether any server or PTP socket is open and the daemon is in normal mode: then
    /// test D is made.
    pub loop_test: bool,
    /// `hwtstimeout` when hardware timestamping is enabled, seconds; 0 switches waiting
    /// for late transmit timestamps off (ntp chapter, section 15.4).
    pub late_timestamp_timeout_s: f64,
    /// Whether `rawmeasurements` is logged, all packets and not only synced ones.
    pub log_raw_measurements: bool,
    /// When the pending leap second is, POSIX seconds; samples around it are dropped.
    pub leap_second_s: Option<i64>,
}

/// What an association may use while it handles an event.
pub struct Context<'a> {
    /// Both clocks, read once at the event.
    pub now: Now,
    /// The same instant in cooked time; for packets of symmetric associations it becomes
    /// the transmit timestamp, so read the clock anew before [`super::Association::handle_timeout`].
    pub now_cooked: CookedTime,
    /// Whether this source is the selected one.
    pub selected: bool,
    /// Facts about the daemon.
    pub local: &'a LocalState,
    /// The statistics of this source.
    pub statistics: &'a mut SourceStatistics,
    /// What makes and checks MACs or NTS fields for this source.
    pub authenticator: &'a mut dyn Authenticator,
    /// Keeps transmissions of different sources apart.
    pub schedule: &'a mut TransmissionSchedule,
    /// Random bits.
    pub random: &'a mut dyn RandomSource,
    /// Messages and lines of `measurements.log`.
    pub journal: &'a mut Journal,
}

/// Which kind of socket of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// A fresh socket for each request, or with `acquisitionport` the shared one. A fresh
    /// one is opened for every [`Transmission`]; the previous one is closed.
    Client,
    /// The server socket of the family.
    Server,
    /// The PTP socket of the family. Messages here are without the PTP prefix: the owner
    /// wraps and unwraps them (ntp chapter, section 14).
    Ptp,
}

/// A local time that belongs to a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalTimestamp {
    /// When the packet was sent or received.
    pub time: CookedTime,
    /// Error bound of `time`, seconds.
    pub error_s: f64,
    /// Who took it.
    pub source: TimestampSource,
    /// Time that the reception of the packet took, seconds; 0 when not known or sent (ntp
    /// chapter, section 15.3).
    pub receive_duration_s: f64,
    /// Receive duration + correction of the PTP message, seconds; only from hardware (ntp
    /// chapter, section 14.1).
    pub net_correction_s: f64,
}

impl LocalTimestamp {
    /// A timestamp without duration and correction.
    pub fn new(time: CookedTime, error_s: f64, source: TimestampSource) -> Self {
        Self {
            time,
            error_s,
            source,
            receive_duration_s: 0.0,
            net_correction_s: 0.0,
        }
    }

    /// Sets the receive duration and the correction field of the PTP message (seconds; 0
    /// without PTP). Without a known duration the correction is not used.
    #[must_use]
    pub fn with_receive_duration(mut self, duration_s: f64, ptp_correction_s: f64) -> Self {
        if duration_s > 0.0 {
            self.receive_duration_s = duration_s;
            self.net_correction_s = duration_s + ptp_correction_s;
        }
        self
    }
}

/// How a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// The socket it arrived on. The owner passes packets of a fresh client socket only
    /// if it is the association's latest one.
    pub socket: SocketKind,
    /// The address it was sent to, when known.
    pub local_address: Option<IpAddr>,
    /// When.
    pub timestamp: LocalTimestamp,
}

/// A packet to be sent now. The owner calls [`super::Association::handle_sent`] right after the
/// attempt, in any case.
#[derive(Clone, Debug)]
pub struct Transmission {
    /// The NTP message (without PTP prefix).
    pub payload: Payload,
    /// Where to.
    pub destination: SocketAddr,
    /// From which kind of socket.
    pub socket: SocketKind,
}

/// What is to be done with a packet that was handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing more.
    #[default]
    Done,
    /// It is a request: answer it as one of an unknown client.
    Serve,
}

/// Stratum and leap status of the source, for the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Stratum of the source, at least `minstratum`; with `copy` one less than that of the
    /// packet.
    pub stratum: u8,
    /// Leap status of the source.
    pub leap: LeapIndicator,
    /// With `copy`: the reference ID that stands for the source.
    pub reference_id: Option<u32>,
}

/// What happened, for the owner to act on after the call.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What to do with the packet that was handed in.
    pub disposition: Disposition,
    /// Send this.
    pub transmission: Option<Transmission>,
    /// Close the fresh client socket, if one is open (after sending it stays open until
    /// told).
    pub close_socket: bool,
    /// The reachability register changed; if it is zero, selection is due.
    pub reachability_updated: bool,
    /// Stratum, leap status and ID of the source.
    pub status: Option<SourceStatus>,
    /// A good response: the source is no longer tentative.
    pub confirmed: bool,
    /// A sample went into the statistics: selection is due.
    pub accumulated: bool,
    /// Samples, register and status of the source were dropped (`copy` with an
    /// unsynchronised server).
    pub source_reset: bool,
    /// The register was empty after eight or more updates: replace the address.
    pub replacement_wanted: bool,
    /// The source began (`true`) or stopped (`false`) to be polled.
    pub active: Option<bool>,
    /// Tests of the last response that was evaluated, if any.
    pub tests: Option<TestResults>,
}
