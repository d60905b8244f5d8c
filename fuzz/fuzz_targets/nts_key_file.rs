//! The file of server keys: what is accepted is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts::server::key_file::KeyFile;

fuzz_target!(|text: &str| {
    if let Ok(file) = KeyFile::parse(text) {
        assert!(file.age_s >= 0.0);
        let written = file.to_text();
        let again = KeyFile::parse(&written).expect("our own file");
        assert_eq!(again.keys.current().id(), file.keys.current().id());
    }
});
