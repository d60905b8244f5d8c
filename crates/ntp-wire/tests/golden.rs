//! Every packet of the reference captures: parsed, emitted again byte for byte, classified
//! as its note says, and its MAC checked.

use std::collections::BTreeMap;

use ntp_wire::ptp::{self, PREFIX_LENGTH};
use ntp_wire::{
    Authentication, Key, KeyKind, KeyRing, MAX_PACKET_LENGTH, Malformed, MessageWriter, Packet,
};

const FILES: [(&str, usize); 14] = [
    ("broadcast", 5),
    ("client_sequences", 14),
    ("client_tests", 46),
    ("drops", 57),
    ("extfields", 18),
    ("interleaved", 6),
    ("kod", 5),
    ("macs", 38),
    ("mssntp", 9),
    ("ntp_over_ptp", 28),
    ("passive", 6),
    ("plain_clients", 25),
    ("ptp_correction_sim", 8),
    ("server_states", 19),
];

/// Length of what precedes the packet in requests to and responses of the signing service.
const SIGND_REQUEST_PREFIX: usize = 20;
const SIGND_RESPONSE_PREFIX: usize = 16;

struct Row {
    case: String,
    direction: String,
    destination_port: String,
    source_port: String,
    /// Whether there is a datagram in this row.
    was_sent: bool,
    data: Vec<u8>,
}

fn rows(file: &str) -> Vec<Row> {
    let path = format!(
        "{}/../../tests/data/ntp/{file}.tsv",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("case\t"))
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            Row {
                case: columns[0].into(),
                direction: columns[2].into(),
                source_port: columns[5].into(),
                destination_port: columns[7].into(),
                data: unhex(columns[9]),
                was_sent: columns[8] != "-",
            }
        })
        .collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .filter(|pair| pair.len() == 2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn emitted(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_PACKET_LENGTH];
    let mut writer = MessageWriter::new(&mut buffer);
    packet.emit(&mut writer).unwrap();
    writer.written().to_vec()
}

/// The NTP message of a row, after a PTP prefix that was emitted again as it was.
fn ntp_message(row: &Row, domain: u8) -> Option<&[u8]> {
    let data = row.data.as_slice();
    match row.direction.as_str() {
        "S>D" => return data.get(SIGND_REQUEST_PREFIX..),
        "D>S" => return data.get(SIGND_RESPONSE_PREFIX..),
        _ => {}
    }
    if row.destination_port != "319" && row.source_port != "319" {
        return Some(data);
    }
    let (prefix, message) = ptp::unwrap(data, domain)?;
    let mut bytes = [0; PREFIX_LENGTH];
    prefix.emit(&mut bytes);
    assert_eq!(bytes, data[..PREFIX_LENGTH], "{}", row.case);
    Some(message)
}

/// What the drops file says of requests that are not packets.
fn expected_malformed(case: &str, length: usize) -> Option<Malformed> {
    if length < 48 || length == 1144 || !length.is_multiple_of(4) {
        return Some(Malformed::Length);
    }
    match case {
        "ver0-mode3" | "ver5-mode3" | "ver6-mode3" | "ver7-mode3" | "bad-ptp-on-123" => {
            Some(Malformed::Version)
        }
        "v4-48+4-nonzero" | "v4-48+8" | "v4-48+12" | "v4-48+16" | "v4-48+28-ef-len24"
        | "v4-48+28-ef-len12" | "v4-48+28-ef-len0" | "v4-48+28-ef-len30" | "v4-48+28-ef-len32"
        | "v4-48+32-ef16x2" | "v4-sha256-full" | "v4-sha512-full" => Some(Malformed::Extension),
        // Carries the packet of v4-48+28-ef-len0, which used the same source port.
        "len50" => Some(Malformed::Extension),
        _ => None,
    }
}

#[test]
fn every_packet_survives() {
    let mut cases = 0;
    for (file, expected_cases) in FILES {
        let mut packets_of_case: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows(file) {
            let packets = packets_of_case.entry(row.case.clone()).or_default();
            if !row.was_sent {
                continue;
            }
            *packets += 1;
            let domain = if row.case == "real-client-domain" {
                5
            } else {
                123
            };
            let Some(message) = ntp_message(&row, domain) else {
                assert!(row.case.starts_with("bad-"), "{file} {}", row.case);
                continue;
            };
            if row.case == "signing-failed" && row.direction == "D>S" {
                assert!(message.is_empty());
                continue;
            }
            match Packet::parse(message) {
                Ok(packet) => {
                    if file == "drops" {
                        let expected = expected_malformed(&row.case, message.len());
                        assert_eq!(expected, None, "{}", row.case);
                    }
                    assert_eq!(emitted(&packet), message, "{file} {}", row.case);
                }
                Err(malformed) => {
                    let expected = match file {
                        "drops" | "ntp_over_ptp" => expected_malformed(&row.case, message.len()),
                        // Responses of the test server that the client ignores.
                        "client_tests" => client_test_malformed(&row.case),
                        _ => None,
                    };
                    assert_eq!(Some(malformed), expected, "{file} {}", row.case);
                }
            }
        }
        assert_eq!(packets_of_case.len(), expected_cases, "{file}");
        assert!(packets_of_case.values().all(|&packets| packets > 0));
        cases += expected_cases;
    }
    assert_eq!(cases, 284);
}

