//! Reference clocks in the engine: what their drivers read becomes samples, and samples
//! become selections (discipline chapter, section 17).

use chrony_conf::refclock::RefclockSpec;
use discipline::reference::leap;
use discipline::samples::{ClockChange, DeviceTime, Reading, ReadingQuality, Sample};
use discipline::time::{MonotonicTime, RawTime};
use ntp_wire::LeapIndicator;

use super::Engine;
use crate::action::Action;
use crate::event::Now;
use crate::ids::SourceId;
use crate::refclock::{
    LockReference, OwnSecond, Refclock, RefclockData, RefclockDriver, RefclockId, RefclockSettings,
    When,
};

/// Fraction of a second that a time is past its second.
fn fraction_s(nanoseconds: u32) -> f64 {
    f64::from(nanoseconds) * 1e-9
}

impl Engine {
    /// Adds a reference clock whose device is open. They are added in the order of the
    /// configuration, before all other sources; [`Engine::lock_refclocks`] ends it.
    ///
    /// # Errors
    ///
    /// The text of a fatal message, when the clock cannot be used.
    pub fn add_refclock(
        &mut self,
        spec: &RefclockSpec,
        driver: RefclockDriver,
    ) -> Result<RefclockId, String> {
        if spec.tai && !self.steering.has_leap_database() {
            return Err("refclock tai option requires leapseclist or leapsectz".into());
        }
        let index = self.refclocks.len();
        let defaults = &self.settings.source_defaults;
        let polled = driver == RefclockDriver::Polled;
        let settings = RefclockSettings::new(spec, index, polled, defaults);
        let id = self
            .registry
            .reserve_id()
            .map_err(|error| error.to_string())?;
        let clock = Refclock::new(id, settings, driver, defaults.precision_s);
        self.refclocks.push(clock);
        Ok(RefclockId(index))
    }

    /// All reference clocks were added: finds the ones that others are locked to.
    pub fn lock_refclocks(&mut self) {
        for index in 0..self.refclocks.len() {
            let clock = &self.refclocks[index];
            let lock = if clock.settings().local {
                Some(index)
            } else {
                let wanted = clock.settings().lock.clone();
                wanted.and_then(|wanted| self.find_lock(index, &wanted))
            };
            self.refclocks[index].set_lock(lock);
        }
    }

    fn find_lock(&mut self, index: usize, wanted: &str) -> Option<usize> {
        let found = self
            .refclocks
            .iter()
            .position(|other| other.name() == wanted);
        let Some(found) = found.filter(|found| *found != index) else {
            self.journal.warning(format!("Invalid lock refid {wanted}"));
            return None;
        };
        let (clock, other) = (&self.refclocks[index], &self.refclocks[found]);
        if clock.is_polled()
            && other.is_polled()
            && clock.settings().max_lock_age_s < other.settings().driver_interval_s()
        {
            let (name, other) = (clock.name(), other.name());
            self.journal
                .warning(format!("{name} maxlockage too small for {other}"));
        }
        Some(found)
    }

    /// The reference clocks, in the order of the configuration.
    pub fn refclocks(&self) -> &[Refclock] {
        &self.refclocks
    }

    /// The reference clock with an identity.
    pub(super) fn refclock(&self, id: SourceId) -> Option<&Refclock> {
        self.refclocks.iter().find(|clock| clock.id() == id)
    }

    pub(super) fn refclock_mut(&mut self, id: SourceId) -> Option<&mut Refclock> {
        self.refclocks.iter_mut().find(|clock| clock.id() == id)
    }

    /// Polling begins.
    pub(super) fn start_refclocks(&mut self, now: Now) {
        for clock in &mut self.refclocks {
            clock.start(now.monotonic);
        }
    }

    pub(super) fn next_refclock_timeout(&self) -> Option<MonotonicTime> {
        self.refclocks
            .iter()
            .filter_map(Refclock::next_timeout)
            .min()
    }

