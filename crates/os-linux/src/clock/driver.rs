//! Steering of the kernel's real-time clock through `adjtimex` (discipline chapter,
//! section 2.5; system chapter, sections 5.1 to 5.4).
//!
//! The driver only translates: parts per million into ticks and frequency, an offset into
//! a step, a status into bits. When to do which is decided elsewhere.

use std::fmt;
use std::io;

use super::timex::{Kernel, KernelRelease, LeapState, SystemKernel, Timex};
use crate::error::error_text;

const MODE_OFFSET: u32 = 0x0001;
const MODE_FREQUENCY: u32 = 0x0002;
const MODE_MAXIMUM_ERROR: u32 = 0x0004;
const MODE_ESTIMATED_ERROR: u32 = 0x0008;
const MODE_STATUS: u32 = 0x0010;
const MODE_TIME_CONSTANT: u32 = 0x0020;
const MODE_TAI: u32 = 0x0080;
const MODE_SET_OFFSET: u32 = 0x0100;
const MODE_NANO: u32 = 0x2000;
const MODE_TICK: u32 = 0x4000;
/// Sets the remainder of `adjtime`; a mode of its own, not a union.
const MODE_OFFSET_SINGLE_SHOT: u32 = 0x8001;

const STATUS_PLL: i32 = 0x01;
const STATUS_INSERT: i32 = 0x10;
const STATUS_DELETE: i32 = 0x20;
const STATUS_UNSYNCHRONISED: i32 = 0x40;

/// Units of the kernel's frequency field in one ppm.
const FREQUENCY_SCALE: f64 = 65_536.0;

/// Error at which the kernel takes its clock for unsynchronised, s (`NTP_PHASE_LIMIT`).
const ERROR_LIMIT_S: f64 = 16.0;

/// The oldest kernel with `ADJ_SETOFFSET`.
const OLDEST_KERNEL: KernelRelease = KernelRelease::new(2, 6, 39);

/// From this kernel on a new frequency takes effect at once and not at the next tick.
const PROMPT_KERNEL: KernelRelease = KernelRelease::new(4, 19, 0);

/// A failure of the clock driver. The texts are those of the daemon's fatal messages.
#[derive(Debug)]
pub enum ClockError {
    /// An `adjtimex` call with these modes failed.
    Adjtimex {
        /// The modes of the call.
        modes: u32,
        /// The kernel's reason.
        error: io::Error,
    },
    /// The number of ticks per second cannot be told from this tick (µs).
    UnknownTick(i64),
    /// The kernel does not tell its version.
    Uname,
    /// The kernel's version is not understood.
    UnknownKernel,
    /// The kernel is older than 2.6.39.
    UnsupportedKernel,
}

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adjtimex { modes, error } => {
                write!(f, "adjtimex(0x{modes:x}) failed : {}", error_text(error))
            }
            Self::UnknownTick(tick) => write!(f, "Can't determine hz from tick {tick}"),
            Self::Uname => f.write_str("uname() failed"),
            Self::UnknownKernel => f.write_str("Could not parse kernel version"),
            Self::UnsupportedKernel => f.write_str("Kernel version not supported, sorry."),
        }
    }
}

impl std::error::Error for ClockError {}

/// The leap second that the kernel shall apply at the end of the UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeapWish {
    /// None.
    Normal,
    /// Insert a second.
    Insert,
    /// Delete a second.
    Delete,
}

impl LeapWish {
    fn status_bits(self) -> i32 {
        match self {
            Self::Normal => 0,
            Self::Insert => STATUS_INSERT,
            Self::Delete => STATUS_DELETE,
        }
    }
}

/// What a call of [`KernelClock::set_leap`] changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeapUpdate {
    /// The TAI offset, when it is another than the one set last.
    pub tai_offset_s: Option<i32>,
    /// How the message `System clock status <…> leap second` names the change of the
    /// status bits, `None` when they stay.
    pub status_text: Option<&'static str>,
}

/// What the kernel reported last, to notice other programs.
#[derive(Clone, Copy, Debug)]
struct Reported {
    pll: bool,
    constant: i64,
    frequency: i64,
}

/// The kernel's real-time clock under the daemon's control.
///
/// Sign: a positive frequency means that the uncorrected clock runs fast, so that the
/// kernel is told to slow it down.
#[derive(Debug)]
pub struct KernelClock<K = SystemKernel> {
    kernel: K,
    ticks_per_second: i64,
    nominal_tick_us: i64,
    effect_delay_s: f64,
    status: i32,
    tai_offset_s: Option<i32>,
    reported: Option<Reported>,
    interference: bool,
}

