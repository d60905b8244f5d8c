//! `log`, `opencommands` and the settings of logs and reports (configuration chapter,
//! sections 4.7 and 4.9).

use std::path::PathBuf;

use crate::arguments::Arguments;
use crate::diagnostics::{Fault, Reason};

/// Which log files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFiles {
    /// `measurements`: valid measurements.
    pub measurements: bool,
    /// `rawmeasurements`: all measurements, in `measurements.log`.
    pub raw_measurements: bool,
    /// `statistics`.
    pub statistics: bool,
    /// `tracking`.
    pub tracking: bool,
    /// `rtc`.
    pub rtc: bool,
    /// `refclocks`.
    pub refclocks: bool,
    /// `tempcomp`.
    pub tempcomp: bool,
    /// `selection`.
    pub selection: bool,
}

/// Logs and reports.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// `log`.
    pub files: LogFiles,
    /// `logdir`.
    pub directory: Option<PathBuf>,
    /// `logbanner`: entries between banners; 0 = never.
    pub banner_interval: i32,
    /// `logchange`: offsets beyond this are reported, s.
    pub change_threshold_s: f64,
    /// `mailonchange`.
    pub mail_on_change: Option<MailOnChange>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            files: LogFiles::default(),
            directory: None,
            banner_interval: 32,
            change_threshold_s: 1.0,
            mail_on_change: None,
        }
    }
}

/// `mailonchange ADDRESS THR`.
#[derive(Clone, Debug, PartialEq)]
pub struct MailOnChange {
    /// Recipient.
    pub address: String,
    /// Offsets beyond this are mailed, s.
    pub threshold_s: f64,
}

type LogFlag = fn(&mut LogFiles) -> &mut bool;

/// Words of `log`; case matters.
const LOG_FILES: [(&str, LogFlag); 8] = [
    ("measurements", |files| &mut files.measurements),
    ("rawmeasurements", |files| &mut files.raw_measurements),
    ("statistics", |files| &mut files.statistics),
    ("tracking", |files| &mut files.tracking),
    ("rtc", |files| &mut files.rtc),
    ("refclocks", |files| &mut files.refclocks),
    ("tempcomp", |files| &mut files.tempcomp),
    ("selection", |files| &mut files.selection),
];

/// `log [NAME]...`; names accumulate.
pub fn log(files: &mut LogFiles, arguments: &mut Arguments<'_>) -> Result<(), Fault> {
    for word in arguments.rest() {
        match LOG_FILES.iter().find(|(name, _)| *name == word.text) {
            Some((_, flag)) => *flag(files) = true,
            None => {
                return Err(
                    Fault::at(Reason::InvalidLogParameter, word.start, word.text.len())
                        .among(LOG_FILES.iter().map(|(name, _)| *name).collect()),
                );
            }
        }
    }
    Ok(())
}

/// A read-only command that can be answered over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OpenCommand {
    /// `activity`.
    Activity,
    /// `authdata`.
    AuthData,
    /// `clients`.
    Clients,
    /// `manual` (list).
    Manual,
    /// `ntpdata`.
    NtpData,
    /// `rtcdata`.
    RtcData,
    /// `selectdata`.
    SelectData,
    /// `serverstats`.
    ServerStats,
    /// `smoothing`.
    Smoothing,
    /// `sourcename`.
    SourceName,
    /// `sources`.
    Sources,
    /// `sourcestats`.
    SourceStats,
    /// `tracking`.
    Tracking,
}

/// Names of the commands, matched without regard to case.
const OPEN_COMMANDS: [(&str, OpenCommand); 13] = [
    ("activity", OpenCommand::Activity),
    ("authdata", OpenCommand::AuthData),
    ("clients", OpenCommand::Clients),
    ("manual", OpenCommand::Manual),
    ("ntpdata", OpenCommand::NtpData),
    ("rtcdata", OpenCommand::RtcData),
    ("selectdata", OpenCommand::SelectData),
    ("serverstats", OpenCommand::ServerStats),
    ("smoothing", OpenCommand::Smoothing),
    ("sourcename", OpenCommand::SourceName),
    ("sources", OpenCommand::Sources),
    ("sourcestats", OpenCommand::SourceStats),
    ("tracking", OpenCommand::Tracking),
];

/// The commands answered over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCommands(u16);

impl Default for OpenCommands {
    fn default() -> Self {
        [
            OpenCommand::Activity,
            OpenCommand::Manual,
            OpenCommand::RtcData,
            OpenCommand::Smoothing,
            OpenCommand::SourceName,
            OpenCommand::Sources,
            OpenCommand::SourceStats,
            OpenCommand::Tracking,
        ]
        .into_iter()
        .collect()
    }
}

impl FromIterator<OpenCommand> for OpenCommands {
    fn from_iter<I: IntoIterator<Item = OpenCommand>>(commands: I) -> Self {
        Self(
            commands
                .into_iter()
                .fold(0, |bits, command| bits | 1 << command as u16),
        )
    }
}

impl OpenCommands {
    /// Whether a command is open.
    pub fn contains(self, command: OpenCommand) -> bool {
        self.0 & 1 << command as u16 != 0
    }

    /// Whether the number of sources may be asked for: with any command about sources.
    pub fn opens_source_count(self) -> bool {
        [
            OpenCommand::AuthData,
            OpenCommand::NtpData,
            OpenCommand::SelectData,
            OpenCommand::Sources,
            OpenCommand::SourceStats,
        ]
        .into_iter()
        .any(|command| self.contains(command))
    }
}

/// `opencommands [CMD]...`; the empty list closes all.
pub fn open_commands(arguments: &mut Arguments<'_>) -> Result<OpenCommands, Fault> {
    arguments
        .rest()
        .map(|word| {
            let found = OPEN_COMMANDS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(word.text));
            found.map(|(_, command)| *command).ok_or_else(|| {
                Fault::at(Reason::CouldNotParse, word.start, word.text.len())
                    .expecting("expected names of monitoring commands")
                    .among(OPEN_COMMANDS.iter().map(|(name, _)| *name).collect())
            })
        })
        .collect()
}