    /// Asks for one poll that is due, or ends an interval; whether there was any.
    pub(super) fn drive_refclocks(&mut self, now: Now) -> bool {
        let is_due = |at: Option<MonotonicTime>| at.is_some_and(|at| at <= now.monotonic);
        let Some(index) = self
            .refclocks
            .iter()
            .position(|clock| is_due(clock.next_timeout()))
        else {
            return false;
        };
        if self.refclocks[index].schedule_next(now.monotonic) {
            self.actions.push_back(Action::PollRefclock {
                clock: RefclockId(index),
            });
        } else {
            self.end_refclock_interval(now, index);
        }
        true
    }

    /// The driver of a reference clock read something.
    pub fn handle_refclock_data(&mut self, now: Now, id: RefclockId, data: RefclockData<'_>) {
        if self.refclocks.get(id.0).is_none() {
            return;
        }
        match data {
            RefclockData::Timed {
                local,
                reference,
                leap,
            } => self.take_time(now, id.0, (local, reference), leap, ReadingQuality::Good),
            RefclockData::Pulse { local, fraction_s } => {
                let when = self.when(now, local);
                self.take_pulse(now, id.0, &when, fraction_s + when.correction_s);
            }
            RefclockData::Readings(readings) => self.take_readings(now, id.0, readings),
            RefclockData::DevicePulse(device) => self.take_device_pulse(now, id.0, device),
        }
    }

    /// [`Action::PollRefclock`] was done, whether or not it gave anything.
    pub fn refclock_polled(&mut self, now: Now, id: RefclockId) {
        if let Some(clock) = self.refclocks.get_mut(id.0)
            && clock.count_poll()
        {
            self.end_refclock_interval(now, id.0);
        }
    }

    fn when(&self, now: Now, raw: RawTime) -> When {
        let (time, error_s) = self.steering.cook(raw);
        When {
            time,
            correction_s: self.steering.clock().correction(raw),
            error_s,
            now: self.steering.cook(now.raw).0,
        }
    }

    /// A time of the clock with the system's.
    fn take_time(
        &mut self,
        now: Now,
        index: usize,
        (local, reference): (RawTime, RawTime),
        leap: LeapIndicator,
        quality: ReadingQuality,
    ) {
        let settings = self.refclocks[index].settings();
        if settings.pulses {
            let past_s = fraction_s(local.subsec_ns()) - fraction_s(reference.subsec_ns());
            let when = self.when(now, local);
            self.take_pulse(now, index, &when, past_s + when.correction_s);
            return;
        }
        let tai_s = if settings.tai {
            let Some(tai_s) = self.tai_offset_s(reference) else {
                return;
            };
            f64::from(tai_s)
        } else {
            0.0
        };
        let when = self.when(now, local);
        let window_start_s = self.steering.window_start_s();
        let offset_s = reference.since(local) - tai_s;
        let clock = &mut self.refclocks[index];
        clock.take_timed(
            &when,
            offset_s,
            leap,
            quality,
            window_start_s,
            &mut self.journal,
        );
    }

    /// TAI − UTC at a time in TAI: looked up with it, and again with the time in UTC.
    fn tai_offset_s(&mut self, time: RawTime) -> Option<i32> {
        let mut look_up = |seconds| {
            let offset_s = self.steering.tai_offset_s(seconds, &mut self.journal)?;
            (offset_s != 0).then_some(offset_s)
        };
        let nearly = look_up(time.seconds())?;
        look_up(time.seconds().saturating_sub(i64::from(nearly)))
    }

    /// A pulse; `past_s` is the part of a second that cooked time is past its second.
    fn take_pulse(&mut self, now: Now, index: usize, when: &When, past_s: f64) {
        let own = self.steering.own_reference(now);
        let own = OwnSecond {
            leap: own.leap,
            root_distance_s: own.root_delay_s / 2.0 + own.root_dispersion_s,
        };
        let reference = self.lock_reference(index);
        let clock = &mut self.refclocks[index];
        if clock.take_pulse(when, past_s, reference.as_ref(), &own, &mut self.journal) {
            self.selector.reset_source(clock.id().0);
        }
    }

    fn lock_reference(&self, index: usize) -> Option<LockReference> {
        let lock = self.refclocks.get(index)?.lock()?;
        self.refclocks.get(lock)?.lock_reference()
    }

