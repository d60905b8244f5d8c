//! The command line (chronyc chapter, section 1).
//!
//! Options are scanned by hand as getopt does it, since its messages, its clusters and
//! the way it takes arguments (`-h=x` has the argument `=x`) are part of the interface.

use crate::numbers::integer_prefix;
use crate::resolver::Family;

/// The daemon's Unix socket; a package may set another at build time, as for chronyd.
const COMMAND_SOCKET: &str = match option_env!("ISOCHRONY_COMMAND_SOCKET") {
    Some(path) => path,
    None => "/var/run/chrony/chronyd.sock",
};
/// Servers tried without `-h`, after the Unix socket.
const LOCAL_SERVERS: &str = "127.0.0.1,::1";
/// UDP port without `-p`.
const DEFAULT_PORT: u16 = 323;
/// User to switch to without `-u`.
const DEFAULT_USER: &str = match option_env!("ISOCHRONY_CHRONYC_USER") {
    Some(user) => user,
    None => "root",
};
/// Version of this program.
pub(crate) use control_wire::PROGRAM_VERSION as VERSION;
/// Capabilities shown by `-v`, in the reference's order.
const FEATURES: &str = "+READLINE +SECHASH +IPV6 +DEBUG";

/// What the reports look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Columns for people.
    Text,
    /// Comma-separated values.
    Csv,
    /// One JSON document a command (beyond the reference).
    Json,
}

/// The options and the commands after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `-4`, `-6`.
    pub(crate) family: Family,
    /// `-n`: no reverse resolution.
    pub(crate) numeric: bool,
    /// `-N`: configured names of sources.
    pub(crate) source_names: bool,
    /// `-c`, `-j`.
    pub(crate) format: Format,
    /// `-e`: a line with a dot after each command.
    pub(crate) end_dot: bool,
    /// `-d`.
    pub(crate) debug: bool,
    /// `-m`: each argument is a command.
    pub(crate) multiple: bool,
    /// `-w`.
    pub(crate) wide: bool,
    /// `-h`.
    pub(crate) servers: String,
    /// `-p`.
    pub(crate) port: u16,
    /// `-u`.
    pub(crate) user: String,
    /// Words after the options.
    pub(crate) words: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            family: Family::Any,
            numeric: false,
            source_names: false,
            format: Format::Text,
            end_dot: false,
            debug: false,
            multiple: false,
            wide: false,
            servers: default_servers(),
            port: DEFAULT_PORT,
            user: DEFAULT_USER.to_owned(),
            words: Vec::new(),
        }
    }
}

fn default_servers() -> String {
    format!("{COMMAND_SOCKET},{LOCAL_SERVERS}")
}

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// Run commands.
    Run(Options),
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
    /// Print getopt's message (without the program's name) and the usage, and fail.
    Invalid(String),
}

/// Takes the arguments after the program's name.
pub(crate) fn parse(arguments: &[String]) -> Invocation {
    for argument in arguments {
        match argument.as_str() {
            "--help" => return Invocation::Help,
            "--version" => return Invocation::Version,
            _ => {}
        }
    }
    let mut options = Options::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix('-') {
            Some("-") => break,
            Some("-json") => options.format = Format::Json,
            Some(cluster) if !cluster.is_empty() => {
                if let Err(invocation) = options.take_cluster(cluster, &mut arguments) {
                    return invocation;
                }
            }
            _ => {
                options.words.push(argument.clone());
                break;
            }
        }
    }
    options.words.extend(arguments.cloned());
    Invocation::Run(options)
}

impl Options {
    /// Takes the letters of one argument, and the next argument if a letter needs it.
    fn take_cluster<'a>(
        &mut self,
        cluster: &str,
        arguments: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Invocation> {
        let mut letters = cluster.chars();
        while let Some(letter) = letters.next() {
            if matches!(letter, 'h' | 'p' | 'u' | 'f') {
                let attached = letters.as_str();
                let value = if attached.is_empty() {
                    arguments.next().cloned().ok_or_else(|| {
                        Invocation::Invalid(format!("option requires an argument -- '{letter}'"))
                    })?
                } else {
                    attached.to_owned()
                };
                self.take_value(letter, value);
                return Ok(());
            }
            self.take_flag(letter)?;
        }
        Ok(())
    }