impl<K: Kernel> KernelClock<K> {
    /// Takes over the clock: ends a running `adjtime`, clears and switches off the
    /// kernel's own phase-locked loop. The frequency in force stays.
    ///
    /// # Errors
    ///
    /// Fatal for a daemon that shall steer the clock; without CAP_SYS_TIME
    /// `adjtimex(0x8001) failed : Operation not permitted`.
    pub fn start(mut kernel: K) -> Result<Self, ClockError> {
        let release = kernel.release().map_err(|_| ClockError::Uname)?;
        let release = release.ok_or(ClockError::UnknownKernel)?;
        if release < OLDEST_KERNEL {
            return Err(ClockError::UnsupportedKernel);
        }
        let ticks_per_second = match kernel.ticks_per_second() {
            Some(ticks) => ticks,
            None => ticks_from_tick(read(&mut kernel)?.tick_us)?,
        };
        let nominal_tick_us = (1_000_000 + ticks_per_second / 2) / ticks_per_second;
        let mut clock = Self {
            kernel,
            ticks_per_second,
            nominal_tick_us,
            effect_delay_s: 0.0,
            status: STATUS_UNSYNCHRONISED,
            tai_offset_s: None,
            reported: None,
            interference: false,
        };
        let delay_s = if release < PROMPT_KERNEL { 0.01 } else { 1e-5 };
        clock.effect_delay_s = delay_s * (1.0 + clock.maximum_frequency_ppm() * 1e-6);
        clock.reset_loop()?;
        Ok(clock)
    }

    /// Ends `adjtime` and the kernel's phase-locked loop, in the observed order.
    fn reset_loop(&mut self) -> Result<(), ClockError> {
        self.call(Timex {
            modes: MODE_OFFSET_SINGLE_SHOT,
            ..Timex::default()
        })?;
        self.call(Timex {
            modes: MODE_OFFSET | MODE_STATUS,
            status: STATUS_PLL | STATUS_UNSYNCHRONISED,
            ..Timex::default()
        })?;
        self.call(Timex {
            modes: MODE_STATUS,
            status: STATUS_UNSYNCHRONISED,
            ..Timex::default()
        })?;
        Ok(())
    }

    /// Largest frequency that can be set, ppm: 100000 at 100 ticks per second.
    pub fn maximum_frequency_ppm(&self) -> f64 {
        1e6 * (self.nominal_tick_us / 10) as f64 / self.nominal_tick_us as f64
    }

    /// Longest time until a new frequency takes effect, s.
    pub fn effect_delay_s(&self) -> f64 {
        self.effect_delay_s
    }

    /// The frequency in force, ppm.
    ///
    /// # Errors
    ///
    /// As `adjtimex`; fatal.
    pub fn frequency_ppm(&mut self) -> Result<f64, ClockError> {
        let (timex, _) = self.call(Timex::default())?;
        let tick_bias = (self.nominal_tick_us - timex.tick_us) as f64;
        Ok(self.ticks_per_second as f64 * tick_bias - timex.frequency as f64 / FREQUENCY_SCALE)
    }

    /// Sets the frequency and returns the one the kernel accepted, both ppm. The
    /// resolution is 2⁻¹⁶ ppm.
    ///
    /// # Errors
    ///
    /// As `adjtimex`; fatal.
    pub fn set_frequency_ppm(&mut self, frequency_ppm: f64) -> Result<f64, ClockError> {
        let ticks = self.ticks_per_second as f64;
        let tick_bias = (frequency_ppm / ticks).round();
        let whole_ppm = ticks * tick_bias;
        let (timex, _) = self.call(Timex {
            modes: MODE_TICK | MODE_FREQUENCY,
            tick_us: self.nominal_tick_us - tick_bias as i64,
            // `as` drops the fraction, as the reference does.
            frequency: (-(frequency_ppm - whole_ppm) * FREQUENCY_SCALE) as i64,
            ..Timex::default()
        })?;
        Ok(whole_ppm - timex.frequency as f64 / FREQUENCY_SCALE)
    }

    /// Moves the clock by `change_s` seconds at once, positive forwards.
    ///
    /// # Errors
    ///
    /// As `adjtimex`; not fatal (`Could not step system clock`).
    pub fn step(&mut self, change_s: f64) -> Result<(), ClockError> {
        let mut seconds = change_s.floor();
        let mut ns = ((change_s - seconds) * 1e9).round();
        if ns >= 1e9 {
            seconds += 1.0;
            ns = 0.0;
        }
        self.call(Timex {
            modes: MODE_SET_OFFSET | MODE_NANO,
            seconds: seconds as i64,
            fraction: ns as i64,
            ..Timex::default()
        })?;
        Ok(())
    }