    /// Readings of a hardware clock: they are followed and, unless pulses come by it, a sample.
    fn take_readings(&mut self, now: Now, index: usize, readings: &[Reading]) {
        let clock = &mut self.refclocks[index];
        let Some(tracker) = clock.tracker_mut() else {
            return;
        };
        let random = self.random.as_mut();
        let Some((sample, error_s)) = self.steering.track(tracker, readings, random) else {
            return;
        };
        if let Some(error_s) = error_s {
            clock.set_device_error(error_s);
        }
        if self.refclocks[index].settings().external_pulses {
            return;
        }
        let reference = RawTime::from_ns(sample.device.as_ns());
        let leap = LeapIndicator::Normal;
        self.take_time(now, index, (sample.local, reference), leap, sample.quality);
    }

    fn take_device_pulse(&mut self, now: Now, index: usize, device: DeviceTime) {
        let Some((time, error_s)) = self.refclocks[index].cook_device(device) else {
            return;
        };
        let raw = self.steering.clock().uncook(time);
        let mut when = self.when(now, raw);
        when.error_s += error_s;
        // What is raw here is the device's time: that is how it is logged.
        when.correction_s = device.since(DeviceTime::from_ns(time.as_ns()));
        self.take_pulse(now, index, &when, fraction_s(time.subsec_ns()));
    }

    /// An interval is over: the samples become one, and the selection follows.
    fn end_refclock_interval(&mut self, now: Now, index: usize) {
        let stratum = self.refclock_stratum(now, index);
        let sample = self.refclocks[index].end_interval(stratum);
        let id = self.refclocks[index].id();
        match sample {
            Some(sample) => {
                let leap = self.refclocks[index].newest_leap();
                self.follow_refclock_leap(now, index, leap);
                if self.is_around_leap(now, &sample) {
                    self.journal.info(leap::SAMPLE_DROPPED);
                } else {
                    self.refclocks[index].accumulate(&sample, &mut self.journal);
                    self.follow_local_refclock(now, index);
                }
                self.select(now, Some(id));
                self.refclocks[index].log_filtered(&sample, &mut self.journal);
            }
            None if !self.refclocks[index].reachability().is_reachable() => self.select(now, None),
            None => {}
        }
        self.check_one_shot(now);
    }

    /// Whether the leap second is near by any of the times concerned.
    fn is_around_leap(&mut self, now: Now, sample: &Sample) -> bool {
        let (cooked, _) = self.steering.cook(now.raw);
        let times = [cooked, sample.time, sample.time.plus(sample.offset_s)];
        leap::is_close(self.steering.leap_second_s(), now.raw, &times)
    }

    /// The configured stratum. Of pulses whose second is the system clock's: one below its own
    /// while it follows such pulses or nothing but itself, else 0.
    fn refclock_stratum(&mut self, now: Now, index: usize) -> u8 {
        let clock = &self.refclocks[index];
        if !clock.is_unlocked_pulse() {
            return clock.settings().stratum;
        }
        let own = self.steering.own_reference(now);
        let follows_itself = own.reference_id == ntp_wire::REFERENCE_ID_LOCAL
            || self.refclocks.iter().enumerate().any(|(place, clock)| {
                clock.reference_id() == own.reference_id
                    && (place == index || clock.is_unlocked_pulse())
            });
        if follows_itself && own.leap != LeapIndicator::Unsynchronised {
            own.stratum.saturating_sub(1)
        } else {
            0
        }
    }

    /// Between updates of the reference the system clock follows a `local` clock; only the
    /// samples of that clock are told.
    fn follow_local_refclock(&mut self, now: Now, index: usize) {
        self.refclocks[index].reduce_local_offset();
        let Some(drift) = self.refclocks[index].take_local_drift(now.monotonic) else {
            return;
        };
        let change = self.steering.act(now, &mut self.journal, |reference, act| {
            reference.follow_local_clock(&drift, act)
        });
        if let Some(change) = change {
            self.refclocks[index].handle_adjustment(&change);
        }
        self.propagate(now);
    }

    /// Every reference clock follows a change of the clock; `None` when it is not known by
    /// how much it changed.
    pub(super) fn shift_refclocks(&mut self, change: Option<&ClockChange>) {
        for clock in &mut self.refclocks {
            match change {
                Some(change) => clock.handle_adjustment(change),
                None => clock.forget_samples(),
            }
        }
    }
}
