use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use super::*;
use discipline::reference::RtcAction;

/// What a fake chip is told and tells.
#[derive(Debug, Default)]
struct State {
    time_s: i64,
    interrupts: Option<bool>,
    /// Calls that fail: `read`, `set`, `on`, `off`.
    failing: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct FakeChip {
    state: Arc<Mutex<State>>,
    zone: TimeZone,
    pipe: Arc<UnixDatagram>,
}

impl FakeChip {
    fn new(time_s: i64) -> Self {
        let state = State {
            time_s,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            zone: TimeZone::UTC,
            pipe: Arc::new(UnixDatagram::unbound().unwrap()),
        }
    }

    fn call(&self, name: &str) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap();
        if state.failing.contains(&name) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(state)
    }
}

impl RealTimeClock for FakeChip {
    fn read(&mut self) -> io::Result<CalendarTime> {
        let state = self.call("read")?;
        Ok(from_posix(state.time_s, &self.zone).unwrap())
    }

    fn set(&mut self, time: CalendarTime) -> io::Result<()> {
        let time_s = to_posix(time, &self.zone).unwrap();
        self.call("set")?.time_s = time_s;
        Ok(())
    }

    fn set_update_interrupts(&mut self, on: bool) -> io::Result<()> {
        self.call(if on { "on" } else { "off" })?.interrupts = Some(on);
        Ok(())
    }

    fn take_interrupts(&mut self) -> io::Result<bool> {
        Ok(self.call("flags")?.interrupts == Some(true))
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn config(lines: &[&str]) -> Config {
    let options = chrony_conf::options::Options {
        directives: lines.iter().map(Into::into).collect(),
        ..Default::default()
    };
    chrony_conf::load(&options, &configuration::reader())
        .into_result()
        .unwrap()
}

/// An output whose lines can be read afterwards.
fn output(folder: &Path) -> (Output, impl Fn() -> Vec<String>) {
    let path = folder.join("log");
    let mut output = Output::stderr();
    output.use_file(&path).unwrap();
    let read = move || {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once("Z "));
        lines.map(|(_, text)| text.to_owned()).collect()
    };
    (output, read)
}

/// Finds a chip for the lines, and what was said about it.
fn find(lines: &[&str], set_clock: bool, chip: io::Result<FakeChip>) -> (ChipAtStart, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut output, said) = output(folder.path());
    let chip = std::cell::Cell::new(Some(chip));
    let open = |_: &Path| chip.take().unwrap().map(|chip| Box::new(chip) as _);
    let reader = configuration::reader();
    let found = ChipAtStart::find(&config(lines), set_clock, &reader, &open, &mut output);
    (found, said())
}

const NOW_S: i64 = 1_790_000_000;

#[test]
fn the_chip_is_opened_when_it_is_needed() {
    let (found, said) = find(&["rtconutc"], false, Ok(FakeChip::new(NOW_S)));
    assert!(found.tracked.is_none() && found.reading_s.is_none() && said.is_empty());
    let lines = ["rtcfile /nonexistent/rtc", "rtconutc"];
    let (found, said) = find(&lines, false, Ok(FakeChip::new(NOW_S)));
    assert!(found.tracked.is_some() && found.reading_s.is_none() && said.is_empty());
    let (found, said) = find(&["rtconutc"], true, Ok(FakeChip::new(NOW_S)));
    assert!(found.tracked.is_none() && said.is_empty());
    assert_eq!(found.reading_s, Some(NOW_S));
}

#[test]
fn no_chip_for_the_option_s_alone() {
    let missing = Err(io::Error::from_raw_os_error(libc::ENOENT));
    let (found, said) = find(&["rtconutc"], true, missing);
    assert!(found.reading_s.is_none());
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn what_fails_is_said() {
    let lines = [
        "rtcfile /nonexistent/rtc",
        "rtcdevice /dev/rtc7",
        "rtconutc",
    ];
    let missing = Err(io::Error::from_raw_os_error(libc::EACCES));
    let (found, said) = find(&lines, true, missing);
    assert!(found.tracked.is_none());
    assert_eq!(
        said,
        [
            "Could not open RTC device /dev/rtc7 : Permission denied",
            "RTC driver could not be initialised"
        ]
    );
    for (call, text) in [
        ("on", "Could not enable RTC interrupt : Invalid argument"),
        ("off", "Could not disable RTC interrupt : Invalid argument"),
    ] {
        let chip = FakeChip::new(NOW_S);
        chip.state.lock().unwrap().failing.push(call);
        let (found, said) = find(&lines, false, Ok(chip));
        assert!(found.tracked.is_none());
        assert_eq!(said, [text, "RTC driver could not be initialised"]);
    }
    let chip = FakeChip::new(NOW_S);
    chip.state.lock().unwrap().failing.push("read");
    let (found, said) = find(&lines, true, Ok(chip));
    assert!(found.tracked.is_some() && found.reading_s.is_none());
    assert_eq!(
        said,
        ["Could not read time from /dev/rtc7 : Invalid argument"]
    );
}

#[test]
fn files_tell_coefficients_and_time_zone() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let rtc = format!("rtcfile {}", file("rtc", "1 1790000000 2.500000 11.000\n"));
    let adjtime = file("adjtime", "0.0 0 0.0\n0\nUTC\n");
    let hwclock = format!("hwclockfile {adjtime}");
    let (found, said) = find(&[&rtc, &hwclock], true, Ok(FakeChip::new(NOW_S)));
    assert_eq!(found.reading_s, Some(NOW_S));
    let coefficients = found.coefficients.unwrap();
    assert!(coefficients.valid && coefficients.offset_s == 2.5);
    assert!(said.is_empty(), "{said:?}");
    std::fs::write(&adjtime, "0.0 0 0.0\n0\n").unwrap();
    file("rtc", "1 2 3\n");
    let (found, said) = find(&[&rtc, &hwclock], false, Ok(FakeChip::new(NOW_S)));
    assert!(found.coefficients.is_none());
    assert_eq!(
        said,
        [
            format!("Could not read RTC LOCAL/UTC setting from {adjtime}"),
            format!(
                "Could not read coefficients from {}",
                folder.path().join("rtc").display()
            )
        ]
    );
}

