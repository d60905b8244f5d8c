//! What the algorithms want said: log messages and lines of the measurement logs.
//!
//! Nothing here writes anywhere. A [`Journal`] collects entries; the owner of the event
//! loop drains them to the system log, the terminal or the files under `logdir`.

/// Severity of a message (system chapter, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Details for developers.
    Debug,
    /// Ordinary course of events.
    Info,
    /// Something the administrator may want to change.
    Warning,
    /// Something failed; the daemon goes on.
    Error,
    /// The daemon cannot go on.
    Fatal,
}

/// The measurement logs (directive `log`; discipline chapter, section 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFile {
    /// `measurements.log`, also for `rawmeasurements`.
    Measurements,
    /// `statistics.log`
    Statistics,
    /// `tracking.log`
    Tracking,
    /// `selection.log`
    Selection,
    /// `rtc.log`
    Rtc,
    /// `refclocks.log`
    Refclocks,
    /// `tempcomp.log`
    Tempcomp,
}

/// One thing to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A message for the system log.
    Message {
        /// How important it is.
        severity: Severity,
        /// The text, without a line end.
        text: String,
        /// By how much the system clock was stepped since, seconds: its time when this was
        /// recorded is that of the writing less this.
        stepped_s: f64,
    },
    /// A line of a measurement log.
    Line {
        /// The log it belongs to.
        file: LogFile,
        /// The text, without a line end.
        text: String,
    },
}

/// Collects entries in order until they are drained.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    enabled: [bool; 7],
    debug: bool,
}

impl Journal {
    /// An empty journal without measurement logs or debug messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses whether [`Journal::debug`] records anything.
    pub fn set_debug(&mut self, enabled: bool) {
        self.debug = enabled;
    }

    /// Chooses whether lines of `file` are recorded.
    pub fn enable(&mut self, file: LogFile, enabled: bool) {
        self.enabled[file as usize] = enabled;
    }

    /// Whether lines of `file` are recorded; lets callers skip formatting.
    pub fn wants(&self, file: LogFile) -> bool {
        self.enabled[file as usize]
    }

    /// Records a debug message when debugging is on.
    pub fn debug(&mut self, text: impl FnOnce() -> String) {
        if self.debug {
            self.push(Severity::Debug, text());
        }
    }

    /// Records an informational message.
    pub fn info(&mut self, text: impl Into<String>) {
        self.push(Severity::Info, text.into());
    }

    /// Records a warning.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.push(Severity::Warning, text.into());
    }

    /// Records an error.
    pub fn error(&mut self, text: impl Into<String>) {
        self.push(Severity::Error, text.into());
    }

    /// Records a fatal error; the owner of the event loop ends the daemon on it.
    pub fn fatal(&mut self, text: impl Into<String>) {
        self.push(Severity::Fatal, text.into());
    }

    /// Records a line of a measurement log if that log is enabled.
    pub fn line(&mut self, file: LogFile, text: impl FnOnce() -> String) {
        if self.wants(file) {
            let text = text();
            self.entries.push(Entry::Line { file, text });
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes all entries, oldest first.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Entry> {
        self.entries.drain(..)
    }

    /// The system clock was stepped by so many seconds: what waits was recorded before.
    pub fn clock_stepped(&mut self, by_s: f64) {
        for entry in &mut self.entries {
            if let Entry::Message { stepped_s, .. } = entry {
                *stepped_s += by_s;
            }
        }
    }

    fn push(&mut self, severity: Severity, text: String) {
        self.entries.push(Entry::Message {
            severity,
            text,
            stepped_s: 0.0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_was_recorded_before_a_step() {
        let mut journal = Journal::new();
        journal.info("before");
        journal.clock_stepped(-5.25);
        journal.info("after");
        journal.clock_stepped(1.0);
        let stepped: Vec<f64> = journal
            .drain()
            .filter_map(|entry| match entry {
                Entry::Message { stepped_s, .. } => Some(stepped_s),
                Entry::Line { .. } => None,
            })
            .collect();
        assert_eq!(stepped, [-4.25, 1.0]);
    }

    #[test]
    fn only_what_is_wanted_is_recorded() {
        let mut journal = Journal::new();
        journal.debug(|| "hidden".into());
        journal.line(LogFile::Tracking, || "hidden".into());
        assert!(journal.is_empty());
        journal.set_debug(true);
        journal.enable(LogFile::Tracking, true);
        journal.debug(|| "shown".into());
        journal.line(LogFile::Tracking, || "row".into());
        journal.warning("careful");
        let entries: Vec<_> = journal.drain().collect();
        assert_eq!(entries.len(), 3);
        assert_eq!(
            entries[1],
            Entry::Line {
                file: LogFile::Tracking,
                text: "row".into()
            }
        );
        assert!(journal.is_empty());
    }
}
