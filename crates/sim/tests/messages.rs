//! Every message of the discipline is provoked: the table `messages.tsv` says where. A message
//! that no world says any more fails here, as does one that is not in the table.

mod messages {
    pub(crate) mod pattern;
    pub(crate) mod table;
    pub(crate) mod worlds;
}
mod support;

use std::collections::BTreeSet;

use messages::{table, worlds};

#[test]
fn every_message_is_said_somewhere() {
    let table = table::read("discipline");
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
    for row in table::read("discipline")
        .iter()
        .filter(|row| row.place != "sim")
    {
        let file = table::root().join(&row.place);
        let source = std::fs::read_to_string(&file).expect("the named test");
        let literal = row.pattern.longest_literal();
        assert!(source.contains(literal), "{}: no {literal:?}", row.line);
        assert!(source.contains("#[test]"), "{}", row.line);
    }
}
