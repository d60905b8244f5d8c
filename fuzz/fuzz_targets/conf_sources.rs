//! Any text as a `*.sources` file and as the arguments of chronyc's `add` and `allow`.
#![no_main]

use chrony_conf::source_files::parse;
use chrony_conf::{SourceKind, access, local, sources};
use libfuzzer_sys::fuzz_target;

fn check(text: &[u8]) {
    let found = parse(text, "x.sources");
    for source in &found.sources {
        source.options.effective();
    }
    let line = chrony_conf::text::from_bytes(text);
    let _ = sources::parse_line(SourceKind::Pool, &line);
    let _ = local::parse_line(&line);
    if let Ok(rule) = access::parse_line(true, &line, &mut |_| None) {
        // What a rule prints is a rule again.
        let printed = rule.subnet.to_string();
        let again = access::parse_line(true, &printed, &mut |_| None);
        assert_eq!(again.map(|rule| rule.subnet), Ok(rule.subnet));
    }
}

fuzz_target!(|text: &[u8]| check(text));
