//! Where messages go: standard error, a file or the system log (system chapter, section
//! 8.1).

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use discipline::journal::Severity;
use discipline::time::RawTime;
use os_linux::clock::raw_time;
use os_linux::error_text;
use os_linux::process::{ReadinessPipe, Severity as SyslogSeverity, Syslog};

use crate::arguments::{THRESHOLD_DEBUG, THRESHOLD_INFO};
use crate::measurement_logs::open_append;

/// Longest message; the rest is cut.
const MESSAGE_LENGTH_MAX: usize = 2047;

/// Permissions of a new log file, less the umask.
const LOG_FILE_MODE: u32 = 0o640;

#[derive(Debug)]
enum Destination {
    Stderr,
    File { path: PathBuf, file: File },
    Syslog(Syslog),
}

/// The log of messages.
#[derive(Debug)]
pub struct Output {
    destination: Destination,
    threshold: i32,
    /// Whether standard error is the administrator's terminal and not `/dev/null`.
    foreground: bool,
    /// The waiting foreground process of a daemon that is starting.
    readiness: Option<ReadinessPipe>,
}

impl Output {
    /// Standard error, as before the options are known.
    pub fn stderr() -> Self {
        Self {
            destination: Destination::Stderr,
            threshold: THRESHOLD_INFO,
            foreground: true,
            readiness: None,
        }
    }

    /// Sets the lowest severity that is written (the numbers of `-L`).
    pub fn set_threshold(&mut self, threshold: i32) {
        self.threshold = threshold;
    }

    /// Whether messages for debugging are written.
    pub fn wants_debug(&self) -> bool {
        self.threshold <= THRESHOLD_DEBUG
    }

    /// Messages go to the system log from now on.
    pub fn use_syslog(&mut self) {
        self.destination = Destination::Syslog(Syslog::open("chronyd"));
    }

    /// Messages go to a file from now on. The error is the text of a fatal message.
    pub fn use_file(&mut self, path: &Path) -> Result<(), String> {
        let file = open_append(path, LOG_FILE_MODE).map_err(|error| {
            format!("Could not open {} : {}", path.display(), error_text(&error))
        })?;
        self.destination = Destination::File {
            path: path.to_owned(),
            file,
        };
        Ok(())
    }

    /// The process is now a daemon whose foreground process waits.
    pub fn set_daemon(&mut self, readiness: ReadinessPipe) {
        self.foreground = false;
        self.readiness = Some(readiness);
    }

    /// Releases the foreground process, if there is one. An error means that it is gone.
    pub fn ready(&mut self) -> io::Result<()> {
        self.readiness.take().map_or(Ok(()), ReadinessPipe::ready)
    }

    /// Reopens the log file if its name no longer exists (command `cyclelogs`); where that
    /// fails the old one is kept.
    pub fn cycle(&mut self) {
        if let Destination::File { path, file } = &mut self.destination
            && !path.exists()
            && let Ok(new) = open_append(path, LOG_FILE_MODE)
        {
            *file = new;
        }
    }

    /// Writes more about the message before it than chrony says, for people: on a terminal, in
    /// the system log and in a log file. What programs may read and compare, standard error
    /// that goes elsewhere, gets it only with the messages for debugging.
    pub fn explain(&mut self, text: &str) {
        let compared =
            matches!(self.destination, Destination::Stderr) && !io::stderr().is_terminal();
        self.write(
            if compared {
                Severity::Debug
            } else {
                Severity::Warning
            },
            text,
        );
    }

    /// Writes a message.
    pub fn write(&mut self, severity: Severity, text: &str) {
        self.write_at(raw_time(), severity, text);
    }

    /// Writes a message that was recorded at another time of the system clock, before a step.
    /// The system log stamps what it gets itself.
    pub fn write_at(&mut self, recorded: RawTime, severity: Severity, text: &str) {
        let prefix = if severity == Severity::Fatal {
            "Fatal error : "
        } else {
            ""
        };
        if severity_number(severity) < self.threshold {
            return;
        }
        let message = cut(format!("{prefix}{text}"));
        match &mut self.destination {
            Destination::Syslog(syslog) => {
                syslog.write(syslog_severity(severity), &message);
                if severity == Severity::Fatal && self.foreground {
                    write_line(&mut io::stderr(), &message);
                }
            }
            Destination::Stderr => write_line(&mut io::stderr(), &stamped(recorded, &message)),
            Destination::File { file, .. } => write_line(file, &stamped(recorded, &message)),
        }
        if severity == Severity::Fatal
            && let Some(readiness) = self.readiness.take()
        {
            // The foreground process may be gone; nobody else is to be told.
            let _ = readiness.fail(text);
        }
    }
}

/// Nothing can be done about a log that cannot be written.
fn write_line(to: &mut impl Write, line: &str) {
    // Bytes of the configuration that are not UTF-8 come out as they went in.
    let mut bytes = chrony_conf::text::to_bytes(line);
    bytes.push(b'\n');
    let _ = to.write_all(&bytes);
}

fn stamped(recorded: RawTime, message: &str) -> String {
    let time = recorded.utc().to_string();
    format!("{}Z {message}", time.replace(' ', "T"))
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_LENGTH_MAX {
        let end = (0..=MESSAGE_LENGTH_MAX)
            .rev()
            .find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
    }
    message
}

const fn severity_number(severity: Severity) -> i32 {
    match severity {
        Severity::Debug => THRESHOLD_DEBUG,
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
        Severity::Fatal => 3,
    }
}

const fn syslog_severity(severity: Severity) -> SyslogSeverity {
    match severity {
        Severity::Debug => SyslogSeverity::Debug,
        Severity::Info => SyslogSeverity::Info,
        Severity::Warning => SyslogSeverity::Warning,
        Severity::Error => SyslogSeverity::Error,
        Severity::Fatal => SyslogSeverity::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_what_passes_the_threshold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut output = Output::stderr();
        output.use_file(&path).unwrap();
        output.set_threshold(1);
        output.write(Severity::Info, "hidden");
        output.write(Severity::Warning, "shown");
        output.write(Severity::Fatal, "the end");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| &line[21..]).collect();
        assert_eq!(lines, ["shown", "Fatal error : the end"]);
        assert_eq!(&text[10..11], "T");
        assert_eq!(&text[19..21], "Z ");
    }

    #[test]
    fn a_rotated_file_is_reopened_by_cyclelogs_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("old"));
        let mut output = Output::stderr();
        output.use_file(&path).unwrap();
        std::fs::rename(&path, &old).unwrap();
        output.write(Severity::Info, "one");
        output.cycle();
        output.write(Severity::Info, "two");
        assert!(std::fs::read_to_string(&old).unwrap().ends_with("one\n"));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("two\n"));
    }

    #[test]
    fn a_link_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        let error = Output::stderr().use_file(&path).unwrap_err();
        let expected = format!(
            "Could not open {} : Too many levels of symbolic links",
            path.display()
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(cut("ä".repeat(2000)).len(), 2046);
    }
}
