//! Any bytes as a key file: no panic, no empty key, ciphers have keys of their length.
#![no_main]

use libfuzzer_sys::fuzz_target;

fn check(content: &[u8]) {
    let file = chrony_conf::keys::parse(content, "keys", &|_| true);
    for key in &file.keys {
        assert!(!key.secret.is_empty());
        assert!(key.key_type.secret_length().is_none_or(|octets| octets == key.secret.len()));
        assert!(file.find(key.id).is_some());
    }
}

fuzz_target!(|content: &[u8]| check(content));
