//! Tables of messages under `tests/data`: section, level, text as `printf` has it, and what
//! provokes it.

use std::path::{Path, PathBuf};

use discipline::journal::Severity;

use super::pattern::Pattern;

/// A row of a table.
pub(crate) struct Row {
    /// As it stands.
    pub(crate) line: String,
    pub(crate) severity: Severity,
    pub(crate) pattern: Pattern,
    /// The last column.
    pub(crate) place: String,
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads the table of a folder of `tests/data`.
pub(crate) fn read(folder: &str) -> Vec<Row> {
    let file = root().join("tests/data").join(folder).join("messages.tsv");
    let text = std::fs::read_to_string(file).expect("the table");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, level, text, place] = columns.try_into().expect("four columns");
        Row {
            line: line.to_owned(),
            severity: match level {
                "INFO" => Severity::Info,
                "WARN" => Severity::Warning,
                "ERR" => Severity::Error,
                "FATAL" => Severity::Fatal,
                other => panic!("level {other}"),
            },
            pattern: Pattern::new(text),
            place: place.to_owned(),
        }
    })
    .collect()
}
