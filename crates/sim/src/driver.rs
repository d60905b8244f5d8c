//! The simulated kernel: what an engine steers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use discipline::reference::{ClockDriver, ClockLimits, DriverError, KernelLeapUpdate, PendingLeap};

use crate::clock::SimClock;

/// A clock shared between the world, which lets it run, and the engine's driver, which
/// steers it.
#[derive(Clone, Debug)]
pub struct SharedClock(Arc<Mutex<SimClock>>);

impl SharedClock {
    /// Shares a clock.
    pub fn new(clock: SimClock) -> Self {
        Self(Arc::new(Mutex::new(clock)))
    }

    /// The clock. The simulator has one thread, so nobody ever waits here.
    pub fn lock(&self) -> MutexGuard<'_, SimClock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Largest frequency that the simulated kernel takes, ppm.
const MAXIMUM_FREQUENCY_PPM: f64 = 100_000.0;

/// Resolution of the simulated kernel's frequency, ppm, as Linux has it.
const FREQUENCY_RESOLUTION_PPM: f64 = 1.0 / 65_536.0;

/// Longest time until a new frequency takes effect that the driver claims, seconds; the
/// simulated clock takes it at once.
const EFFECT_DELAY_S: f64 = 1.1e-5;

/// What a simulated kernel can do, and how it is found at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimKernel {
    /// Whether the clock can be stepped.
    pub steps: bool,
    /// Whether it makes leap seconds by itself.
    pub leap_seconds: bool,
    /// The frequency that somebody set before, ppm.
    pub frequency_ppm: f64,
}

impl Default for SimKernel {
    /// Steps, no leap seconds, and no frequency set before.
    fn default() -> Self {
        Self {
            steps: true,
            leap_seconds: false,
            frequency_ppm: 0.0,
        }
    }
}

/// Steers a simulated clock as the kernel's is steered.
#[derive(Debug)]
pub struct SimDriver {
    clock: SharedClock,
    kernel: SimKernel,
    frequency_ppm: f64,
    ordered: PendingLeap,
    tai_offset_s: Option<i32>,
}

impl SimDriver {
    /// Steers this clock.
    pub fn new(clock: SharedClock, kernel: SimKernel) -> Self {
        clock.lock().set_compensation_ppm(kernel.frequency_ppm);
        Self {
            clock,
            kernel,
            frequency_ppm: kernel.frequency_ppm,
            ordered: PendingLeap::None,
            tai_offset_s: None,
        }
    }
}

impl ClockDriver for SimDriver {
    fn limits(&self) -> ClockLimits {
        ClockLimits {
            maximum_frequency_ppm: MAXIMUM_FREQUENCY_PPM,
            effect_delay_s: EFFECT_DELAY_S,
            controls_clock: true,
            supports_leap: self.kernel.leap_seconds,
        }
    }

    fn frequency(&mut self) -> Result<f64, DriverError> {
        Ok(self.frequency_ppm)
    }

    fn set_frequency(&mut self, frequency_ppm: f64) -> Result<f64, DriverError> {
        let steps = (frequency_ppm / FREQUENCY_RESOLUTION_PPM).round();
        self.frequency_ppm = steps * FREQUENCY_RESOLUTION_PPM;
        self.clock.lock().set_compensation_ppm(self.frequency_ppm);
        Ok(self.frequency_ppm)
    }

    fn step(&mut self, change_s: f64) -> Result<(), DriverError> {
        if !self.kernel.steps {
            return Err(DriverError("the simulated kernel refuses".to_owned()));
        }
        self.clock.lock().step(change_s);
        Ok(())
    }

    fn set_sync_status(&mut self, _: bool, _: f64, _: f64) {}

    fn set_leap(
        &mut self,
        leap: PendingLeap,
        tai_offset_s: Option<i32>,
    ) -> Result<KernelLeapUpdate, DriverError> {
        let mut clock = self.clock.lock();
        let made = self.ordered != PendingLeap::None && !clock.has_leap();
        let before = std::mem::replace(&mut self.ordered, leap);
        if made && let Some(known_s) = &mut self.tai_offset_s {
            *known_s += before.seconds();
        }
        clock.order_leap(leap);
        let mut update = KernelLeapUpdate::default();
        if let Some(offset_s) = tai_offset_s
            && self.tai_offset_s.replace(offset_s) != Some(offset_s)
        {
            update.tai_offset_s = Some(offset_s);
        }
        if before != leap {
            update.status_text = Some(match leap {
                PendingLeap::Insert => "set to insert",
                PendingLeap::Delete => "set to delete",
                PendingLeap::None if made => "reset after",
                PendingLeap::None => "set to not insert/delete",
            });
        }
        Ok(update)
    }
}
