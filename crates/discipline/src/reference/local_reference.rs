//! What is served: the own state, the local reference, or nothing (discipline chapter,
//! section 10).

use ntp_wire::LeapIndicator;

use crate::time::CookedTime;

/// Reference ID of the local reference, 127.127.1.1.
pub const LOCAL_REFERENCE_ID: u32 = 0x7F7F_0101;

/// Stratum of an unsynchronised server.
pub const UNSYNCHRONISED_STRATUM: u8 = 16;

/// The local reference time is renewed when its age is outside this range, seconds.
const REFERENCE_AGE_S: std::ops::RangeInclusive<f64> = 1.0..=64.0;

/// `local`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalReferenceSettings {
    /// Announced stratum, 1 … 15.
    pub stratum: u8,
    /// Used when the root distance exceeds this, seconds.
    pub distance_s: f64,
    /// Not used until the root distance was once below this, seconds; 0 = no condition.
    pub activate_s: f64,
    /// Orphan mode: selection follows the server with the smallest reference ID.
    pub orphan: bool,
    /// Seconds since the reference time before it is used while synchronised.
    pub wait_synced_s: f64,
    /// Seconds without synchronisation before it is used.
    pub wait_unsynced_s: f64,
}

impl Default for LocalReferenceSettings {
    fn default() -> Self {
        Self {
            stratum: 10,
            distance_s: 1.0,
            activate_s: 0.0,
            orphan: false,
            wait_synced_s: 0.0,
            wait_unsynced_s: 0.0,
        }
    }
}

/// The state that others are told (packets, tracking report, loop tests).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServedReference {
    /// Whether this is the own reference and not the local one.
    pub synchronised: bool,
    /// Leap status.
    pub leap: LeapIndicator,
    /// 1 … 16; 16 (sent as 0) is unsynchronised.
    pub stratum: u8,
    /// Reference ID.
    pub reference_id: u32,
    /// Reference time; 1970 stands for none.
    pub reference_time: CookedTime,
    /// Root delay, seconds.
    pub root_delay_s: f64,
    /// Root dispersion at the time asked for, seconds. Until then it grew with
    /// [`Reference::root_dispersion_at`](super::Reference::root_dispersion_at).
    pub root_dispersion_s: f64,
}

/// The own reference now.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnState {
    pub(super) leap: LeapIndicator,
    pub(super) synchronised: bool,
    pub(super) stratum: u8,
    pub(super) reference_id: u32,
    pub(super) reference_time: CookedTime,
    pub(super) root_delay_s: f64,
    pub(super) root_dispersion_s: f64,
    /// Seconds since synchronisation was lost.
    pub(super) since_lost_s: f64,
}

impl OwnState {
    /// λ₀, seconds.
    fn distance_s(&self) -> f64 {
        let dispersion_s = if self.synchronised {
            self.root_dispersion_s
        } else {
            0.0
        };
        self.root_delay_s / 2.0 + dispersion_s
    }

    fn served(&self) -> ServedReference {
        ServedReference {
            synchronised: true,
            leap: self.leap,
            stratum: self.stratum,
            reference_id: self.reference_id,
            reference_time: self.reference_time,
            root_delay_s: self.root_delay_s,
            root_dispersion_s: self.root_dispersion_s,
        }
    }
}

/// What the local reference remembers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LocalReference {
    /// Whether the root distance was once below `activate`.
    activated: bool,
    reference_time: CookedTime,
}

impl LocalReference {
    /// Chooses what is served at `now`; `random` is uniform in [0, 1].
    pub(super) fn choose(
        &mut self,
        settings: Option<&LocalReferenceSettings>,
        own: &OwnState,
        now: CookedTime,
        random: f64,
    ) -> ServedReference {
        let ready = settings.filter(|settings| self.is_ready(settings, own, now));
        let own_is_good =
            |settings: &LocalReferenceSettings| own.distance_s() <= settings.distance_s;
        match ready {
            None if own.synchronised => own.served(),
            Some(settings) if own.synchronised && own_is_good(settings) => own.served(),
            Some(settings) => self.serve(settings, now, random),
            None => ServedReference {
                synchronised: false,
                leap: LeapIndicator::Unsynchronised,
                stratum: UNSYNCHRONISED_STRATUM,
                reference_id: 0,
                reference_time: CookedTime::ZERO,
                root_delay_s: 1.0,
                root_dispersion_s: 1.0,
            },
        }
    }

