//! Reference clocks of the real program: samples in shared memory and to a socket, alone and
//! beside Debian's chrony on the same samples.

#[path = "support/feed.rs"]
mod feed;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use feed::{MAGIC, Message, Sender, Unit, system_time};
use support::program::{Program, new_folder, report};
use support::{Running, run, wait_until};

/// How far the system's clock is behind the clocks of the tests, seconds.
const OFFSET_S: f64 = 0.25;

/// Time between two samples.
const SPACING: Duration = Duration::from_millis(50);

/// Fast polls, so that the tests are short.
const POLLS: &str = "poll -1 dpoll -4 filter 8";

fn lines(more: &[String]) -> Vec<String> {
    let fixed = support::CLIENT_LINES.iter().map(|line| (*line).to_owned());
    fixed.chain(more.iter().cloned()).collect()
}

/// Fields of the samples in a `refclocks.log`, by time and reference ID.
type Samples = BTreeMap<(String, String), Vec<String>>;

fn samples(folder: &Path) -> (Samples, Vec<Vec<String>>) {
    let text = fs::read_to_string(folder.join("refclocks.log")).unwrap_or_default();
    let rows = text.lines().filter(|line| line.starts_with("20"));
    let rows = rows.map(|line| line.split_whitespace().map(str::to_owned).collect());
    let (filtered, raw): (Vec<_>, Vec<Vec<String>>) =
        rows.partition(|row: &Vec<String>| row[3] == "-");
    let keyed = raw.into_iter().map(|mut row| {
        let fields = row.split_off(3);
        ((row[..2].join(" "), row[2].clone()), fields)
    });
    (keyed.collect(), filtered)
}

#[test]
fn samples_are_taken_and_garbage_is_not() {
    let folder = tempfile::tempdir().expect("folder");
    let (unit, socket) = (Unit::new(), folder.path().join("sock"));
    let directives = lines(&[
        format!("refclock SHM {} refid SHMX prefer {POLLS}", unit.number),
        format!("refclock SOCK {} refid SOCX {POLLS}", socket.display()),
        format!("logdir {}", folder.path().display()),
        "log refclocks".to_owned(),
    ]);
    // With the filter of system calls in force, a forbidden one would kill it.
    let arguments = ["-F", "1"].map(str::to_owned);
    let arguments = [&arguments[..], &directives].concat();
    let mut running = Running::chronyd(folder.path(), &arguments);
    let sender = Sender::new(&socket);
    wait_until("selection of the preferred clock", || {
        let local = system_time();
        unit.put(local, OFFSET_S, 0);
        let good = Message::new(local, OFFSET_S);
        assert!(sender.send(&good.bytes()) || !running.log().contains("Loaded"));
        let bad = [f64::NAN, f64::INFINITY, 1e300].map(|offset_s| Message { offset_s, ..good });
        let magic = MAGIC.swap_bytes();
        let absurd = Duration::from_secs(u64::MAX / 2);
        let others = [
            Message { magic, ..good },
            Message { leap: 7, ..good },
            Message::new(absurd, 0.0),
        ];
        for garbage in bad.iter().chain(&others) {
            sender.send(&garbage.bytes());
        }
        sender.send(&good.bytes()[..39]);
        sender.send(&[good.bytes(), vec![0; 1000]].concat());
        std::thread::sleep(SPACING);
        running.log().contains("Selected source SHMX").then_some(())
    });
    let (raw, filtered) = samples(folder.path());
    assert!(filtered.len() >= 3, "{filtered:?}");
    let names: Vec<&str> = raw.keys().map(|(_, name)| name.as_str()).collect();
    assert!(
        names.contains(&"SHMX") && names.contains(&"SOCX"),
        "{names:?}"
    );
    for fields in raw.values() {
        assert_eq!(fields[1..4], ["N", "0", "2.500000e-01"], "{raw:?}");
    }
    assert!(running.stop().success(), "{}", running.log());
    assert!(!socket.exists());
}

#[test]
fn a_flood_of_samples_leaves_the_daemon_alive() {
    let folder = tempfile::tempdir().expect("folder");
    let (unit, socket) = (Unit::new(), folder.path().join("sock"));
    let directives = lines(&[
        format!("refclock SOCK {} {POLLS}", socket.display()),
        format!("refclock SHM {} poll -4 dpoll -8", unit.number),
    ]);
    let mut running = Running::chronyd(folder.path(), &directives);
    wait_until("socket", || socket.exists().then_some(()));
    std::thread::scope(|scope| {
        scope.spawn(move || unit.scribble(1_000_000));
        for _ in 0..2 {
            scope.spawn(|| {
                let sender = Sender::new(&socket);
                for count in 0..20_000u32 {
                    let message = Message::new(system_time(), OFFSET_S);
                    let magic = MAGIC + i32::from(count % 2 == 0);
                    sender.send(&Message { magic, ..message }.bytes());
                }
            });
        }
    });
    let sender = Sender::new(&socket);
    wait_until("selection after the flood", || {
        sender.send(&Message::new(system_time(), OFFSET_S).bytes());
        std::thread::sleep(SPACING);
        let said = running.log();
        said.contains("Selected source SOC0").then_some(())
    });
    assert!(running.stop().success());
}

