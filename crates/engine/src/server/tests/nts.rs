//! The captures of requests with NTS: answered, refused or dropped as recorded, with the same
//! header and the same fields. Nonces and cookies are random and differ.

use std::sync::Arc;

use ntp_wire::extension::NTS_UNIQUE_IDENTIFIER;
use ntp_wire::{Packet, ptp::PREFIX_LENGTH};
use nts::server::key_file::KeyFile;

use super::harness::{Row, Server, Setup, unhex};
use crate::server::responder::Outcome;

const FILES: [(&str, &str, usize); 5] = [
    ("ntp_server_siv", "ntskeys_15", 67),
    ("ntp_server_siv_gcmcookie", "ntskeys_30", 5),
    ("ntp_server_gcm_compliant", "ntskeys_30", 53),
    ("ntp_server_gcm_noncompliant", "ntskeys_30", 53),
    ("ntp_server_gcm_sivcookie", "ntskeys_15", 5),
];

fn read(file: &str) -> String {
    let path = format!("{}/../../tests/data/nts/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn row(name: &str, data: Vec<u8>) -> Row {
    Row {
        case: name.into(),
        direction: "C>S".into(),
        time: discipline::time::RawTime::from_ns(1_795_471_883_000_000_000),
        source: Some(([127, 0, 0, 1], 4123).into()),
        destination_port: 123,
        was_sent: true,
        data,
        note: String::new(),
    }
}

/// The kinds and lengths of the fields, and the bodies of the unique identifiers.
fn fields<'a>(packet: &Packet<'a>) -> Vec<(u16, usize, &'a [u8])> {
    packet
        .extensions()
        .map(|field| match field.kind {
            NTS_UNIQUE_IDENTIFIER => (field.kind, field.length(), field.body),
            kind => (kind, field.length(), [].as_slice()),
        })
        .collect()
}

#[test]
fn captured_requests() {
    for (file, key_file, expected_rows) in FILES {
        let keys = Arc::new(KeyFile::parse(&read(key_file)).unwrap().keys);
        let mut rows = 0;
        for line in read(&format!("{file}.tsv")).lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let [name, _, request, response, decoded] = columns[..] else {
                continue;
            };
            if name == "name" || decoded.contains("RATE") || name.contains("kod") {
                continue;
            }
            rows += 1;
            let mut server = Server::new(Setup::default());
            server.snapshot.nts = Some(Arc::clone(&keys));
            let request = row(name, unhex(request));
            let recorded = unhex(response);
            let recorded = Packet::parse(&recorded).ok();
            let answered = server.answer(&request, recorded.as_ref(), &[]);
            match (answered.outcome, recorded) {
                (Outcome::Ignored(_), None) => {}
                (Outcome::Reply { length, .. }, Some(recorded)) => {
                    let ours = Packet::parse(&server.buffer[..length]).unwrap();
                    assert_eq!(ours.header, recorded.header, "{file} {name}");
                    assert_eq!(fields(&ours), fields(&recorded), "{file} {name}");
                    assert_eq!(length, recorded.bytes().len(), "{file} {name}");
                }
                (outcome, recorded) => {
                    panic!(
                        "{file} {name}: {outcome:?}, recorded {}",
                        recorded.is_some()
                    )
                }
            }
        }
        assert_eq!(rows, expected_rows, "{file}");
    }
}

#[test]
fn the_buffer_has_room_for_the_longest() {
    let server = Server::new(Setup::default());
    assert_eq!(server.buffer.len(), PREFIX_LENGTH + 1140);
}
