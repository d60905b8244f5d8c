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
#[path = "../../sim/tests/messages/table.rs"]
mod table;

use std::collections::BTreeSet;

use support::{able, can_unshare, is_root};

#[test]
fn every_message_is_said_with_its_severity() {
    let mounts = can_unshare();
    if !able(is_root() && mounts, "root and namespaces") {
        return;
    }
    let said = runs::all();
    let missing: BTreeSet<String> = table::read("system")
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
    let named = table::read("system")
        .into_iter()
        .filter(|row| row.place != "log");
    for row in named {
        if let Some(reason) = row.place.strip_prefix("never: ") {
            assert!(!reason.is_empty(), "{}", row.line);
            continue;
        }
        let file = table::root().join(&row.place);
        let source = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", row.line));
        let literal = row.pattern.longest_literal();
        assert!(source.contains(literal), "{}: no {literal:?}", row.line);
    }
}
