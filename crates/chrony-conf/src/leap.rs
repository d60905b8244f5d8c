//! Which source of leap seconds is used (discipline chapter, section 11.1).

use std::path::PathBuf;

use crate::config::ClockSettings;
use crate::diagnostics::Message;
use crate::files::Reader;
use crate::leap_table::LeapTable;
use crate::text;
use crate::{leap_list, leap_zone};

/// A file with leap seconds. It is read again at each look-up that is not cached, so that
/// updates need no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeapSource {
    /// `leapseclist`.
    List(PathBuf),
    /// `leapsectz`.
    Zone(String),
}

impl LeapSource {
    /// Reads the file; the error is the reference's message, if it has one.
    pub fn read(&self, reader: &dyn Reader) -> Result<LeapTable, Option<Message>> {
        match self {
            Self::List(path) => {
                let name = text::from_path(path);
                let content = reader.read(path).map_err(|_| {
                    Message::error(format!("Failed to open leap seconds list {name}"))
                })?;
                let table = leap_list::parse(&content);
                table.ok_or_else(|| {
                    Some(Message::error(format!(
                        "Failed to parse leap seconds list {name}"
                    )))
                })
            }
            Self::Zone(zone) => {
                let content = reader.read(&leap_zone::path(zone)).map_err(|_| None)?;
                leap_zone::parse(&content).ok_or(None)
            }
        }
    }

    /// The warning about an expired table; a zone never expires for the reference.
    pub fn expiry_warning(&self) -> Option<Message> {
        match self {
            Self::List(path) => {
                let name = text::from_path(path);
                Some(Message::warning(format!(
                    "Leap second list {name} needs update"
                )))
            }
            Self::Zone(_) => None,
        }
    }

    fn failed_check(&self) -> Message {
        Message::warning(match self {
            Self::List(path) => {
                format!(
                    "Leap second list {} failed check, ignoring",
                    text::from_path(path)
                )
            }
            Self::Zone(zone) => format!("Timezone {zone} failed leap second check, ignoring"),
        })
    }

    fn in_use(&self) -> Message {
        Message::info(match self {
            Self::List(path) => format!("Using leap second list {}", text::from_path(path)),
            Self::Zone(zone) => format!("Using {zone} timezone to obtain leap second data"),
        })
    }
}

/// Tests the configured sources and chooses one: the list when both are usable.
///
/// Messages in the order of the log.
pub fn choose(clock: &ClockSettings, reader: &dyn Reader) -> (Option<LeapSource>, Vec<Message>) {
    let mut messages = Vec::new();
    let zone = clock.leap_timezone.clone().map(LeapSource::Zone);
    let list = clock.leap_list.clone().map(LeapSource::List);
    let mut usable = |source: Option<LeapSource>| {
        let source = source?;
        match source.read(reader) {
            Ok(table) if table.passes_check() => return Some(source),
            Ok(_) | Err(None) => {}
            Err(Some(message)) => messages.push(message),
        }
        messages.push(source.failed_check());
        None
    };
    let (zone, list) = (usable(zone), usable(list));
    let chosen = list.or(zone);
    messages.extend(chosen.as_ref().map(LeapSource::in_use));
    (chosen, messages)
}