/// Responses of the client tests that are no packets.
fn client_test_malformed(case: &str) -> Option<Malformed> {
    match case {
        "version5" | "version0" => Some(Malformed::Version),
        "short44" | "len50" => Some(Malformed::Length),
        "bad-ef" => Some(Malformed::Extension),
        _ => None,
    }
}

#[test]
fn kinds_of_authentication_in_the_drops_file() {
    let of = |wanted: &str| {
        let row = rows("drops")
            .into_iter()
            .find(|row| row.case == wanted)
            .unwrap();
        Packet::parse(&row.data).unwrap().authentication
    };
    for (case, authentication) in [
        ("v4-mode5", Authentication::None),
        ("v4-48+4-zero", Authentication::Symmetric),
        ("v4-48+20-ef-like", Authentication::Symmetric),
        ("v4-48+24-ef-like", Authentication::Symmetric),
        ("ok-v4-48+28-ef", Authentication::None),
        ("v4-48+36-ef16+bad20", Authentication::Symmetric),
        ("v3-48+4-zero", Authentication::Symmetric),
        ("v3-48+16", Authentication::Symmetric),
        ("v3-48+20-zero-key0", Authentication::Symmetric),
        ("v3-mssntp-disabled", Authentication::MsSntp),
        ("v3-mssntp-ext", Authentication::MsSntpExtended),
        ("v3-sha256-trunc20", Authentication::Symmetric),
        ("v3-ef", Authentication::Symmetric),
        ("nts-no-server", Authentication::Nts),
    ] {
        assert_eq!(of(case), authentication, "{case}");
    }
}

/// The key file in the comments of macs.tsv.
fn golden_keys() -> KeyRing {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/ntp/macs.tsv");
    let text = std::fs::read_to_string(path).unwrap();
    KeyRing::new(text.lines().filter_map(|line| {
        let words: Vec<&str> = line.strip_prefix("# ")?.split(' ').collect();
        let id = words.first()?.parse().ok()?;
        let (kind, secret) = match words.as_slice() {
            [_, kind, secret] => (KeyKind::from_name(kind)?, *secret),
            [_, secret] => (KeyKind::Md5, *secret),
            _ => return None,
        };
        let secret = match secret.split_once(':') {
            Some(("HEX", hex)) => unhex(hex),
            Some(("ASCII", text)) => text.into(),
            _ => secret.into(),
        };
        Some(Key::new(id, kind, &secret).unwrap())
    }))
}

#[test]
fn every_mac_verifies_and_is_made_again() {
    let keys = golden_keys();
    assert_eq!(keys.len(), 13);
    let mut packets = 0;
    for row in rows("macs") {
        let packet = Packet::parse(&row.data).unwrap();
        let mac = packet.mac.unwrap();
        let key = keys.get(mac.key_id).unwrap();
        let version = packet.header.version;
        assert!(
            key.verify(packet.authenticated_bytes(), &mac, version),
            "{}",
            row.case
        );
        let mut damaged = packet.authenticated_bytes().to_vec();
        damaged[47] ^= 1;
        assert!(!key.verify(&damaged, &mac, version), "{}", row.case);

        let mut buffer = [0; MAX_PACKET_LENGTH];
        let mut writer = MessageWriter::new(&mut buffer);
        writer.append(packet.authenticated_bytes()).unwrap();
        writer.sign(key, version).unwrap();
        assert_eq!(writer.written(), row.data, "{}", row.case);
        packets += 1;
    }
    assert_eq!(packets, 76);
}

#[test]
fn macs_of_the_drops_file_do_not_verify() {
    let keys = golden_keys();
    for row in rows("drops") {
        let Ok(packet) = Packet::parse(&row.data) else {
            continue;
        };
        if let Some(mac) = packet.mac
            && let Some(key) = keys.get(mac.key_id)
        {
            let valid = key.verify(packet.authenticated_bytes(), &mac, packet.header.version);
            assert!(!valid, "{}", row.case);
        }
    }
}

#[test]
fn experimental_fields_are_recognised() {
    for row in rows("extfields") {
        if row.direction != "C>S" || !row.case.starts_with('p') {
            continue;
        }
        let packet = Packet::parse(&row.data).unwrap();
        let has_root = row.case.contains("f323")
            && !row.case.contains("bad-magic")
            && !row.case.contains("len32")
            && !row.case.contains("v3");
        assert_eq!(packet.monotonic_root().is_some(), has_root, "{}", row.case);
        assert_eq!(
            packet.network_correction().is_some(),
            row.case.contains("010a"),
            "{}",
            row.case
        );
    }
}
