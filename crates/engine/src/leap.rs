//! The leap second database of the configuration, as the discipline asks it.

use chrony_conf::Severity;
use chrony_conf::files::Reader;
use chrony_conf::leap::LeapSource;
use chrony_conf::leap_table::Leap;
use discipline::journal::Journal;
use discipline::reference::{LeapDatabase, LeapLookup, PendingLeap};

/// A database that reads `source` anew whenever it is asked, since the file may be updated.
pub fn database(source: LeapSource, reader: impl Reader + Send + 'static) -> LeapDatabase {
    LeapDatabase::new(Box::new(move |seconds, journal| {
        look_up(&source, &reader, seconds, journal)
    }))
}

fn look_up(
    source: &LeapSource,
    reader: &dyn Reader,
    seconds: i64,
    journal: &mut Journal,
) -> LeapLookup {
    let table = match source.read(reader) {
        Ok(table) => table,
        Err(message) => {
            if let Some(message) = message {
                journal.error(message.text);
            }
            return LeapLookup::default();
        }
    };
    let found = table.lookup(seconds);
    if found.needs_update
        && let Some(message) = source.expiry_warning()
    {
        match message.severity {
            Severity::Error => journal.error(message.text),
            _ => journal.warning(message.text),
        }
    }
    LeapLookup {
        leap: match found.leap {
            Leap::None => PendingLeap::None,
            Leap::Insert => PendingLeap::Insert,
            Leap::Delete => PendingLeap::Delete,
        },
        tai_offset_s: Some(found.tai_offset_s),
    }
}
