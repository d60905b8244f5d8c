//! Files of client associations: what is accepted is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts::client::dump::Dump;

fuzz_target!(|text: &str| {
    if let Ok(dump) = Dump::parse(text) {
        assert!(dump.cookies.len() <= 8);
        let again = Dump::parse(&dump.to_text()).expect("our own file");
        assert_eq!(again.cookies, dump.cookies);
        assert_eq!(again.keys, dump.keys);
        assert_eq!(again.target, dump.target);
    }
});
