//! Daemons in the preloaded world of `tests/preload`: virtual time, a virtual clock and
//! perfect servers inside an unchanged program.
//!
//! The machine's clock is safe: the world answers every call that would change it, and the
//! daemons run without the right to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The world's sources.
const SOURCES: &[&str] = &["clock.c", "network.c", "time_calls.c", "socket_calls.c"];

/// Compiles the world into `folder`. `None` where there is no C compiler.
pub(crate) fn build(folder: &Path) -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/preload");
    let library = folder.join("world.so");
    let status = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
        .args(["-o".as_ref(), library.as_os_str()])
        .args(SOURCES.iter().map(|name| sources.join(name)))
        .args(["-ldl", "-lm"])
        .status()
        .ok()?;
    assert!(status.success(), "the preloaded world does not compile");
    Some(library)
}

/// What a daemon lives through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) seed: u64,
    pub(crate) duration_s: u32,
    /// What the report leaves out at the beginning, seconds.
    pub(crate) settling_s: u32,
    /// Mean of the exponential jitter each way, seconds.
    pub(crate) jitter_s: f64,
    /// Standard deviation of the frequency's random step a second, s/s.
    pub(crate) wander: f64,
    /// Clock − true time at the start, seconds.
    pub(crate) offset_s: f64,
    /// Frequency error at the start, s/s.
    pub(crate) frequency: f64,
    /// True time at the start, POSIX seconds.
    pub(crate) start_s: i64,
    /// The leap second at the end of the first day: 1 inserted, −1 deleted, 0 none.
    pub(crate) leap: i8,
    /// Whether the daemon's random numbers are all the same.
    pub(crate) even: bool,
    /// Whether the system refuses what old ones do not know.
    pub(crate) plain: bool,
}

impl Default for Situation {
    /// The first situation of `docs/accuracy.md`.
    fn default() -> Self {
        Self {
            seed: 1,
            duration_s: 40_000,
            settling_s: 10_000,
            jitter_s: 1e-5,
            wander: 1e-9,
            offset_s: 0.01,
            frequency: 1e-5,
            start_s: 1_767_225_600,
            leap: 0,
            even: false,
            plain: false,
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// Root mean square of the clock's error after settling, seconds.
    pub(crate) time_error_s: f64,
    /// Root mean square of its rate's error, s/s.
    pub(crate) frequency_error: f64,
    /// Requests sent over the whole run.
    pub(crate) requests: u64,
}

/// A report, the exit status and the messages.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) report: Report,
    pub(crate) status: Option<i32>,
    pub(crate) stderr: String,
}

impl Situation {
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("WORLD_SEED", self.seed.to_string()),
            ("WORLD_DURATION", self.duration_s.to_string()),
            ("WORLD_SETTLING", self.settling_s.to_string()),
            ("WORLD_JITTER", self.jitter_s.to_string()),
            ("WORLD_WANDER", self.wander.to_string()),
            ("WORLD_OFFSET", self.offset_s.to_string()),
            ("WORLD_FREQUENCY", self.frequency.to_string()),
            ("WORLD_START", self.start_s.to_string()),
            ("WORLD_LEAP", self.leap.to_string()),
            ("WORLD_EVEN", u8::from(self.even).to_string()),
            ("WORLD_PLAIN", u8::from(self.plain).to_string()),
        ]
    }

    /// Runs a daemon through the situation, with its files in `folder`, which is made.
    pub(crate) fn live(
        &self,
        world: &Path,
        daemon: &Path,
        folder: &Path,
        directives: &[&str],
    ) -> Life {
        std::fs::create_dir_all(folder).expect("folder");
        let in_folder = |word: &str, name: &str| format!("{word} {}/{name}", folder.display());
        let mut lines: Vec<String> = directives.iter().map(|line| (*line).to_owned()).collect();
        lines.extend([
            "port 0".to_owned(),
            "cmdport 0".to_owned(),
            "bindcmdaddress /".to_owned(),
            // Measuring it would see the world's own time for a reading.
            "clockprecision 1e-7".to_owned(),
            in_folder("pidfile", "pid"),
            in_folder("driftfile", "drift"),
            format!("logdir {}", folder.display()),
        ]);
        let configuration = folder.join("conf");
        std::fs::write(&configuration, lines.join("\n") + "\n").expect("configuration");
        let report = folder.join("report");
        let mut command = without_the_right_to_steer();
        let output = command
            .arg("env")
            .arg(assignment("LD_PRELOAD", world))
            .arg(assignment("WORLD_REPORT", &report))
            .args(
                self.settings()
                    .iter()
                    .map(|(name, value)| format!("{name}={value}")),
            )
            .arg(daemon)
            .args(["-d", "-u", "root", "-f"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .output()
            .expect("run");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = std::fs::read_to_string(&report)
            .unwrap_or_else(|error| panic!("no report ({error}): {stderr}"));
        Life {
            report: Report::parse(&text),
            status: output.status.code(),
            stderr,
        }
    }
}

/// `setpriv` that starts a program without CAP_SYS_TIME.
fn without_the_right_to_steer() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_time", "--inh-caps", "-sys_time"]);
    command
}

fn assignment(name: &str, value: &Path) -> OsString {
    let mut text = OsString::from(format!("{name}="));
    text.push(value);
    text
}

impl Report {
    fn parse(text: &str) -> Self {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let number = |index: usize| -> f64 {
            let field = fields.get(index).expect("a field of the report");
            field.parse().expect("a number")
        };
        Self {
            time_error_s: number(1),
            frequency_error: number(2),
            requests: number(4) as u64,
        }
    }
}