#[test]
fn measurements_begin_with_the_second_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let (mut output, said) = output(folder.path());
    let fake = FakeChip::new(NOW_S);
    let mut chip = Chip::new(Box::new(fake.clone()), "/dev/rtc".into(), true);
    assert!(chip.descriptor().is_none());
    chip.start_measuring(&mut output);
    assert!(chip.descriptor().is_some());
    assert_eq!(chip.take_interrupt(&mut output), None);
    fake.state.lock().unwrap().time_s += 1;
    assert_eq!(chip.take_interrupt(&mut output), Some(NOW_S + 1));
    assert_eq!(chip.take_interrupt(&mut output), Some(NOW_S + 1));
    chip.stop_measuring(&mut output);
    assert!(chip.descriptor().is_none());
    assert_eq!(chip.take_interrupt(&mut output), None);
    assert_eq!(fake.state.lock().unwrap().interrupts, Some(false));
    chip.set(NOW_S + 60, &mut output);
    assert_eq!(fake.state.lock().unwrap().time_s, NOW_S + 60);
    fake.state.lock().unwrap().failing.push("set");
    chip.set(NOW_S, &mut output);
    assert_eq!(said(), ["Could not set RTC time"]);
}

#[test]
fn local_time_is_converted_by_the_zones_rules() {
    let zone = TimeZone::get("Europe/Prague").unwrap();
    // Winter, summer, both sides of the change in spring.
    for time_s in [1_768_000_000, 1_785_000_000, 1_774_745_999, 1_774_746_000] {
        let shown = from_posix(time_s, &zone).unwrap();
        assert_eq!(to_posix(shown, &zone), Some(time_s), "{shown:?}");
    }
    // In the hour that occurs twice in autumn the reading is reproduced.
    let shown = from_posix(1_792_890_000, &zone).unwrap();
    let time_s = to_posix(shown, &zone).unwrap();
    assert_eq!(from_posix(time_s, &zone), Some(shown));
    let summer = from_posix(1_785_000_000, &zone).unwrap();
    assert_eq!(
        summer.hour,
        from_posix(1_785_000_000, &TimeZone::UTC).unwrap().hour + 2
    );
    let no_date = CalendarTime {
        month: 13,
        ..summer
    };
    assert_eq!(to_posix(no_date, &zone), None);
}

/// The engine's room and the chip together: offset and rate of a chip that is 2 s ahead.
#[test]
fn a_chip_is_tracked_through_the_seam() {
    use discipline::journal::Journal;
    use discipline::reference::{
        LocalClock, LocalClockSettings, NoClockControl, Now, RtcSettings, Steering,
    };
    use discipline::time::{MonotonicTime, RawTime};

    let folder = tempfile::tempdir().unwrap();
    let (mut output, _) = output(folder.path());
    let fake = FakeChip::new(0);
    let mut chip = Chip::new(Box::new(fake.clone()), "/dev/rtc".into(), true);
    let at = |second: i64| Now {
        raw: RawTime::from_parts(NOW_S + second, 250_000_000),
        monotonic: MonotonicTime::from_parts(second, 0),
    };
    let driver = Box::new(NoClockControl::default());
    let mut clock = LocalClock::new(driver, LocalClockSettings::default(), at(0)).unwrap();
    let mut journal = Journal::new();
    let mut rtc = Rtc::new(RtcSettings::default());
    rtc.start(at(0).monotonic);
    for second in 0..2000 {
        fake.state.lock().unwrap().time_s = NOW_S + second + 2;
        rtc.handle_timeout(at(second).monotonic);
        if let Some(rtc_s) = chip.take_interrupt(&mut output) {
            let mut steering = Steering {
                clock: &mut clock,
                now: at(second),
                journal: &mut journal,
            };
            rtc.handle_measurement(rtc_s, 16, &mut steering);
        }
        while let Some(action) = rtc.poll_action() {
            match action {
                RtcAction::StartMeasuring => chip.start_measuring(&mut output),
                RtcAction::StopMeasuring => chip.stop_measuring(&mut output),
                other => panic!("{other:?}"),
            }
        }
    }
    let report = rtc.report();
    assert!((report.offset_s - 1.75).abs() < 1e-6, "{report:?}");
    assert!(
        report.rate_ppm.abs() < 0.01 && report.samples >= 14,
        "{report:?}"
    );
}

#[test]
fn a_chip_whose_interrupts_cannot_be_taken_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut output, said) = output(folder.path());
    let fake = FakeChip::new(NOW_S);
    let mut chip = Chip::new(Box::new(fake.clone()), "/dev/rtc".into(), true);
    chip.start_measuring(&mut output);
    fake.state.lock().unwrap().failing.push("flags");
    assert_eq!(chip.take_interrupt(&mut output), None);
    assert!(chip.descriptor().is_none(), "would be readable for ever");
    assert_eq!(said(), ["Could not read flags /dev/rtc : Invalid argument"]);
}
