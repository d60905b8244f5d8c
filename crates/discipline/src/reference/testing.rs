//! A clock and its kernel for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::journal::{Entry, Journal};
use crate::time::{MonotonicTime, RawTime};

use super::driver::{ClockDriver, ClockLimits, DriverError, KernelLeapUpdate, PendingLeap};
use super::local_clock::{LocalClock, LocalClockSettings};
use super::{KernelTicks, Now};

/// 2026-11-24 15:00:00 UTC, where tests begin.
pub(crate) const START_S: i64 = 1_795_532_400;

/// Both clocks so many seconds after the start of a test.
pub(crate) fn now(seconds: f64) -> Now {
    Now {
        raw: RawTime::from_parts(START_S, 0).plus(seconds),
        monotonic: MonotonicTime::from_parts(1000, 0).plus(seconds),
    }
}

/// What a test kernel was told.
#[derive(Debug, Default)]
pub(crate) struct KernelState {
    pub(crate) frequency_ppm: f64,
    pub(crate) steps: Vec<f64>,
    pub(crate) refuses_steps: bool,
    pub(crate) status: Option<(bool, f64, f64)>,
    pub(crate) leap: PendingLeap,
    pub(crate) tai_offset_s: Option<i32>,
}

/// A kernel with 100 Hz ticks.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestKernel(Arc<Mutex<KernelState>>);

impl TestKernel {
    pub(crate) fn state(&self) -> MutexGuard<'_, KernelState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn frequency_ppm(&self) -> f64 {
        self.state().frequency_ppm
    }
}

impl ClockDriver for TestKernel {
    fn limits(&self) -> ClockLimits {
        let ticks = KernelTicks::new(100).expect("in range");
        ClockLimits {
            maximum_frequency_ppm: ticks.maximum_frequency_ppm(),
            effect_delay_s: 1.1e-5,
            controls_clock: true,
            supports_leap: true,
        }
    }

    fn frequency(&mut self) -> Result<f64, DriverError> {
        Ok(self.frequency_ppm())
    }

    fn set_frequency(&mut self, frequency_ppm: f64) -> Result<f64, DriverError> {
        self.state().frequency_ppm = frequency_ppm;
        Ok(frequency_ppm)
    }

    fn step(&mut self, change_s: f64) -> Result<(), DriverError> {
        let mut state = self.state();
        if state.refuses_steps {
            return Err(DriverError("refused".into()));
        }
        state.steps.push(change_s);
        Ok(())
    }

    fn set_sync_status(&mut self, synchronised: bool, estimated_s: f64, maximum_s: f64) {
        self.state().status = Some((synchronised, estimated_s, maximum_s));
    }

    fn set_leap(
        &mut self,
        leap: PendingLeap,
        tai_offset_s: Option<i32>,
    ) -> Result<KernelLeapUpdate, DriverError> {
        let mut state = self.state();
        let update = KernelLeapUpdate {
            tai_offset_s: tai_offset_s.filter(|_| tai_offset_s != state.tai_offset_s),
            status_text: (leap != state.leap).then_some(match leap {
                PendingLeap::None => "set to not insert/delete",
                PendingLeap::Insert => "set to insert",
                PendingLeap::Delete => "set to delete",
            }),
        };
        state.leap = leap;
        state.tai_offset_s = tai_offset_s;
        Ok(update)
    }
}

/// A clock over a kernel that compensates `frequency_ppm`.
pub(crate) fn clock(frequency_ppm: f64) -> (LocalClock, TestKernel) {
    let kernel = TestKernel::default();
    kernel.state().frequency_ppm = frequency_ppm;
    let clock = LocalClock::new(
        Box::new(kernel.clone()),
        LocalClockSettings::default(),
        now(0.0),
    )
    .expect("the test kernel does not fail");
    (clock, kernel)
}

/// Takes the texts of all messages.
pub(crate) fn messages(journal: &mut Journal) -> Vec<String> {
    journal
        .drain()
        .filter_map(|entry| match entry {
            Entry::Message { text, .. } => Some(text),
            Entry::Line { .. } => None,
        })
        .collect()
}
