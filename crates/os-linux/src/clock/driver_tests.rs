//! The driver on a kernel made of plain data: the calls are those observed of the
//! reference (discipline chapter, section 2.5).

use super::*;

/// A kernel that keeps its state, records the calls and can refuse them.
struct FakeKernel {
    state: Timex,
    leap: LeapState,
    calls: Vec<Timex>,
    refuse: Option<(u32, i32)>,
    release: Option<KernelRelease>,
    ticks: Option<i64>,
}

impl FakeKernel {
    fn new() -> Self {
        Self {
            state: Timex {
                tick_us: 10_000,
                ..Timex::default()
            },
            leap: LeapState::Normal,
            calls: Vec::new(),
            refuse: None,
            release: Some(KernelRelease::new(6, 1, 0)),
            ticks: Some(100),
        }
    }
}

impl Kernel for FakeKernel {
    fn adjtimex(&mut self, timex: &mut Timex) -> io::Result<LeapState> {
        self.calls.push(*timex);
        if let Some((modes, errno)) = self.refuse
            && modes == timex.modes
        {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let modes = timex.modes;
        if modes & MODE_STATUS != 0 {
            self.state.status = timex.status;
        }
        if modes & MODE_FREQUENCY != 0 {
            self.state.frequency = timex.frequency;
        }
        if modes & MODE_TICK != 0 {
            self.state.tick_us = timex.tick_us;
        }
        if modes & MODE_TAI != 0 {
            self.state.tai_offset_s = timex.constant as i32;
        }
        *timex = self.state;
        Ok(self.leap)
    }

    fn ticks_per_second(&self) -> Option<i64> {
        self.ticks
    }

    fn release(&self) -> io::Result<Option<KernelRelease>> {
        Ok(self.release)
    }
}

fn started() -> KernelClock<FakeKernel> {
    let mut clock = KernelClock::start(FakeKernel::new()).expect("start");
    clock.kernel_mut().calls.clear();
    clock
}

#[test]
fn start_makes_the_observed_calls() {
    let clock = KernelClock::start(FakeKernel::new()).expect("start");
    let calls: Vec<_> = clock
        .kernel()
        .calls
        .iter()
        .map(|call| (call.modes, call.status, call.offset))
        .collect();
    assert_eq!(calls, [(0x8001, 0, 0), (0x11, 0x41, 0), (0x10, 0x40, 0)]);
    assert_eq!(clock.maximum_frequency_ppm(), 100_000.0);
    assert!((clock.effect_delay_s() - 1.1e-5).abs() < 1e-12);
}

#[test]
fn every_refused_call_is_named() {
    for (modes, text) in [
        (0x8001, "adjtimex(0x8001) failed : Operation not permitted"),
        (0x11, "adjtimex(0x11) failed : Operation not permitted"),
        (0x10, "adjtimex(0x10) failed : Operation not permitted"),
    ] {
        let mut kernel = FakeKernel::new();
        kernel.refuse = Some((modes, libc::EPERM));
        let error = KernelClock::start(kernel).err().expect("refused");
        assert_eq!(error.to_string(), text);
    }
    let mut clock = started();
    for modes in [0, 0x4002, 0x1c, 0x2100] {
        clock.kernel_mut().refuse = Some((modes, libc::ENOSYS));
        let result = match modes {
            0 => clock.frequency_ppm().map(drop),
            0x4002 => clock.set_frequency_ppm(1.0).map(drop),
            0x1c => clock.set_synchronised(true, true, 0.0, 0.0),
            _ => clock.step(1.0),
        };
        assert_eq!(
            result.expect_err("refused").to_string(),
            format!("adjtimex(0x{modes:x}) failed : Function not implemented")
        );
    }
}

#[test]
fn old_kernels_are_slow_or_refused() {
    let mut kernel = FakeKernel::new();
    kernel.release = Some(KernelRelease::new(4, 18, 0));
    let clock = KernelClock::start(kernel).expect("start");
    assert!((clock.effect_delay_s() - 0.011).abs() < 1e-12);
    let mut kernel = FakeKernel::new();
    kernel.release = Some(KernelRelease::new(2, 6, 38));
    let error = KernelClock::start(kernel).err().expect("refused");
    assert_eq!(error.to_string(), "Kernel version not supported, sorry.");
    let mut kernel = FakeKernel::new();
    kernel.release = None;
    let error = KernelClock::start(kernel).err().expect("refused");
    assert_eq!(error.to_string(), "Could not parse kernel version");
}

#[test]
fn ticks_are_guessed_when_the_system_does_not_tell() {
    for (tick, ticks) in [
        (10_000, 100),
        (9_000, 100),
        (11_000, 100),
        (976, 1024),
        (3_906, 256),
        (31, 32_768),
        (62_500, 16),
    ] {
        assert_eq!(ticks_from_tick(tick).expect("guessed"), ticks, "{tick}");
    }
    for tick in [0, -1, 10, 100_000] {
        let error = ticks_from_tick(tick).expect_err("no guess");
        assert_eq!(
            error.to_string(),
            format!("Can't determine hz from tick {tick}")
        );
    }
    let mut kernel = FakeKernel::new();
    kernel.ticks = None;
    let clock = KernelClock::start(kernel).expect("start");
    assert_eq!(clock.ticks_per_second, 100);
}

#[test]
fn frequency_is_split_into_ticks_and_fraction() {
    let mut clock = started();
    for (ppm, tick, freq) in [
        (0.0, 10_000, 0),
        (12.5, 10_000, -819_200),
        (-12.5, 10_000, 819_200),
        (50.0, 9_999, 3_276_800),
        (100_000.0, 9_000, 0),
        (-100_000.0, 11_000, 0),
        (1e-5, 10_000, 0),
        (-2e-5, 10_000, 1),
    ] {
        let accepted = clock.set_frequency_ppm(ppm).expect("set");
        let call = clock.kernel().calls.last().copied().expect("a call");
        assert_eq!(
            (call.modes, call.tick_us, call.frequency),
            (0x4002, tick, freq)
        );
        assert!((accepted - ppm).abs() <= 1.0 / 65_536.0, "{ppm} {accepted}");
        assert_eq!(clock.frequency_ppm().expect("read"), accepted);
    }
    assert!(!clock.take_interference());
}

#[test]
fn steps_have_a_positive_fraction() {
    let mut clock = started();
    for (change, seconds, ns) in [
        (1.5, 1, 500_000_000),
        (-0.25, -1, 750_000_000),
        (-2.0, -2, 0),
        (3.0 - 1e-10, 3, 0),
    ] {
        clock.step(change).expect("step");
        let call = clock.kernel().calls.last().copied().expect("a call");
        assert_eq!(
            (call.modes, call.seconds, call.fraction),
            (0x2100, seconds, ns)
        );
    }
}

#[test]
fn synchronised_bit_needs_rtcsync() {
    let mut clock = started();
    let mut set = |good, rtc, estimated, maximum| {
        clock
            .set_synchronised(good, rtc, estimated, maximum)
            .expect("set");
        let call = clock.kernel().calls.last().copied().expect("a call");
        assert_eq!(call.modes, 0x1c);
        (call.status, call.estimated_error_us, call.maximum_error_us)
    };
    assert_eq!(set(true, true, 0.001, 0.02), (0, 1_000, 20_000));
    assert_eq!(set(true, false, 0.001, 0.02), (0x40, 1_000, 20_000));
    assert_eq!(set(true, true, 1.0, 17.0), (0x40, 1_000_000, 16_000_000));
    assert_eq!(set(true, true, 1.0, f64::NAN).0, 0x40);
    assert_eq!(set(false, true, 0.0, 0.0), (0x40, 16_000_000, 16_000_000));
}

#[test]
fn leap_second_from_announcement_to_reset() {
    let mut clock = started();
    let none = LeapUpdate::default();
    assert_eq!(clock.set_leap(LeapWish::Normal, None).expect("set"), none);
    let update = clock.set_leap(LeapWish::Insert, Some(37)).expect("set");
    assert_eq!(update.tai_offset_s, Some(37));
    assert_eq!(update.status_text, Some("set to insert"));
    let call = clock.kernel().calls.last().copied().expect("a call");
    assert_eq!((call.modes, call.status, call.constant), (0x90, 0x50, 37));
    assert_eq!(
        clock.set_leap(LeapWish::Insert, Some(37)).expect("set"),
        none
    );
    clock.kernel_mut().leap = LeapState::Wait;
    let update = clock.set_leap(LeapWish::Normal, Some(38)).expect("set");
    assert_eq!(update.tai_offset_s, None, "the kernel counted it itself");
    assert_eq!(update.status_text, Some("reset after"));
    clock.kernel_mut().leap = LeapState::Normal;
    let update = clock.set_leap(LeapWish::Delete, None).expect("set");
    assert_eq!(update.status_text, Some("set to delete"));
    let update = clock.set_leap(LeapWish::Normal, None).expect("set");
    assert_eq!(update.status_text, Some("set to not insert/delete"));
}

#[test]
fn another_program_is_noticed_once() {
    let mut clock = started();
    clock.set_frequency_ppm(5.0).expect("set");
    assert!(!clock.take_interference());
    clock.kernel_mut().state.frequency += 1;
    clock.set_synchronised(true, true, 0.0, 0.0).expect("set");
    assert!(clock.take_interference());
    assert!(!clock.take_interference());
    clock.kernel_mut().state.frequency += 1;
    clock.set_frequency_ppm(6.0).expect("set");
    assert!(!clock.take_interference(), "this call set the field itself");
    clock.kernel_mut().state.status |= STATUS_PLL;
    clock.frequency_ppm().expect("read");
    assert!(clock.take_interference());
}
