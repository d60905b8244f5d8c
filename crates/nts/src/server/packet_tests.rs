use ntp_wire::HEADER_LENGTH;
use proptest::prelude::*;

use super::*;
use crate::client::packet::open_response;
use crate::server::key_file::KeyFile;
use crate::testing::{counting, hex, parsed, rows, text};

fn keys(name: &str) -> ServerKeys {
    KeyFile::parse(&text(name)).unwrap().keys
}

/// A value of the first line of a golden file: `name=hex`.
fn parameter(line: &str, name: &str) -> Vec<u8> {
    let (_, value) = line.split_once(&format!("{name}=")).unwrap();
    hex(value.split([' ', ':']).next().unwrap())
}

/// `efs=104:36,404:144` of a golden decoding, from one of our packets.
fn layout(packet: &[u8]) -> String {
    parsed(packet)
        .extensions()
        .map(|field| format!("{:x}:{}", field.kind, field.length()))
        .collect::<Vec<_>>()
        .join(",")
}

/// Answers one golden request and compares everything that does not depend on random
/// numbers and clocks; the header is taken from the golden response.
fn check_row(keys: &ServerKeys, row: &[String], s2c: &[u8]) {
    let request = hex(&row[2]);
    let golden = hex(&row[3]);
    let mut random = counting(9);
    let mut buffer = [0xee; MAX_PACKET_LENGTH];
    let Ok(request) = Packet::parse(&request) else {
        assert!(golden.is_empty(), "{}", row[0]);
        return;
    };
    let opened = open_request(keys, &request);
    if golden.is_empty() {
        assert!(
            matches!(opened, Opened::Dropped(_)),
            "{}: {opened:?}",
            row[0]
        );
        return;
    }
    buffer[..HEADER_LENGTH].copy_from_slice(&golden[..HEADER_LENGTH]);
    let length = match &opened {
        Opened::Authentic(request) => {
            request.seal_response(keys, &mut buffer, HEADER_LENGTH, &mut random)
        }
        Opened::Nak => append_unique_identifiers(&request, &mut buffer, HEADER_LENGTH),
        Opened::Dropped(reason) => panic!("{}: {reason:?}", row[0]),
    };
    let ours = &buffer[..length.unwrap()];
    assert_eq!(layout(ours), layout(&golden), "{}", row[0]);
    let nak = parsed(&golden).header.reference_id == NAK_REFERENCE_ID;
    assert_eq!(matches!(opened, Opened::Nak), nak, "{}", row[0]);
    if nak {
        assert_eq!(ours, golden);
        return;
    }
    check_response(keys, &opened, request.bytes(), ours, &golden, s2c);
}

/// Opens our response and the golden one: same number of cookies, all of them with the
/// session keys of the request, and both end with as many zeros.
fn check_response(
    keys: &ServerKeys,
    opened: &Opened<'_>,
    request: &[u8],
    ours: &[u8],
    golden: &[u8],
    s2c: &[u8],
) {
    let Opened::Authentic(authentic) = opened else {
        panic!("not authentic");
    };
    assert_eq!(authentic.keys().s2c(), s2c);
    let s2c = authentic.keys().expand(Direction::ServerToClient);
    let uid = unique_identifier(request);
    for response in [ours, golden] {
        assert_eq!(response.len(), request.len());
        let last = parsed(response).extensions().last().unwrap();
        let start = response.len() - last.length();
        let authenticator = Authenticator::parse(last.body, s2c.algorithm()).unwrap();
        assert_eq!(authenticator.nonce.len(), s2c.algorithm().nonce_length());
        let mut scratch = [0; MAX_PACKET_LENGTH];
        let plain = authenticator
            .open(&s2c, &response[..start], &mut scratch)
            .unwrap();
        let cookies: Vec<_> = Extensions::of_plaintext(plain).flatten().collect();
        assert_eq!(cookies.len(), authentic.cookies());
        for field in cookies {
            assert_eq!(field.kind, NTS_COOKIE);
            assert_eq!(field.body[..4], keys.current().id().to_be_bytes());
            assert_eq!(&cookie::open(keys, field.body).unwrap(), authentic.keys());
        }
        if let (Ok(uid), 1) = (uid.as_slice().try_into(), count_identifiers(request)) {
            assert!(open_response(&parsed(response), uid, &s2c).is_ok());
        }
    }
}

