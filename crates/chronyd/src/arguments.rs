//! The command line (configuration chapter, sections 1.1 and 1.2; argument errors are
//! interface).

use std::ffi::OsString;

use lexopt::Arg;

/// Severity threshold of log output, as the numbers of `-L`.
pub const THRESHOLD_DEBUG: i32 = -1;
/// Messages of this severity and above are written by default.
pub const THRESHOLD_INFO: i32 = 0;
/// What `-p` chooses.
pub const THRESHOLD_WARNING: i32 = 1;
/// Only fatal errors.
pub const THRESHOLD_FATAL: i32 = 3;

/// What the daemon is to do with the first usable measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunMode {
    /// Keep the clock right until told to stop.
    #[default]
    Keep,
    /// `-q`: step the clock once and exit.
    SetOnce,
    /// `-Q`: print the offset once and exit.
    PrintOnce,
}

/// Restriction of all sockets and names to one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyLimit {
    /// `-4`
    V4,
    /// `-6`
    V6,
}

/// Everything that was said on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Name the program was called by.
    pub program: String,
    /// `-f`; the default is compiled in.
    pub config_file: String,
    /// Directives given instead of a configuration file, one line each.
    pub directives: Vec<String>,
    /// `-4`, `-6`
    pub family: Option<FamilyLimit>,
    /// Whether to stay in the foreground (`-n -d -p -q -Q`).
    pub foreground: bool,
    /// Whether messages go to standard error (`-d -p -q -Q`) and not to syslog.
    pub log_to_stderr: bool,
    /// `-l`
    pub log_file: Option<String>,
    /// `-L`, `-d -d`, `-p`
    pub threshold: i32,
    /// `-p`
    pub print_config: bool,
    /// `-q`, `-Q`
    pub run_mode: RunMode,
    /// Whether defaults are those of a pure client (`-Q`): no server port, no command
    /// sockets, no pidfile.
    pub client_only: bool,
    /// `-r`
    pub reload_dumps: bool,
    /// `-R`
    pub restarted: bool,
    /// `-s`
    pub set_from_rtc: bool,
    /// `-t`, seconds; `None` for no limit.
    pub timeout_s: Option<i32>,
    /// `-u`
    pub user: Option<String>,
    /// Whether the daemon must be started by root.
    pub check_root: bool,
    /// `-F`
    pub filter_level: i32,
    /// `-P`; 0 leaves the choice to the configuration.
    pub priority: i32,
    /// `-m`
    pub lock_memory: bool,
    /// Whether the clock may be adjusted (not with `-x`, `-Q`).
    pub control_clock: bool,
    /// `-N`; 0 means none.
    pub notify_fd: i32,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Run with these arguments.
    Run(Box<Arguments>),
    /// Print the help text on standard output and exit with status 0.
    Help,
    /// Print the version line and exit with status 0.
    Version,
    /// Print this on standard error and the help text on standard output, exit with 1.
    BadOption(String),
    /// A fatal error about an option's value; exit with 1.
    Fatal(String),
}

impl Arguments {
    fn new(program: String) -> Self {
        Self {
            program,
            config_file: crate::defaults::CONFIG_FILE.to_owned(),
            directives: Vec::new(),
            family: None,
            foreground: false,
            log_to_stderr: false,
            log_file: None,
            threshold: THRESHOLD_INFO,
            print_config: false,
            run_mode: RunMode::Keep,
            client_only: false,
            reload_dumps: false,
            restarted: false,
            set_from_rtc: false,
            timeout_s: None,
            user: None,
            check_root: true,
            filter_level: 0,
            priority: 0,
            lock_memory: false,
            control_clock: true,
            notify_fd: 0,
        }
    }
}

/// Reads the command line; `arguments` begins with the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Request {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // They win wherever they stand, even as the value of another option.
    for argument in arguments.iter().skip(1) {
        if argument == "--help" {
            return Request::Help;
        }
        if argument == "--version" {
            return Request::Version;
        }
    }
    let program = arguments.first().map_or_else(
        || "chronyd".into(),
        |name| name.to_string_lossy().into_owned(),
    );
    let stop_at_directive = std::env::var_os("POSIXLY_CORRECT").is_some();
    let mut parser = lexopt::Parser::from_args(arguments.into_iter().skip(1));
    let mut parsed = Arguments::new(program.clone());
    let mut debug_count = 0;
    loop {
        let argument = match parser.next() {
            Ok(Some(argument)) => argument,
            Ok(None) => return Request::Run(Box::new(parsed)),
            Err(_) => return bad_option(&program, '-'),
        };
        let letter = match argument {
            Arg::Short(letter) => letter,
            Arg::Long(_) => return bad_option(&program, '-'),
            Arg::Value(value) => {
                parsed.directives.push(value.to_string_lossy().into_owned());
                if stop_at_directive && let Ok(rest) = parser.raw_args() {
                    let rest = rest.map(|value| value.to_string_lossy().into_owned());
                    parsed.directives.extend(rest);
                }
                continue;
            }
        };
        let result = if TAKES_VALUE.contains(letter) {
            match parser.value() {
                Ok(value) => parsed.set_value(letter, &value.to_string_lossy()),
                Err(_) => {
                    let text = format!("{program}: option requires an argument -- '{letter}'");
                    return Request::BadOption(text);
                }
            }
        } else {
            parsed.set_flag(letter, &mut debug_count)
        };
        if let Err(request) = result {
            return request;
        }
    }
}

