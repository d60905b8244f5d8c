//! The state that is served, fixed until the main thread publishes the next.

use std::net::SocketAddr;
use std::sync::Arc;

use discipline::time::{CookedTime, RawTime};
use ntp_wire::{KeyRing, LeapIndicator, NtpTimestamp, STRATUM_UNSYNCHRONISED};
use nts::server::keys::ServerKeys;

use super::access::AccessTable;
use super::card_times::CardTimes;
use super::timestamps::ClockAdjustments;

/// Root delay and root dispersion of an unsynchronised server, seconds (ntp chapter, section
/// 6.7).
const UNSYNCHRONISED_ROOT_S: f64 = 1.0;

/// From raw to cooked time: the correction is a linear function of raw time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimeModel {
    /// Where `correction_s` holds.
    pub base: RawTime,
    /// Cooked − raw at the base, seconds.
    pub correction_s: f64,
    /// Change of the correction, seconds per raw second.
    pub slope: f64,
}

impl TimeModel {
    /// The cooked time at a reading of the raw clock.
    pub fn cook(&self, raw: RawTime) -> CookedTime {
        raw.cook(self.correction_s + self.slope * raw.since(self.base))
    }
}

/// What is said about the own clock (ntp chapter, section 6.7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServedReference {
    /// Own leap status; unsynchronised also during a leap second.
    pub leap: LeapIndicator,
    /// Own stratum, 1 … 16.
    pub stratum: u8,
    /// Own reference ID.
    pub reference_id: u32,
    /// Own reference time, with its random error.
    pub reference_time: NtpTimestamp,
    /// Own root delay, seconds.
    pub root_delay_s: f64,
    /// Own root dispersion at `at`, seconds.
    pub root_dispersion_s: f64,
    /// Growth of the root dispersion, s/s.
    pub root_dispersion_rate: f64,
    /// When the root dispersion was as given.
    pub at: CookedTime,
}

impl ServedReference {
    /// That of a server that is not synchronised and has no local reference.
    pub const UNSYNCHRONISED: Self = Self {
        leap: LeapIndicator::Unsynchronised,
        stratum: STRATUM_UNSYNCHRONISED,
        reference_id: 0,
        reference_time: NtpTimestamp::ZERO,
        root_delay_s: UNSYNCHRONISED_ROOT_S,
        root_dispersion_s: UNSYNCHRONISED_ROOT_S,
        root_dispersion_rate: 0.0,
        at: CookedTime::ZERO,
    };

    /// Root dispersion at a later time, seconds.
    pub fn root_dispersion_s(&self, now: CookedTime) -> f64 {
        self.root_dispersion_s + self.root_dispersion_rate * now.since(self.at).max(0.0)
    }
}

/// The smoothed offset of served time within one stage (discipline chapter, section 14).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// When offset and frequency were as given.
    pub at: CookedTime,
    /// Offset O, seconds; added to served times.
    pub offset_s: f64,
    /// Frequency f: how fast the offset shrinks, s/s.
    pub frequency: f64,
    /// Change of the frequency, 1/s.
    pub wander: f64,
    /// `leapsecmode slew`: announced leap seconds are hidden.
    pub hides_leap: bool,
}

impl Smoothing {
    /// The offset at a time, seconds.
    pub fn offset_s(&self, now: CookedTime) -> f64 {
        let elapsed_s = now.since(self.at);
        self.offset_s - elapsed_s * (2.0 * self.frequency + self.wander * elapsed_s) / 2.0
    }
}

/// The own monotonic scale of field F323 (ntp chapter, section 6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServedMonotonic {
    /// Random number drawn at start and at every step.
    pub epoch: u32,
    /// Sum of all offset corrections of the clock since the epoch began, seconds.
    pub correction_s: f64,
}