    fn take_flag(&mut self, letter: char) -> Result<(), Invocation> {
        match letter {
            '4' => self.family = Family::Ipv4,
            '6' => self.family = Family::Ipv6,
            'a' => {}
            'c' => self.format = Format::Csv,
            'd' => self.debug = true,
            'e' => self.end_dot = true,
            'j' => self.format = Format::Json,
            'm' => self.multiple = true,
            'n' => self.numeric = true,
            'N' => self.source_names = true,
            'v' => return Err(Invocation::Version),
            'w' => self.wide = true,
            _ => return Err(Invocation::Invalid(format!("invalid option -- '{letter}'"))),
        }
        Ok(())
    }

    fn take_value(&mut self, letter: char, value: String) {
        match letter {
            'h' => self.servers = value,
            // Only the low 16 bits count, and no digits mean 0, as with atoi().
            'p' => self.port = integer_prefix(&value).map_or(0, |(port, _)| port as u16),
            'u' => self.user = value,
            _ => {}
        }
    }
}

/// The line of `-v`.
pub(crate) fn version_line() -> String {
    format!("chronyc (chrony) version {VERSION} ({FEATURES})\n")
}

/// The text of `--help`. The line of `-j` is the only one the reference has not.
pub(crate) fn usage(program: &str) -> String {
    let servers = default_servers();
    format!(
        "Usage: {program} [OPTION]... [COMMAND]...\n\n\
         Options:\n\
         \x20 -4\t\tUse IPv4 addresses only\n\
         \x20 -6\t\tUse IPv6 addresses only\n\
         \x20 -n\t\tDon't resolve hostnames\n\
         \x20 -N\t\tPrint original source names\n\
         \x20 -c\t\tEnable CSV format\n\
         \x20 -j, --json\tEnable JSON format\n\
         \x20 -e\t\tEnd responses with dot\n\
         \x20 -d\t\tEnable debug messages\n\
         \x20 -m\t\tAccept multiple commands\n\
         \x20 -h HOST\tSpecify server ({servers})\n\
         \x20 -p PORT\tSpecify UDP port ({DEFAULT_PORT})\n\
         \x20 -u USER\tSpecify user ({DEFAULT_USER})\n\
         \x20 -w\t\tWide output\n\
         \x20 -v, --version\tPrint version and exit\n\
         \x20     --help\tPrint usage and exit\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{Format, Invocation, Options, parse};
    use crate::resolver::Family;

    fn run(line: &str) -> Invocation {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    fn options(line: &str) -> Options {
        match run(line) {
            Invocation::Run(options) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn clusters_and_attached_arguments() {
        let taken = options("-nce -h::1 -p 65859x -46 activity -n");
        assert!(taken.numeric && taken.end_dot && taken.format == Format::Csv);
        assert_eq!(taken.servers, "::1");
        assert_eq!(taken.port, 323);
        assert_eq!(taken.family, Family::Ipv6);
        assert_eq!(taken.words, ["activity", "-n"]);
        assert_eq!(options("-h=x").servers, "=x");
        assert_eq!(options("-n -- -c").words, ["-c"]);
        assert_eq!(options("-").words, ["-"]);
        assert_eq!(options("-j tracking").format, Format::Json);
    }

    #[test]
    fn help_and_version() {
        assert_eq!(run("tracking --help"), Invocation::Help);
        assert_eq!(
            run("-x -v"),
            Invocation::Invalid("invalid option -- 'x'".into())
        );
        assert_eq!(run("-v -x"), Invocation::Version);
        assert_eq!(
            run("--nosuch"),
            Invocation::Invalid("invalid option -- '-'".into())
        );
        assert_eq!(
            run("-h"),
            Invocation::Invalid("option requires an argument -- 'h'".into())
        );
    }
}
