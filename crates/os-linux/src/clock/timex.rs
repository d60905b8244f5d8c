//! The kernel's clock interface as plain data, and the trait behind which it stands.
//!
//! `adjtimex` is the one call that steers the clock; everything the daemon does to the
//! kernel's clock is a value of [`Timex`]. The [`Kernel`] trait has the running kernel as
//! one implementation; tests give another that records calls or refuses them.

use std::io;

use super::widen;
use crate::error::check;

/// The fields of the kernel's `struct timex` that the daemon reads or sets, in the
/// kernel's units (adjtimex(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timex {
    /// Which fields the call sets, a union of `ADJ_*`; 0 reads only.
    pub modes: u32,
    /// Offset of the phase-locked loop or of `adjtime`, ns or µs.
    pub offset: i64,
    /// Frequency in 2⁻¹⁶ ppm, positive makes the clock faster.
    pub frequency: i64,
    /// Maximum error, µs.
    pub maximum_error_us: i64,
    /// Estimated error, µs.
    pub estimated_error_us: i64,
    /// Status bits, a union of `STA_*`.
    pub status: i32,
    /// Time constant of the phase-locked loop; with `ADJ_TAI` the TAI offset to set.
    pub constant: i64,
    /// The time, or with `ADJ_SETOFFSET` the change: whole seconds.
    pub seconds: i64,
    /// Fraction of the second, in ns with `ADJ_NANO`, else µs.
    pub fraction: i64,
    /// Microseconds that the clock advances in one tick.
    pub tick_us: i64,
    /// TAI − UTC in the kernel, s.
    pub tai_offset_s: i32,
}

/// The leap second state that `adjtimex` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeapState {
    /// Nothing pending (`TIME_OK`).
    Normal,
    /// A second will be inserted (`TIME_INS`).
    Insert,
    /// A second will be deleted (`TIME_DEL`).
    Delete,
    /// The inserted second is running (`TIME_OOP`).
    InProgress,
    /// The leap second is over and its status bit still set (`TIME_WAIT`).
    Wait,
    /// Not synchronised (`TIME_ERROR`).
    Unsynchronised,
}

impl LeapState {
    fn from_result(result: i32) -> Self {
        match result {
            libc::TIME_OK => Self::Normal,
            libc::TIME_INS => Self::Insert,
            libc::TIME_DEL => Self::Delete,
            libc::TIME_OOP => Self::InProgress,
            libc::TIME_WAIT => Self::Wait,
            _ => Self::Unsynchronised,
        }
    }
}

/// Version of a kernel, for example 6.1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelRelease {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number, 0 when missing.
    pub patch: u32,
}

impl KernelRelease {
    /// `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// From the text of `uname -r`, `a.b[.c]` with anything behind.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.splitn(3, '.').map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit());
            part[..end.unwrap_or(part.len())].parse().ok()
        });
        Some(Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next().flatten().unwrap_or(0),
        })
    }
}

/// What the clock driver needs of a kernel.
pub trait Kernel {
    /// `adjtimex(2)`: sets what `timex.modes` names, then fills `timex` with the state in
    /// force.
    ///
    /// # Errors
    ///
    /// The kernel's: `EPERM` without CAP_SYS_TIME, `EINVAL` for values out of range.
    fn adjtimex(&mut self, timex: &mut Timex) -> io::Result<LeapState>;

    /// Clock ticks per second (USER_HZ), if the system tells.
    fn ticks_per_second(&self) -> Option<i64>;

    /// Version, `None` when its text is not understood.
    ///
    /// # Errors
    ///
    /// As `uname`.
    fn release(&self) -> io::Result<Option<KernelRelease>>;
}

/// The running kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemKernel;

impl Kernel for SystemKernel {
    fn adjtimex(&mut self, timex: &mut Timex) -> io::Result<LeapState> {
        let mut raw = to_raw(timex);
        // SAFETY: `raw` is a whole timex, as the call reads and fills.
        let state = check(unsafe { libc::adjtimex(&mut raw) })?;
        *timex = from_raw(&raw);
        Ok(LeapState::from_result(state))
    }

    fn ticks_per_second(&self) -> Option<i64> {
        // SAFETY: sysconf takes a constant and touches no memory of ours.
        let ticks = widen(unsafe { libc::sysconf(libc::_SC_CLK_TCK) });
        (ticks > 0).then_some(ticks)
    }

    fn release(&self) -> io::Result<Option<KernelRelease>> {
        release_text().map(|text| KernelRelease::parse(&text))
    }
}

/// Version of the running kernel, `None` when it is not told or not understood.
pub fn kernel_release() -> Option<KernelRelease> {
    KernelRelease::parse(&release_text().ok()?)
}

/// What `uname -r` prints.
fn release_text() -> io::Result<String> {
    // SAFETY: utsname is an array of bytes, for which zero is a value.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a whole utsname for the call to fill.
    check(unsafe { libc::uname(&mut name) })?;
    Ok(name
        .release
        .iter()
        // The C library's character is signed on some machines.
        .map(|&character| char::from(character.to_ne_bytes()[0]))
        .take_while(|&c| c != '\0')
        .collect())
}

fn to_raw(timex: &Timex) -> libc::timex {
    // SAFETY: timex consists of integers, for which zero is a value.
    let mut raw: libc::timex = unsafe { std::mem::zeroed() };
    // The casts only narrow on 32-bit targets, where the kernel's fields are as narrow.
    raw.modes = timex.modes;
    raw.offset = timex.offset as _;
    raw.freq = timex.frequency as _;
    raw.maxerror = timex.maximum_error_us as _;
    raw.esterror = timex.estimated_error_us as _;
    raw.status = timex.status;
    raw.constant = timex.constant as _;
    raw.time.tv_sec = timex.seconds as _;
    raw.time.tv_usec = timex.fraction as _;
    raw.tick = timex.tick_us as _;
    raw
}

fn from_raw(raw: &libc::timex) -> Timex {
    Timex {
        modes: raw.modes,
        offset: widen(raw.offset),
        frequency: widen(raw.freq),
        maximum_error_us: widen(raw.maxerror),
        estimated_error_us: widen(raw.esterror),
        status: raw.status,
        constant: widen(raw.constant),
        seconds: widen(raw.time.tv_sec),
        fraction: widen(raw.time.tv_usec),
        tick_us: widen(raw.tick),
        tai_offset_s: raw.tai,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_parsed() {
        let parse = KernelRelease::parse;
        assert_eq!(
            parse("6.18.44-fc-v445"),
            Some(KernelRelease::new(6, 18, 44))
        );
        assert_eq!(parse("4.19"), Some(KernelRelease::new(4, 19, 0)));
        assert_eq!(parse("5.10-rc1"), Some(KernelRelease::new(5, 10, 0)));
        assert_eq!(parse("3.2.0.1"), Some(KernelRelease::new(3, 2, 0)));
        for bad in ["", "6", "x.y", "6.", "99999999999.1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(KernelRelease::new(4, 7, 0) < KernelRelease::new(4, 19, 0));
    }

    #[test]
    fn the_running_kernel_can_be_read() {
        // Reads only (modes 0), which needs no right and changes nothing.
        let mut timex = Timex::default();
        SystemKernel.adjtimex(&mut timex).expect("reading adjtimex");
        assert!((9_000..=11_000).contains(&timex.tick_us), "{timex:?}");
        assert!(timex.seconds > 1_600_000_000);
        assert_eq!(SystemKernel.ticks_per_second(), Some(100));
        assert!(kernel_release() >= Some(KernelRelease::new(2, 6, 39)));
    }
}
