//! Which second a pulse belongs to (discipline chapter, sections 17.4 to 17.6).

use discipline::journal::Journal;
use discipline::time::CookedTime;
use ntp_wire::LeapIndicator;

use super::Refclock;
use super::samples::{Candidate, When};

/// Largest difference of a pulse from its second, in parts of the time between pulses, that
/// leaves no doubt.
const MAX_LOCK_DIFFERENCE: f64 = 0.4;
/// Root distance below which the own second is certain, in parts of the time between pulses.
const MAX_ROOT_DISTANCE: f64 = 0.5;

/// The last sample of the clock that pulses are paired with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockReference {
    /// When it was taken.
    pub(crate) time: CookedTime,
    /// Its offset (S+), seconds.
    pub(crate) offset_s: f64,
    /// Its dispersion and what its clock's samples spread by, seconds.
    pub(crate) error_s: f64,
    /// Leap status of that clock.
    pub(crate) leap: LeapIndicator,
}

/// What the system clock is known to be, for pulses that have no other clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnSecond {
    /// Own leap status.
    pub(crate) leap: LeapIndicator,
    /// Root distance, seconds.
    pub(crate) root_distance_s: f64,
}

/// A pulse that found its second.
struct Pairing {
    /// Its offset (S+), seconds.
    offset_s: f64,
    /// The same from the reference's, seconds.
    from_reference_s: f64,
    /// Leap status to go with it.
    leap: LeapIndicator,
}

impl Refclock {
    /// What another clock's pulses are paired with: the last sample that came in.
    pub(crate) fn lock_reference(&self) -> Option<LockReference> {
        let last = self.filter.last()?;
        Some(LockReference {
            time: last.time,
            offset_s: last.offset_s,
            error_s: last.root_dispersion_s + self.filter.long_term_sd_s(),
            leap: self.newest_leap,
        })
    }

    /// Takes a pulse. `past_s`: by how much of a second cooked time is past its second. Whether
    /// a `local` clock lost its lock by it, and with that all it knew.
    pub(crate) fn take_pulse(
        &mut self,
        when: &When,
        past_s: f64,
        reference: Option<&LockReference>,
        own: &OwnSecond,
        journal: &mut Journal,
    ) -> bool {
        let finite = past_s.is_finite() && when.correction_s.is_finite();
        if !finite || !self.is_recent(when) {
            return false;
        }
        let dispersion_s = when.error_s + self.settings.precision_s;
        let interval_s = self.settings.pulse_interval_s;
        let offset_s = wrap(self.settings.offset_s - past_s, interval_s);
        let paired = if self.lock.is_some() {
            self.pair(when, offset_s, dispersion_s, reference)
        } else {
            self.pair_with_own(offset_s, own)
        };
        let Some(Pairing {
            offset_s,
            from_reference_s,
            leap,
        }) = paired
        else {
            let name = self.name();
            journal.debug(|| format!("{name} refclock pulse ignored offset={offset_s:.9}"));
            return self.lose_lock(journal);
        };
        if self.is_wrong_edge(from_reference_s, own) {
            return false;
        }
        let candidate = Candidate {
            raw_offset_s: offset_s + when.correction_s - self.settings.offset_s,
            offset_s,
            dispersion_s,
            leap,
            pulse: true,
        };
        self.accept(when, &candidate, journal);
        false
    }

    /// With the clock it is locked to (section 17.5); one that is `local` begins by itself.
    fn pair(
        &self,
        when: &When,
        offset_s: f64,
        dispersion_s: f64,
        reference: Option<&LockReference>,
    ) -> Option<Pairing> {
        let interval_s = self.settings.pulse_interval_s;
        let Some(reference) = reference else {
            if !self.settings.local {
                return None;
            }
            return Some(Pairing {
                offset_s,
                from_reference_s: 0.0,
                leap: LeapIndicator::Unsynchronised,
            });
        };
        if when.time.since(reference.time).abs() >= self.settings.max_lock_age_s {
            return None;
        }
        let pulses = ((reference.offset_s - offset_s) / interval_s).round();
        let offset_s = offset_s + pulses * interval_s;
        let from_reference_s = offset_s - reference.offset_s;
        let distance_s = from_reference_s.abs() + reference.error_s + dispersion_s;
        if distance_s > MAX_LOCK_DIFFERENCE * interval_s {
            return None;
        }
        Some(Pairing {
            offset_s,
            from_reference_s,
            leap: reference.leap,
        })
    }

    /// With the second that the system clock is nearest to.
    fn pair_with_own(&self, offset_s: f64, own: &OwnSecond) -> Option<Pairing> {
        let limit_s = MAX_ROOT_DISTANCE * self.settings.pulse_interval_s;
        if own.leap == LeapIndicator::Unsynchronised || own.root_distance_s >= limit_s {
            return None;
        }
        Some(Pairing {
            offset_s,
            from_reference_s: offset_s,
            leap: own.leap,
        })
    }

    /// `width`: whether it may be the end of the pulse and not its beginning.
    fn is_wrong_edge(&self, from_reference_s: f64, own: &OwnSecond) -> bool {
        let width_s = self.settings.width_s;
        if width_s <= 0.0 {
            return false;
        }
        let limit_s = width_s.min(self.settings.pulse_interval_s - width_s) / 2.0;
        let uncertain = self.lock.is_none() && own.root_distance_s > limit_s;
        from_reference_s.abs() > limit_s || uncertain
    }

    /// A pulse did not find its second. Whether that was the lock of a `local` clock.
    fn lose_lock(&mut self, journal: &mut Journal) -> bool {
        if self.settings.local {
            journal.warning("Local refclock lost lock");
            self.forget_samples();
        } else if self.lock.is_none() {
            self.filter.drop_samples();
        }
        self.settings.local
    }
}

/// A difference modulo the time between pulses, the smallest one, within
/// [−interval/2, interval/2).
fn wrap(offset_s: f64, interval_s: f64) -> f64 {
    let wrapped = offset_s - (offset_s / interval_s + 0.5).floor() * interval_s;
    // Rounding may give the upper end itself.
    if wrapped >= interval_s / 2.0 {
        -interval_s / 2.0
    } else {
        wrapped
    }
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn offsets_are_wrapped_around_the_pulse() {
        assert!((wrap(0.7, 1.0) + 0.3).abs() < 1e-12);
        assert!((wrap(-0.7, 1.0) - 0.3).abs() < 1e-12);
        assert!((wrap(-0.5, 1.0) + 0.5).abs() < 1e-12);
        assert!((wrap(0.5, 1.0) + 0.5).abs() < 1e-12);
        assert!((wrap(0.26, 0.2) - 0.06).abs() < 1e-12);
    }
}
