//! Every message of process, files, sockets and the clock chip: the table `messages.tsv` says
//! where. Runs of the real program provoke most of them; they are read where an administrator
//! reads them, in the system log, whose priority shows the severity.

#[path = "../../sim/tests/messages/pattern.rs"]
mod pattern;
#[path = "messages/runs.rs"]
mod runs;
mod support;
#[path = "messages/system_log.rs"]
mod system_log;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use discipline::journal::Severity;
use pattern::Pattern;
use support::{able, can_unshare, is_root};

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
    let file = root().join("tests/data/system/messages.tsv");
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

#[test]
fn every_message_is_said_with_its_severity() {
    let mounts = can_unshare();
    if !able(is_root() && mounts, "root and namespaces") {
        return;
    }
    let said = runs::all();
    let missing: BTreeSet<String> = table()
        .into_iter()
        .filter(|row| row.place == "log")
        .filter(|row| {
            !said.iter().any(|(severity, text)| {
                let text = text.strip_prefix("Fatal error : ").unwrap_or(text);
                *severity == row.severity && row.pattern.matches(text)
            })
        })
        .map(|row| row.line)
        .collect();
    assert!(missing.is_empty(), "not said: {missing:#?}\nof {said:#?}");
}

#[test]
fn tests_named_by_the_table_expect_their_messages() {
    let named = table().into_iter().filter(|row| row.place != "log");
    for row in named {
        if let Some(reason) = row.place.strip_prefix("never: ") {
            assert!(!reason.is_empty(), "{}", row.line);
            continue;
        }
        let file = root().join(&row.place);
        let source = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", row.line));
        let literal = row.pattern.longest_literal();
        assert!(source.contains(literal), "{}: no {literal:?}", row.line);
    }
}