fn unique_identifier(packet: &[u8]) -> Vec<u8> {
    parsed(packet)
        .extensions()
        .find(|field| field.kind == NTS_UNIQUE_IDENTIFIER)
        .unwrap()
        .body
        .to_vec()
}

fn count_identifiers(packet: &[u8]) -> usize {
    parsed(packet)
        .extensions()
        .filter(|field| field.kind == NTS_UNIQUE_IDENTIFIER)
        .count()
}

fn check_file(name: &str, keys_file: &str, expected: usize) {
    let keys = keys(keys_file);
    let text = text(name);
    let s2c = parameter(text.lines().next().unwrap(), "s2c");
    let rows = rows(name);
    assert_eq!(rows.len(), expected, "{name}");
    for row in &rows {
        let own = row.get(4).filter(|column| column.starts_with("c2s="));
        let s2c = own.map_or_else(|| s2c.clone(), |column| parameter(column, "s2c"));
        check_row(&keys, row, &s2c);
    }
}

#[test]
fn golden_siv() {
    check_file("ntp_server_siv.tsv", "ntskeys_15", 68);
}

#[test]
fn golden_gcm() {
    check_file("ntp_server_gcm_compliant.tsv", "ntskeys_30", 53);
    check_file("ntp_server_gcm_noncompliant.tsv", "ntskeys_30", 53);
}

#[test]
fn golden_mixed() {
    check_file("ntp_server_siv_gcmcookie.tsv", "ntskeys_30", 5);
    check_file("ntp_server_gcm_sivcookie.tsv", "ntskeys_15", 5);
}

/// The captured requests are authentic for the server that made their cookies.
#[test]
fn golden_capture() {
    let mut requests = 0;
    for row in rows("ntp_client_server_capture.tsv") {
        let keys = keys(if row[0].starts_with("gcm") {
            "ntskeys_30"
        } else {
            "ntskeys_15"
        });
        let packet = hex(&row[7]);
        if row[2] != "request" {
            continue;
        }
        requests += 1;
        let Opened::Authentic(request) = open_request(&keys, &parsed(&packet)) else {
            panic!("{row:?}");
        };
        assert_eq!(request.keys().c2s(), hex(&row[4]));
        assert_eq!(request.keys().s2c(), hex(&row[5]));
        let placeholders = row[8].matches("0304:").count();
        assert_eq!(request.cookies(), 1 + placeholders);
        let mut buffer = [0; MAX_PACKET_LENGTH];
        // Field F323 comes before the fields of NTS.
        let before = row[8].matches("f323:").count() * 28;
        buffer[..HEADER_LENGTH + before].copy_from_slice(&packet[..HEADER_LENGTH + before]);
        let length =
            request.seal_response(&keys, &mut buffer, HEADER_LENGTH + before, &mut counting(1));
        assert_eq!(length, Some(packet.len()));
    }
    assert!(requests >= 20, "{requests}");
}

/// Every hand-made cookie in a request: a server with both algorithms accepts those with
/// keys of 16 and 32 octets and moves them to the current key; the others get a NAK.
#[test]
fn golden_cookies_in_requests() {
    for row in rows("cookies.tsv") {
        let keys = keys(if row[0] == "S1" {
            "ntskeys_15"
        } else {
            "ntskeys_30"
        });
        let accepted = !row[4].starts_with("keys of");
        let mut packet = [0; MAX_PACKET_LENGTH];
        packet[0] = 0x23;
        let used = append(&mut packet, 48, NTS_UNIQUE_IDENTIFIER, &[5; 32]).unwrap();
        let used = append(&mut packet, used, NTS_COOKIE, &hex(&row[8])).unwrap();
        let (c2s, s2c) = (hex(&row[5]), hex(&row[6]));
        let session = crate::aead::Algorithm::from_key_length(c2s.len())
            .and_then(|algorithm| SessionKeys::new(algorithm, &c2s, &s2c))
            .unwrap_or_else(|| {
                let algorithm = crate::aead::Algorithm::Aes128GcmSiv;
                SessionKeys::new(algorithm, &[0; 16], &[0; 16]).unwrap()
            });
        let key = session.expand(Direction::ClientToServer);
        let end = used + authenticator_length(key.algorithm(), 0);
        let nonce = &[3; 16][..key.algorithm().nonce_length()];
        let sealing = Sealing {
            key: &key,
            nonce,
            plaintext: 0,
        };
        sealing
            .append(&mut packet, used, end, |_| Some(()))
            .unwrap();
        match open_request(&keys, &parsed(&packet[..end])) {
            Opened::Authentic(request) => assert!(accepted && *request.keys() == session),
            Opened::Nak => assert!(!accepted, "{row:?}"),
            Opened::Dropped(reason) => panic!("{reason:?}"),
        }
    }
}

