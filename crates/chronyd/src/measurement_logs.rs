//! The files under `logdir` (discipline chapter, section 19; system chapter, section 8.2).
//!
//! A file is opened when its first line is written, and again after `cyclelogs`. A file
//! that cannot be opened is given up until the restart, with one message. A line that
//! cannot be written (a full disk, say) is lost, with one message until writing works
//! again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use discipline::journal::LogFile;
use os_linux::error_text;

/// Permissions of a new file, less the umask.
const MODE: u32 = 0o644;

/// Longest banner line.
const BANNER_LENGTH_MAX: usize = 255;

/// Lines between banners by default.
pub const DEFAULT_BANNER_INTERVAL: u32 = 32;

const ALL: [LogFile; 7] = [
    LogFile::Measurements,
    LogFile::Statistics,
    LogFile::Tracking,
    LogFile::Selection,
    LogFile::Rtc,
    LogFile::Refclocks,
    LogFile::Tempcomp,
];

const fn name(file: LogFile) -> &'static str {
    match file {
        LogFile::Measurements => "measurements",
        LogFile::Statistics => "statistics",
        LogFile::Tracking => "tracking",
        LogFile::Selection => "selection",
        LogFile::Rtc => "rtc",
        LogFile::Refclocks => "refclocks",
        LogFile::Tempcomp => "tempcomp",
    }
}

const fn titles(file: LogFile) -> &'static str {
    match file {
        LogFile::Measurements => {
            "   Date (UTC) Time     IP Address   L St 123 567 ABCD  LP RP Score    Offset  Peer del. Peer disp.  Root del. Root disp. Refid     MTxRx"
        }
        LogFile::Statistics => {
            "   Date (UTC) Time     IP Address    Std dev'n Est offset  Offset sd  Diff freq   Est skew  Stress  Ns  Bs  Nr  Asym"
        }
        LogFile::Tracking => {
            "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr. Root delay Root disp. Max. error"
        }
        LogFile::Selection => {
            "   Date (UTC) Time     IP Address   S EOpts Reach Score Last sample  Low end   High end"
        }
        LogFile::Rtc => {
            "   Date (UTC) Time   RTC fast (s) Val   Est fast (s)   Slope (ppm)  Ns  Nr Meas"
        }
        LogFile::Refclocks => {
            "   Date (UTC) Time         Refid  DP L P  Raw offset   Cooked offset      Disp."
        }
        LogFile::Tempcomp => "   Date (UTC) Time        Temp.       Comp.",
    }
}

#[derive(Debug, Default)]
struct OneLog {
    file: Option<File>,
    lines_written: u64,
    given_up: bool,
    write_failed: bool,
}

/// All measurement logs.
#[derive(Debug)]
pub struct MeasurementLogs {
    directory: Option<PathBuf>,
    banner_interval: u32,
    logs: [OneLog; 7],
}

impl MeasurementLogs {
    /// Logs in `directory`, with a banner every `banner_interval` lines (0: none).
    pub fn new(directory: Option<&Path>, banner_interval: u32) -> Self {
        Self {
            directory: directory.map(Path::to_owned),
            banner_interval,
            logs: Default::default(),
        }
    }

    /// Writes one line. An error is the text of a message to be logged; the second value
    /// tells whether it is an error (else a warning).
    pub fn write(&mut self, file: LogFile, line: &str) -> Result<(), (String, bool)> {
        let log = &mut self.logs[file as usize];
        if log.given_up {
            return Ok(());
        }
        let Some(directory) = &self.directory else {
            log.given_up = true;
            return Err(("logdir not specified".to_owned(), false));
        };
        let path = directory.join(format!("{}.log", name(file)));
        if log.file.is_none() {
            log.file = Some(open_append(&path, MODE).map_err(|error| {
                log.given_up = true;
                (
                    format!("Could not open {} : {}", path.display(), error_text(&error)),
                    true,
                )
            })?);
        }
        let mut text = String::with_capacity(line.len() + 1);
        let interval = u64::from(self.banner_interval);
        if interval > 0 && log.lines_written.is_multiple_of(interval) {
            text.push_str(&banner(titles(file)));
        }
        log.lines_written += 1;
        text.push_str(line);
        text.push('\n');
        let written = log
            .file
            .as_mut()
            .map_or(Ok(()), |f| f.write_all(text.as_bytes()));
        match written {
            Ok(()) => {
                log.write_failed = false;
                Ok(())
            }
            Err(_) if log.write_failed => Ok(()),
            Err(error) => {
                log.write_failed = true;
                Err((
                    format!(
                        "Could not write {} : {}",
                        path.display(),
                        error_text(&error)
                    ),
                    true,
                ))
            }
        }
    }

    /// Closes all files; the next lines open them again (command `cyclelogs`).
    pub fn cycle(&mut self) {
        for file in ALL {
            let log = &mut self.logs[file as usize];
            log.file = None;
            log.lines_written = 0;
        }
    }
}

fn banner(titles: &str) -> String {
    let rule = "=".repeat(titles.len().min(BANNER_LENGTH_MAX));
    format!("{rule}\n{titles}\n{rule}\n")
}

/// Opens a file for appending, creating it with `mode`; refuses a symbolic link.
pub fn open_append(path: &Path, mode: u32) -> std::io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banners_and_cycling() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = MeasurementLogs::new(Some(folder.path()), 2);
        for line in ["one", "two", "three"] {
            logs.write(LogFile::Tempcomp, line).unwrap();
        }
        let path = folder.path().join("tempcomp.log");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[1], "   Date (UTC) Time        Temp.       Comp.");
        assert_eq!(lines[0].len(), lines[1].len());
        assert_eq!((lines[3], lines[4], lines[8]), ("one", "two", "three"));
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        logs.cycle();
        logs.write(LogFile::Tempcomp, "four").unwrap();
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .ends_with("=\nfour\n")
        );
    }

    #[test]
    fn failures_are_said_once() {
        let mut logs = MeasurementLogs::new(None, 32);
        let error = logs.write(LogFile::Rtc, "x").unwrap_err();
        assert_eq!(error, ("logdir not specified".to_owned(), false));
        assert!(logs.write(LogFile::Rtc, "x").is_ok());
        let folder = tempfile::tempdir().unwrap();
        let mut logs = MeasurementLogs::new(Some(&folder.path().join("missing")), 32);
        let (text, is_error) = logs.write(LogFile::Rtc, "x").unwrap_err();
        assert!(
            is_error && text.ends_with("/rtc.log : No such file or directory"),
            "{text}"
        );
        assert!(logs.write(LogFile::Rtc, "x").is_ok());
    }

    #[test]
    fn symbolic_links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.path().join("rtc.log")).unwrap();
        let mut logs = MeasurementLogs::new(Some(folder.path()), 0);
        assert!(logs.write(LogFile::Rtc, "x").is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_full_disk_is_said_once() {
        let mut logs = MeasurementLogs::new(Some(Path::new("/dev")), 0);
        // /dev/full stands in for a file on a full disk.
        logs.logs[LogFile::Rtc as usize].file =
            OpenOptions::new().write(true).open("/dev/full").ok();
        let (text, _) = logs.write(LogFile::Rtc, "x").unwrap_err();
        assert!(text.ends_with("No space left on device"), "{text}");
        assert!(logs.write(LogFile::Rtc, "x").is_ok());
    }
}
