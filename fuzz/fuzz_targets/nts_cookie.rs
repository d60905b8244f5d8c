//! Cookies that clients send back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts::server::cookie;
use nts::server::key_file::KeyFile;

const KEYS: [&str; 2] = [
    include_str!("../../tests/data/nts/ntskeys_15"),
    include_str!("../../tests/data/nts/ntskeys_30"),
];

fuzz_target!(|data: &[u8]| {
    for text in KEYS {
        let keys = KeyFile::parse(text).expect("a golden file").keys;
        // With the ID of a key in front the fuzzer gets further.
        let mut known = 0xa500_0002u32.to_be_bytes().to_vec();
        known.extend_from_slice(data);
        for cookie in [data, &known] {
            let _ = cookie::open(&keys, cookie);
        }
    }
});