/// A server that went back to keys of AEAD 15 makes longer cookies than the client holds
/// and cannot answer; the other way round it can.
#[test]
fn cookies_that_became_longer() {
    let mut packet = [0; MAX_PACKET_LENGTH];
    packet[0] = 0x23;
    let old = keys("ntskeys_30");
    let algorithm = crate::aead::Algorithm::Aes128GcmSiv;
    let session = SessionKeys::new(algorithm, &[1; 16], &[2; 16]).unwrap();
    let mut cookie = [0; 68];
    let length = cookie::seal(old.current(), &session, &mut counting(1), &mut cookie).unwrap();
    let used = append(&mut packet, 48, NTS_UNIQUE_IDENTIFIER, &[5; 32]).unwrap();
    let used = append(&mut packet, used, NTS_COOKIE, &cookie[..length]).unwrap();
    let key = session.expand(Direction::ClientToServer);
    let end = used + authenticator_length(algorithm, 0);
    let sealing = Sealing {
        key: &key,
        nonce: &[0; 12],
        plaintext: 0,
    };
    sealing
        .append(&mut packet, used, end, |_| Some(()))
        .unwrap();
    let Opened::Authentic(request) = open_request(&old, &parsed(&packet[..end])) else {
        panic!();
    };
    let mut buffer = [0; MAX_PACKET_LENGTH];
    let mut random = counting(2);
    let new = keys("ntskeys_15");
    assert_eq!(
        request.seal_response(&new, &mut buffer, 48, &mut random),
        None
    );
    assert_eq!(
        request.seal_response(&old, &mut buffer, 48, &mut random),
        Some(end)
    );
    assert_eq!(
        request.seal_response(&old, &mut buffer[..end - 1], 48, &mut random),
        None
    );
    assert_eq!(
        request.seal_response(&old, &mut buffer, 4, &mut random),
        None
    );
}

/// Where the authenticator of a request ends. What comes after it, a MAC for example, is not
/// authenticated.
fn end_of_authenticator(request: &[u8]) -> usize {
    let Ok(packet) = Packet::parse(request) else {
        return usize::MAX;
    };
    let mut end = HEADER_LENGTH;
    for field in packet.extensions() {
        end += field.length();
        if field.kind == NTS_AUTHENTICATOR {
            return end;
        }
    }
    usize::MAX
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever arrives, nothing panics, and only what is whole and untouched up to the end of
    /// its authenticator is authentic.
    #[test]
    fn altered_requests(
        row in 0..68usize,
        place: prop::sample::Index,
        mask in 1..=255u8,
        cut: prop::sample::Index,
    ) {
        let row = &rows("ntp_server_siv.tsv")[row];
        let keys = keys("ntskeys_15");
        let mut request = hex(&row[2]);
        let end = end_of_authenticator(&request);
        let at = place.index(request.len());
        request[at] ^= mask;
        let Ok(packet) = Packet::parse(&request) else {
            return Ok(());
        };
        if let Opened::Authentic(opened) = open_request(&keys, &packet) {
            // Only padding inside the authenticator is not covered by it.
            let last = packet.extensions().last().unwrap();
            prop_assert!(at >= request.len() - last.body.len());
            let mut buffer = [0; MAX_PACKET_LENGTH];
            prop_assert!(opened
                .seal_response(&keys, &mut buffer, 48, &mut counting(1))
                .is_none_or(|length| length == request.len()));
        }
        let length = cut.index(request.len());
        if let Ok(packet) = Packet::parse(&request[..length]) {
            let authentic = matches!(open_request(&keys, &packet), Opened::Authentic(_));
            prop_assert!(!authentic || length >= end);
        }
    }

    #[test]
    fn any_octets(mut packet in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(first) = packet.first_mut() {
            *first = 0x23;
        }
        let Ok(packet) = Packet::parse(&packet) else {
            return Ok(());
        };
        let opened = open_request(&keys("ntskeys_30"), &packet);
        prop_assert!(!matches!(opened, Opened::Authentic(_)));
        let mut buffer = [0; 400];
        let _ = append_unique_identifiers(&packet, &mut buffer, 48);
    }
}
