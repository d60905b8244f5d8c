//! Every message of the discipline is provoked: the table `messages.tsv` says where. A message
//! that no world says any more fails here, as does one that is not in the table.

mod messages {
    pub(crate) mod pattern;
    pub(crate) mod worlds;
}
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use discipline::journal::Severity;
use messages::pattern::Pattern;
use messages::worlds;

/// A row of the table.
struct Row {
    line: String,
    severity: Severity,
    pattern: Pattern,
    place: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn table() -> Vec<Row> {
    let file = root().join("tests/data/discipline/messages.tsv");
    let text = std::fs::read_to_string(file).expect("the table");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let [_, level, text, place] = line
            .split('\t')
            .collect::<Vec<_>>()
            .try_into()
            .expect("four columns");
        let severity = match level {
            "INFO" => Severity::Info,
            "WARN" => Severity::Warning,
            "ERR" => Severity::Error,
            "FATAL" => Severity::Fatal,
            other => panic!("level {other}"),
        };
        Row {
            line: line.to_owned(),
            severity,
            pattern: Pattern::new(text),
            place: place.to_owned(),
        }
    })
    .collect()
}

#[test]
fn every_message_is_said_somewhere() {
    let table = table();
    let mut missing: BTreeSet<&str> = table
        .iter()
        .filter(|row| row.place == "sim")
        .map(|row| row.line.as_str())
        .collect();
    let mut unknown = BTreeSet::new();
    for (severity, text) in worlds::all() {
        let mut found = table
            .iter()
            .filter(|row| row.severity == severity && row.pattern.matches(&text))
            .peekable();
        if found.peek().is_none() {
            unknown.insert(format!("{severity:?} {text}"));
        }
        for row in found {
            missing.remove(row.line.as_str());
        }
    }
    assert!(missing.is_empty(), "not said: {missing:#?}");
    assert!(unknown.is_empty(), "not in the table: {unknown:#?}");
}

#[test]
fn tests_named_by_the_table_expect_their_messages() {
    for row in table().iter().filter(|row| row.place != "sim") {
        let file = root().join(&row.place);
        let source = std::fs::read_to_string(&file).expect("the named test");
        let literal = row.pattern.longest_literal();
        assert!(source.contains(literal), "{}: no {literal:?}", row.line);
        assert!(source.contains("#[test]"), "{}", row.line);
    }
}
