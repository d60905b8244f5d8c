//! Recorded responses and how the reference's client classified them.

use std::sync::Arc;

use ntp_wire::{Key, KeyKind, KeyRing};

use super::*;

/// A key of the recorded client's key file.
fn key(id: u32) -> Key {
    let (kind, secret) = match id {
        1 => (KeyKind::Md5, "00112233445566778899aabbccddeeff"),
        2 => (KeyKind::Sha1, "000102030405060708090a0b0c0d0e0f10111213"),
        3 => (
            KeyKind::Sha256,
            "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
        ),
        other => panic!("unknown key {other}"),
    };
    Key::new(id, kind, &unhex(secret)).unwrap()
}

fn config_of(options: &str) -> AssociationConfig {
    let mut config = AssociationConfig::new(AssociationMode::Client);
    config.min_poll = 6;
    config.max_poll = 6;
    let words: Vec<&str> = options.split_whitespace().collect();
    let mut position = 0;
    while let Some(word) = words.get(position) {
        let value = words.get(position + 1).copied().unwrap_or("");
        position += 2;
        match *word {
            "maxdelay" => config.max_delay_s = value.parse().unwrap(),
            "offset" => config.offset_correction_s = value.parse().unwrap(),
            "minstratum" => config.min_stratum = value.parse().unwrap(),
            "version" => config.version = Some(value.parse().unwrap()),
            "key" => {
                let key_id = value.parse().unwrap();
                config.authentication = AuthenticationKind::SymmetricKey(key_id);
                config.long_digest = key(key_id).kind().default_version() == 3;
            }
            "extfield" if value == "F323" => config.extension_monotonic_root = true,
            "(none)" => {}
            other => panic!("unknown option {other}"),
        }
    }
    config
}

#[test]
fn every_recorded_response_is_classified_alike() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/ntp/client_tests.tsv"
    ));
    let mut checked = 0;
    for (name, rows) in recording(text) {
        check_case(&name, &rows);
        checked += 1;
    }
    assert_eq!(checked, 46);
}

fn check_case(name: &str, rows: &[Row]) {
    let [request, response, log] = rows else {
        panic!("{name}")
    };
    let options = request.note.strip_prefix("client options: ").unwrap();
    let address = &log.note.get(20..36).unwrap_or("127.0.1.23").trim();
    let config = config_of(options);
    let mut bench = Bench::new(config, &format!("{address}:10123"));
    if let AuthenticationKind::SymmetricKey(id) = bench.association.config().authentication {
        bench.authenticator = Box::new(SymmetricKey::new(
            id,
            Arc::new(KeyRing::new([key(id), key(2)])),
        ));
    }
    bench.start();
    let transmit = timestamp_at(&request.bytes, 40).to_bits();
    bench.random.script.push_back(transmit);
    let transmission = bench.next_transmission().unwrap();
    assert_eq!(
        transmission.payload.as_slice(),
        request.bytes,
        "{name}: request"
    );
    bench.sent(request.time);
    let outcome = bench.receive(&response.bytes, response.time);
    let lines = bench.log_lines();
    if log.note == "-" {
        assert_eq!(lines.len(), 0, "{name}");
        assert_eq!(outcome.tests, None, "{name}");
    } else {
        assert_eq!(lines.len(), 1, "{name}");
        assert_same_measurement(&lines[0], &log.note, name);
    }
    // A response that is not valid leaves the socket open for the real one.
    let valid = outcome.tests.is_some_and(|tests| tests.valid());
    assert_eq!(outcome.close_socket, valid, "{name}");
    assert_eq!(
        outcome.confirmed,
        outcome.tests.is_some_and(|tests| tests.good()),
        "{name}"
    );
    if name == "minstratum" {
        assert_eq!(outcome.status.unwrap().stratum, 5);
    }
}