#[test]
fn what_cannot_be_opened_is_fatal() {
    let refused = |line: &str, text: &str| {
        let directives = lines(&[line.to_owned()]);
        let arguments = ["-U", "-x", "-d"].map(str::to_owned);
        let ended = run([&arguments[..], &directives].concat());
        assert_eq!(ended.status, Some(1));
        assert_eq!(
            ended.messages().last().map(String::as_str),
            Some(format!("Fatal error : {text}").as_str())
        );
    };
    refused(
        "refclock SOCK /nonexistent/socket",
        "Could not open socket /nonexistent/socket",
    );
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().display();
    refused(
        &format!("refclock SOCK {path}"),
        &format!("Could not open socket {path}"),
    );
    refused(
        "refclock PPS /dev/null",
        "time_pps_create() failed on /dev/null : Operation not supported",
    );
    refused("refclock PHC /dev/null:extpps", "Could not open PHC");
    refused(
        "refclock RTC /nonexistent",
        "Could not open RTC device /nonexistent : No such file or directory",
    );
}

/// A daemon with a unit of shared memory, a socket for samples and one for pulses.
struct Fed {
    running: Running,
    folder: std::path::PathBuf,
    unit: Unit,
    samples: Sender,
    pulses: Sender,
}

impl Fed {
    fn start(program: &Program, parent: &Path, name: &str, options: &str) -> Self {
        let folder = new_folder(parent, &format!("{}-{name}", program.name));
        let unit = Unit::new();
        let socket = |name: &str| folder.join(name);
        let lines = [
            "port 0".to_owned(),
            // The dispersion of samples depends on it.
            "clockprecision 1e-7".to_owned(),
            format!(
                "refclock SHM {} refid SHMX prefer {POLLS} {options}",
                unit.number
            ),
            format!(
                "refclock SOCK {} refid SOCX {POLLS} {options}",
                socket("sock").display()
            ),
            format!(
                "refclock SOCK {} refid PULX lock SOCX {POLLS} {options}",
                socket("pulses").display()
            ),
            format!("logdir {}", folder.display()),
            "log refclocks".to_owned(),
        ];
        let running = program.start(&folder, &[], &lines);
        Self {
            samples: Sender::new(&socket("sock")),
            pulses: Sender::new(&socket("pulses")),
            running,
            folder,
            unit,
        }
    }

    /// One sample for each clock.
    fn feed(&self, local: Duration, leap: i32) {
        self.unit.put(local, OFFSET_S, leap);
        let sample = Message::new(local, OFFSET_S);
        self.samples.send(&Message { leap, ..sample }.bytes());
        // A quirk of both: pulses have the opposite sign.
        let pulse = Message::new(local, -OFFSET_S);
        self.pulses.send(&Message { pulse: 1, ..pulse }.bytes());
    }
}

/// Feeds both daemons the same samples until each has said enough.
fn feed_both(both: &[Fed; 2], mut done: impl FnMut() -> bool) {
    let mut leap = 0;
    wait_until("what both are to say", || {
        let local = system_time();
        leap = (leap + 1) % 3;
        both.iter().for_each(|fed| fed.feed(local, leap));
        std::thread::sleep(SPACING);
        done().then_some(())
    });
}

#[test]
fn the_same_samples_are_logged_as_by_chrony() {
    let Some(peers) = support::peers() else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    // Nobody follows a clock, so that both keep showing the system's time.
    let both = [Program::ours(), Program::theirs(&peers)]
        .map(|program| Fed::start(&program, folder.path(), "log", "noselect"));
    let common = || {
        let [ours, theirs] = both.each_ref().map(|fed| samples(&fed.folder));
        let is_common = |key: &&(String, String)| theirs.0.contains_key(*key);
        let keys: Vec<_> = ours.0.keys().filter(is_common).cloned().collect();
        (ours, theirs, keys)
    };
    feed_both(&both, || {
        let (ours, theirs, keys) = common();
        let enough = |name: &str| {
            let filtered = |rows: &[Vec<String>]| rows.iter().any(|row| row[2] == name);
            keys.iter().filter(|(_, refid)| refid == name).count() >= 8
                && filtered(&ours.1)
                && filtered(&theirs.1)
        };
        ["SHMX", "SOCX", "PULX"].into_iter().all(enough)
    });
    let (ours, theirs, keys) = common();
    for key in &keys {
        // After the count within the interval: leap, pulse, offsets, dispersion.
        assert_eq!(ours.0[key][1..], theirs.0[key][1..], "{key:?}");
    }
    for row in ours.1.iter().chain(&theirs.1) {
        let offset_s: f64 = row[7].parse().expect("offset");
        assert!((offset_s - OFFSET_S).abs() < 1e-6, "{row:?}");
    }
}

#[test]
fn both_follow_the_preferred_clock() {
    let Some(peers) = support::peers() else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    let both = [Program::ours(), Program::theirs(&peers)]
        .map(|program| Fed::start(&program, folder.path(), "select", ""));
    let told = |command: &str| {
        both.each_ref()
            .map(|fed| report(&peers, &fed.folder, command))
    };
    feed_both(&both, || {
        let selected = told("tracking").map(|fields| fields.get(1).cloned());
        selected.iter().all(|name| name.as_deref() == Some("SHMX"))
    });
    // Mode, state, name, stratum, poll of the first source.
    let [ours, theirs] = told("sources");
    assert_eq!(ours[..5], ["#", "*", "SHMX", "0", "-1"]);
    assert_eq!(ours[..5], theirs[..5]);
    // Reference ID as a number and a name, stratum; leap status at the end.
    let [ours, theirs] = told("tracking");
    assert_eq!(ours[..3], ["53484D58", "SHMX", "1"]);
    assert_eq!(ours[..3], theirs[..3]);
    for command in ["sourcestats", "selectdata"] {
        let [ours, theirs] = told(command);
        // A source each line; the fields are counted by the commas within.
        assert_eq!(ours.len(), theirs.len(), "{command}");
    }
    for mut fed in both {
        assert!(fed.running.stop().success());
    }
}
