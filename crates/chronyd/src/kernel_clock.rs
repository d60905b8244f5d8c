//! The kernel's clock as the discipline steers it.

use discipline::reference::{ClockDriver, ClockLimits, DriverError, KernelLeapUpdate, PendingLeap};
use os_linux::clock::{ClockError, Kernel, KernelClock, LeapWish, SystemKernel};

/// The kernel's clock, with or without `rtcsync`.
#[derive(Debug)]
pub struct SteeredKernel<K = SystemKernel> {
    clock: KernelClock<K>,
    sync_rtc: bool,
}

impl<K: Kernel> SteeredKernel<K> {
    /// Takes over the clock. The error is the text of a fatal message.
    pub fn start(kernel: K, sync_rtc: bool) -> Result<Self, String> {
        let clock = KernelClock::start(kernel).map_err(|error| error.to_string())?;
        Ok(Self { clock, sync_rtc })
    }
}

fn failed(error: ClockError) -> DriverError {
    DriverError(error.to_string())
}

impl<K: Kernel + Send> ClockDriver for SteeredKernel<K> {
    fn limits(&self) -> ClockLimits {
        ClockLimits {
            maximum_frequency_ppm: self.clock.maximum_frequency_ppm(),
            effect_delay_s: self.clock.effect_delay_s(),
            controls_clock: true,
            supports_leap: true,
        }
    }

    fn frequency(&mut self) -> Result<f64, DriverError> {
        self.clock.frequency_ppm().map_err(failed)
    }

    fn set_frequency(&mut self, frequency_ppm: f64) -> Result<f64, DriverError> {
        self.clock.set_frequency_ppm(frequency_ppm).map_err(failed)
    }

    fn step(&mut self, change_s: f64) -> Result<(), DriverError> {
        self.clock.step(change_s).map_err(failed)
    }

    fn set_sync_status(
        &mut self,
        synchronised: bool,
        estimated_error_s: f64,
        maximum_error_s: f64,
    ) {
        // The status is only information for others; the clock goes on without it.
        let _ = self.clock.set_synchronised(
            synchronised,
            self.sync_rtc,
            estimated_error_s,
            maximum_error_s,
        );
    }

    fn take_interference(&mut self) -> bool {
        self.clock.take_interference()
    }

    fn set_leap(
        &mut self,
        leap: PendingLeap,
        tai_offset_s: Option<i32>,
    ) -> Result<KernelLeapUpdate, DriverError> {
        let wish = match leap {
            PendingLeap::None => LeapWish::Normal,
            PendingLeap::Insert => LeapWish::Insert,
            PendingLeap::Delete => LeapWish::Delete,
        };
        let update = self.clock.set_leap(wish, tai_offset_s).map_err(failed)?;
        Ok(KernelLeapUpdate {
            tai_offset_s: update.tai_offset_s,
            status_text: update.status_text,
        })
    }
}