    /// Armed and waited.
    fn is_ready(
        &mut self,
        settings: &LocalReferenceSettings,
        own: &OwnState,
        now: CookedTime,
    ) -> bool {
        if own.synchronised && own.distance_s() < settings.activate_s {
            self.activated = true;
        }
        let armed = settings.activate_s <= 0.0 || self.activated;
        let waited = if own.synchronised {
            now.since(own.reference_time) >= settings.wait_synced_s
        } else {
            own.since_lost_s >= settings.wait_unsynced_s
        };
        armed && waited
    }

    fn serve(
        &mut self,
        settings: &LocalReferenceSettings,
        now: CookedTime,
        random: f64,
    ) -> ServedReference {
        if !REFERENCE_AGE_S.contains(&now.since(self.reference_time)) {
            self.reference_time = now.minus(1.0 + random.clamp(0.0, 1.0));
        }
        ServedReference {
            synchronised: false,
            leap: LeapIndicator::Normal,
            stratum: settings.stratum,
            reference_id: LOCAL_REFERENCE_ID,
            reference_time: self.reference_time,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(synchronised: bool) -> OwnState {
        OwnState {
            leap: LeapIndicator::Normal,
            synchronised,
            stratum: 3,
            reference_id: 7,
            reference_time: CookedTime::from_parts(1000, 0),
            root_delay_s: 0.2,
            root_dispersion_s: 0.5,
            since_lost_s: 100.0,
        }
    }

    fn now() -> CookedTime {
        CookedTime::from_parts(1010, 0)
    }

    fn strata(settings: Option<LocalReferenceSettings>) -> [u8; 2] {
        let mut local = LocalReference::default();
        let mut choose =
            |synchronised| local.choose(settings.as_ref(), &own(synchronised), now(), 0.5);
        [choose(false).stratum, choose(true).stratum]
    }

    #[test]
    fn rows_of_the_table() {
        let settings = LocalReferenceSettings::default();
        assert_eq!(strata(None), [16, 3]);
        assert_eq!(strata(Some(settings)), [10, 3]);
        let near = LocalReferenceSettings {
            distance_s: 0.5,
            ..settings
        };
        assert_eq!(strata(Some(near)), [10, 10]);
        let waiting = LocalReferenceSettings {
            wait_unsynced_s: 101.0,
            wait_synced_s: 11.0,
            ..near
        };
        assert_eq!(strata(Some(waiting)), [16, 3]);
    }

    #[test]
    fn activation_needs_one_good_reference() {
        let settings = LocalReferenceSettings {
            activate_s: 0.7,
            ..LocalReferenceSettings::default()
        };
        let mut local = LocalReference::default();
        let mut stratum = |synchronised| {
            local
                .choose(Some(&settings), &own(synchronised), now(), 0.5)
                .stratum
        };
        assert_eq!(stratum(false), 16);
        assert_eq!(stratum(true), 3);
        assert_eq!(stratum(false), 10);
    }

    #[test]
    fn the_reference_time_is_renewed_within_its_ages() {
        let mut local = LocalReference::default();
        let settings = LocalReferenceSettings::default();
        let mut time = |second: i64| {
            let now = CookedTime::from_parts(second, 0);
            let served = local.choose(Some(&settings), &own(false), now, 0.25);
            now.since(served.reference_time)
        };
        assert_eq!(time(1000), 1.25);
        assert_eq!(time(1062), 63.25);
        assert_eq!(time(1063), 1.25);
        assert_eq!(time(1062), 1.25);
    }
}