/// Everything that answering needs. Cheap to clone: what is large is shared.
#[derive(Clone, Debug)]
pub struct ServerSnapshot {
    /// From raw to cooked time.
    pub time: TimeModel,
    /// Clock precision q, seconds.
    pub precision_s: f64,
    /// round(log2 q), as sent.
    pub precision_log2: i8,
    /// What is said about the own clock.
    pub reference: ServedReference,
    /// The smoothed offset, when `smoothtime` is configured.
    pub smoothing: Option<Smoothing>,
    /// The own monotonic scale.
    pub monotonic: ServedMonotonic,
    /// Clock adjustments so far.
    pub adjustments: ClockAdjustments,
    /// Who is allowed.
    pub access: Arc<AccessTable>,
    /// The symmetric keys.
    pub keys: Arc<KeyRing>,
    /// The keys of NTS cookies, when NTS certificates are configured. Where key establishment
    /// failed to start, keys that no cookie was made with.
    pub nts: Option<Arc<ServerKeys>>,
    /// Whether MS-SNTP requests are passed to a signing service (`ntpsigndsocket`).
    pub signing: bool,
    /// `ptpdomain`, when `ptpport` is not 0.
    pub ptp_domain: Option<u8>,
    /// Addresses of configured sources, sorted: their packets other than requests of mode 3
    /// are for the associations.
    pub sources: Arc<[SocketAddr]>,
    /// How timestamps of network cards are converted (`hwtimestamp`).
    pub cards: Arc<[CardTimes]>,
}

impl ServerSnapshot {
    /// Of an unsynchronised server that nobody is allowed to ask, with a clock of this
    /// precision (seconds).
    pub fn new(precision_s: f64) -> Self {
        Self {
            time: TimeModel::default(),
            precision_s,
            // Saturates; log2 of a precision is within −30 … 0.
            precision_log2: precision_s.log2().round() as i8,
            reference: ServedReference::UNSYNCHRONISED,
            smoothing: None,
            monotonic: ServedMonotonic::default(),
            adjustments: ClockAdjustments::default(),
            access: Arc::default(),
            keys: Arc::default(),
            nts: None,
            signing: false,
            ptp_domain: None,
            sources: Arc::new([]),
            cards: Arc::new([]),
        }
    }

    /// How the timestamps of an interface's card are converted.
    pub fn card(&self, interface: u32) -> Option<&CardTimes> {
        self.cards.iter().find(|card| card.interface == interface)
    }

    /// The smoothed offset at a time, if it is large enough to be applied (ntp chapter,
    /// section 6.7).
    pub fn smoothing_offset_s(&self, now: CookedTime) -> Option<f64> {
        let offset_s = self.smoothing.as_ref()?.offset_s(now);
        (offset_s.abs() > self.precision_s).then_some(offset_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correction_is_linear() {
        let model = TimeModel {
            base: RawTime::from_ns(1_000_000_000),
            correction_s: 0.5,
            slope: -1e-3,
        };
        let cooked = model.cook(RawTime::from_ns(11_000_000_000));
        assert_eq!(cooked.as_ns(), 11_490_000_000);
    }

    #[test]
    fn smoothing_shrinks_the_offset() {
        let mut snapshot = ServerSnapshot::new(1e-8);
        assert_eq!(snapshot.precision_log2, -27);
        let at = CookedTime::from_ns(0);
        assert_eq!(snapshot.smoothing_offset_s(at), None);
        snapshot.smoothing = Some(Smoothing {
            at,
            offset_s: 1.0,
            frequency: 1e-4,
            wander: 1e-6,
            hides_leap: false,
        });
        let later = at.plus(100.0);
        let offset_s = snapshot.smoothing_offset_s(later).unwrap();
        assert!((offset_s - (1.0 - 0.01 - 0.005)).abs() < 1e-12);
    }

    #[test]
    fn dispersion_grows() {
        let reference = ServedReference {
            root_dispersion_rate: 1e-6,
            ..ServedReference::UNSYNCHRONISED
        };
        let later = CookedTime::ZERO.plus(100.0);
        assert!((reference.root_dispersion_s(later) - 1.0001).abs() < 1e-12);
        assert_eq!(reference.root_dispersion_s(CookedTime::from_ns(-5)), 1.0);
    }
}