    /// Tells the kernel how good its clock is, both errors in seconds. `synchronised` is
    /// cleared when the maximum error reaches 16 s. The kernel's unsynchronised bit is
    /// cleared only if `sync_rtc` (`rtcsync`), since the kernel then copies its time to
    /// the real-time clock chip.
    ///
    /// # Errors
    ///
    /// As `adjtimex`; not fatal.
    pub fn set_synchronised(
        &mut self,
        synchronised: bool,
        sync_rtc: bool,
        estimated_error_s: f64,
        maximum_error_s: f64,
    ) -> Result<(), ClockError> {
        let good = synchronised && maximum_error_s < ERROR_LIMIT_S;
        let limit = |error_s: f64| {
            // A NaN compares false and becomes the limit.
            let known = synchronised && error_s < ERROR_LIMIT_S;
            let limited_s = if known {
                error_s.max(0.0)
            } else {
                ERROR_LIMIT_S
            };
            (limited_s * 1e6) as i64
        };
        if good && sync_rtc {
            self.status &= !STATUS_UNSYNCHRONISED;
        } else {
            self.status |= STATUS_UNSYNCHRONISED;
        }
        self.call(Timex {
            modes: MODE_STATUS | MODE_ESTIMATED_ERROR | MODE_MAXIMUM_ERROR,
            status: self.status,
            estimated_error_us: limit(estimated_error_s),
            maximum_error_us: limit(maximum_error_s),
            ..Timex::default()
        })?;
        Ok(())
    }

    /// Sets or clears the leap second status, and the TAI offset when it is known
    /// (non-zero). Returns what changed, for the messages.
    ///
    /// # Errors
    ///
    /// As `adjtimex`; fatal.
    pub fn set_leap(
        &mut self,
        leap: LeapWish,
        tai_offset_s: Option<i32>,
    ) -> Result<LeapUpdate, ClockError> {
        let (_, state) = self.call(Timex::default())?;
        let leap_bits = STATUS_INSERT | STATUS_DELETE;
        let before = self.status & leap_bits;
        if state == LeapState::Wait
            && let Some(known) = &mut self.tai_offset_s
        {
            // The kernel has applied the leap second and moved its TAI offset itself.
            *known +=
                i32::from(before & STATUS_INSERT != 0) - i32::from(before & STATUS_DELETE != 0);
        }
        self.status = (self.status & !leap_bits) | leap.status_bits();
        let mut update = LeapUpdate::default();
        let mut request = Timex {
            modes: MODE_STATUS,
            status: self.status,
            ..Timex::default()
        };
        if let Some(offset) = tai_offset_s.filter(|&offset| offset != 0) {
            request.modes |= MODE_TAI;
            request.constant = offset.into();
            if self.tai_offset_s.replace(offset) != Some(offset) {
                update.tai_offset_s = Some(offset);
            }
        }
        if before != leap.status_bits() {
            update.status_text = Some(match leap {
                LeapWish::Insert => "set to insert",
                LeapWish::Delete => "set to delete",
                LeapWish::Normal if state == LeapState::Wait => "reset after",
                LeapWish::Normal => "set to not insert/delete",
            });
        }
        self.call(request)?;
        Ok(update)
    }

    /// Whether another program has meddled with the clock since the last question.
    pub fn take_interference(&mut self) -> bool {
        std::mem::take(&mut self.interference)
    }

    /// The kernel underneath, for tests.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The kernel underneath, to be changed by tests.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    fn call(&mut self, request: Timex) -> Result<(Timex, LeapState), ClockError> {
        let modes = request.modes;
        let mut timex = request;
        let state = self
            .kernel
            .adjtimex(&mut timex)
            .map_err(|error| ClockError::Adjtimex { modes, error })?;
        self.watch(modes, &timex);
        Ok((timex, state))
    }

    /// Compares with the last report what this call did not set itself.
    fn watch(&mut self, modes: u32, timex: &Timex) {
        let now = Reported {
            pll: timex.status & STATUS_PLL != 0,
            constant: timex.constant,
            frequency: timex.frequency,
        };
        if let Some(before) = self.reported.replace(now) {
            let not_set = |mode| modes & mode == 0;
            self.interference |= (not_set(MODE_STATUS) && now.pll != before.pll)
                || (not_set(MODE_TIME_CONSTANT) && now.constant != before.constant)
                || (not_set(MODE_FREQUENCY) && now.frequency != before.frequency);
        }
    }
}

fn read<K: Kernel>(kernel: &mut K) -> Result<Timex, ClockError> {
    let mut timex = Timex::default();
    kernel
        .adjtimex(&mut timex)
        .map_err(|error| ClockError::Adjtimex { modes: 0, error })?;
    Ok(timex)
}

/// Ticks per second guessed from the length of a tick, for a system that does not tell.
fn ticks_from_tick(tick_us: i64) -> Result<i64, ClockError> {
    if (9_000..=11_000).contains(&tick_us) {
        return Ok(100);
    }
    (4..=15)
        .map(|exponent| 1 << exponent)
        .find(|ticks| {
            let nominal = 1_000_000 / ticks;
            3 * tick_us > 2 * nominal && 3 * tick_us < 4 * nominal
        })
        .ok_or(ClockError::UnknownTick(tick_us))
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