/// Options followed by a value.
const TAKES_VALUE: &str = "fFlLNPtu";

fn bad_option(program: &str, letter: char) -> Request {
    Request::BadOption(format!("{program}: invalid option -- '{letter}'"))
}

impl Arguments {
    fn set_value(&mut self, letter: char, value: &str) -> Result<(), Request> {
        match letter {
            'f' => self.config_file = value.to_owned(),
            'l' => self.log_file = Some(value.to_owned()),
            'u' => self.user = Some(value.to_owned()),
            'F' => self.filter_level = integer(value)?,
            'L' => {
                self.threshold = integer(value)?.clamp(THRESHOLD_DEBUG, THRESHOLD_FATAL);
            }
            'N' => self.notify_fd = integer(value)?,
            'P' => self.priority = integer(value)?,
            't' => {
                let seconds = integer(value)?;
                self.timeout_s = (seconds >= 0).then_some(seconds);
            }
            _ => return Err(bad_option(&self.program, letter)),
        }
        Ok(())
    }

    fn set_flag(&mut self, letter: char, debug_count: &mut u32) -> Result<(), Request> {
        match letter {
            '4' => self.family = Some(FamilyLimit::V4),
            '6' => self.family = Some(FamilyLimit::V6),
            'd' => {
                *debug_count += 1;
                self.foreground = true;
                self.log_to_stderr = true;
                if *debug_count > 1 {
                    self.threshold = THRESHOLD_DEBUG;
                }
            }
            'm' => self.lock_memory = true,
            'n' => self.foreground = true,
            'p' => {
                self.print_config = true;
                self.check_root = false;
                self.threshold = THRESHOLD_WARNING;
                self.run_once_in_foreground();
            }
            'q' => {
                self.run_mode = RunMode::SetOnce;
                // A quirk: it takes back this one of the effects of an earlier -Q.
                self.client_only = false;
                self.run_once_in_foreground();
            }
            'Q' => {
                self.run_mode = RunMode::PrintOnce;
                self.client_only = true;
                self.check_root = false;
                self.control_clock = false;
                self.run_once_in_foreground();
            }
            'r' => self.reload_dumps = true,
            'R' => self.restarted = true,
            's' => self.set_from_rtc = true,
            'U' => self.check_root = false,
            'x' => self.control_clock = false,
            'v' => return Err(Request::Version),
            'h' => return Err(Request::Help),
            _ => return Err(bad_option(&self.program, letter)),
        }
        Ok(())
    }

    fn run_once_in_foreground(&mut self) {
        self.foreground = true;
        self.log_to_stderr = true;
    }
}

/// A leading decimal integer; what follows it is ignored.
fn integer(text: &str) -> Result<i32, Request> {
    let trimmed = text.trim_start();
    let digits_start = usize::from(trimmed.starts_with(['+', '-']));
    let digits = trimmed
        .bytes()
        .skip(digits_start)
        .take_while(u8::is_ascii_digit)
        .count();
    trimmed
        .get(..digits_start + digits)
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Request::Fatal(format!("Invalid argument {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Arguments {
        match request(line) {
            Request::Run(arguments) => *arguments,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn request(line: &str) -> Request {
        parse(
            std::iter::once("chronyd")
                .chain(line.split_whitespace())
                .map(OsString::from),
        )
    }

    #[test]
    fn help_and_version_win_everywhere() {
        assert_eq!(request("-f --version"), Request::Version);
        assert_eq!(request("-z -- --help"), Request::Help);
        assert_eq!(request("-v -z"), Request::Version);
        assert_eq!(request("-h"), Request::Help);
    }

    #[test]
    fn bad_options_are_reported_as_getopt_does() {
        let bad = |text: &str| Request::BadOption(format!("chronyd: {text}"));
        assert_eq!(request("-z"), bad("invalid option -- 'z'"));
        assert_eq!(request("-dz"), bad("invalid option -- 'z'"));
        assert_eq!(request("--frob"), bad("invalid option -- '-'"));
        assert_eq!(request("-f"), bad("option requires an argument -- 'f'"));
    }

    #[test]
    fn integers_may_be_followed_by_anything() {
        assert_eq!(run("-t 1x").timeout_s, Some(1));
        assert_eq!(run("-t -5").timeout_s, None);
        assert_eq!(run("-L 99").threshold, THRESHOLD_FATAL);
        assert_eq!(request("-t x"), Request::Fatal("Invalid argument x".into()));
        assert_eq!(request("-F +"), Request::Fatal("Invalid argument +".into()));
    }

    #[test]
    fn order_matters_where_it_does_in_the_reference() {
        assert_eq!(run("-p -L 0").threshold, THRESHOLD_INFO);
        assert_eq!(run("-L 0 -p").threshold, THRESHOLD_WARNING);
        assert_eq!(run("-d -d -L 2").threshold, 2);
        let once = run("-Q -q");
        assert_eq!(once.run_mode, RunMode::SetOnce);
        assert!(!once.client_only && !once.control_clock && !once.check_root);
    }

    #[test]
    fn clusters_attached_values_and_permutation() {
        let arguments = run("-xdt3 port -4 -- -n");
        assert_eq!(arguments.timeout_s, Some(3));
        assert!(!arguments.control_clock && arguments.foreground);
        assert_eq!(arguments.family, Some(FamilyLimit::V4));
        assert_eq!(arguments.directives, ["port", "-n"]);
    }
}
