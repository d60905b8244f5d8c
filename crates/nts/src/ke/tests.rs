//! Golden key establishments of both sides, against bare TLS connections.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, version,
};

use crate::aead::{AeadList, Algorithm};
use crate::ke::client::*;
use crate::ke::failure::*;
use crate::ke::record::{Records, kind, push};
use crate::ke::request::{Answer, NtpService};
use crate::ke::response::NegotiatedServer;
use crate::ke::server::*;
use crate::ke::stream;
use crate::server::cookie;
use crate::server::credentials::Credentials;
use crate::session_keys::SessionKeys;
use crate::testing::*;
use crate::time::RunningTime;
use crate::verify::{ExpectedName, TimeCheck, Verifier};

const START: RunningTime = RunningTime::ZERO;

/// A golden message. Those given as their first octets, `...` and a length are completed
/// from the description in the other column.
fn message(column: &str, description: &str) -> Vec<u8> {
    let Some((_, length)) = column.split_once("...(") else {
        return hex(column);
    };
    let length: usize = length.split(' ').next().unwrap().parse().unwrap();
    let mut message = hex("80010002000080040002000f");
    let cookies = |count: usize, octets: usize, message: &mut Vec<u8>| {
        for number in 0..count {
            push(message, false, kind::COOKIE, &vec![number as u8; octets]);
        }
    };
    let filler = |message: &mut Vec<u8>| {
        let body = length - message.len() - 8;
        push(message, false, 0x4000, &vec![0; body]);
    };
    match description {
        "16 cookies" => cookies(16, 100, &mut message),
        "cookie len 256" => cookies(8, 256, &mut message),
        "cookie len 260" => cookies(8, 260, &mut message),
        "unknown noncritical len 5000" => {
            push(&mut message, false, 0x4000, &[0; 5000]);
            cookies(8, 100, &mut message);
        }
        "message 16384" | "message 16385" => {
            cookies(8, 100, &mut message);
            filler(&mut message);
        }
        // Requests of clients: one unknown record of zeros.
        _ => filler(&mut message),
    }
    push(&mut message, true, kind::END_OF_MESSAGE, &[]);
    assert_eq!(message.len(), length, "{description}");
    message
}

/// What the crafted server of a golden case does besides sending its response.
struct Behaviour {
    tls12: bool,
    alpn: bool,
    client_certificate: bool,
    close_notify: bool,
    /// Octets in a TLS record.
    piece: usize,
}

fn crafted_server(made: &Made, behaviour: &Behaviour) -> ServerConnection {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[if behaviour.tls12 {
            &version::TLS12
        } else {
            &version::TLS13
        }])
        .unwrap();
    let builder = if behaviour.client_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.der.clone())).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from(made.der.clone())];
    let mut config = builder.with_single_cert(chain, made.private_key()).unwrap();
    if behaviour.alpn {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    ServerConnection::new(Arc::new(config)).unwrap()
}

/// Carries octets between a client session and a crafted server until both are silent; the
/// server answers the first request with `response`.
fn converse(
    client: &mut ClientSession,
    server: &mut ServerConnection,
    behaviour: &Behaviour,
    response: &[u8],
) {
    let mut request = Vec::new();
    let mut answered = false;
    loop {
        let mut octets = Vec::new();
        let mut moved = client.transmit(&mut octets);
        let mut rest = &octets[..];
        while !rest.is_empty() {
            match stream::feed(server, &mut rest) {
                Ok(arrived) => request.extend(arrived.plaintext),
                Err(_) => break,
            }
        }
        if !answered && request.ends_with(&[0x80, 0, 0, 0]) && !server.is_handshaking() {
            answered = true;
            assert_eq!(request, hex("80010002000080040002000f80000000"));
            for piece in response.chunks(behaviour.piece) {
                stream::write(server, piece).unwrap();
                let mut octets = Vec::new();
                moved += stream::drain(server, &mut octets);
                client.receive(&octets);
            }
            if behaviour.close_notify {
                server.send_close_notify();
            }
        }
        octets.clear();
        moved += stream::drain(server, &mut octets);
        client.receive(&octets);
        if moved == 0 {
            return;
        }
    }
}

/// The negotiated server and port of the golden cases that have them.
fn check_negotiation(case: &str, material: &KeyMaterial, response: &[u8]) {
    let address = |text: &str| Some(NegotiatedServer::Address(text.parse().unwrap()));
    let server = match case {
        "server ip 127.0.2.1 (no listener)" => address("127.0.2.1"),
        "server rec twice (ip, ip2)" => address("127.0.2.8"),
        "server name noncritical ip 127.0.2.9" => address("127.0.2.9"),
        "server name ntpa.nts.test" => Some(NegotiatedServer::Name("ntpa.nts.test.".to_owned())),
        "server name unresolvable" => Some(NegotiatedServer::Name("nosuch.nts.test.".to_owned())),
        "server name len 256" => Some(NegotiatedServer::Name("a".repeat(256) + ".")),
        _ => None,
    };
    assert_eq!(material.server, server, "{case}");
    assert_eq!(
        material.port,
        (case == "port 11999").then_some(11999),
        "{case}"
    );
    let sent = Records::new(response)
        .filter(|record| record.kind == kind::COOKIE && !record.body.is_empty())
        .count();
    assert_eq!(material.cookies.len(), sent.min(8), "{case}");
}

/// Plays one golden case and gives the result.
fn play(row: &[String], made: &Made) -> (Result<KeyMaterial, Failure>, Label) {
    let case = row[1].as_str();
    let request = ClientRequest {
        name: format!("n{}.nts.test", row[0]),
        address: format!("127.0.1.{}:4460", row[0]).parse().unwrap(),
        aeads: AeadList::from_numbers(&[15]),
        trusted: trusting(&[made]),
        time: TimeCheck::At(NOW),
    };
    let mut client = ClientSession::new(request, START).unwrap();
    let label = client.label().clone();
    let behaviour = Behaviour {
        tls12: case == "tls12",
        alpn: case != "no alpn",
        client_certificate: case.contains("client cert required"),
        close_notify: !matches!(
            case,
            "never respond"
                | "respond, never close"
                | "respond then TCP close without close_notify"
                | "close tcp after handshake without answer"
        ),
        piece: if case.contains("1-byte") {
            1
        } else {
            usize::MAX
        },
    };
    let silent = matches!(
        case,
        "close tcp right after accept"
            | "accept, no handshake"
            | "non-TLS garbage"
            | "connection refused"
    );
    if !silent {
        let mut server = crafted_server(made, &behaviour);
        converse(
            &mut client,
            &mut server,
            &behaviour,
            &message(&row[2], case),
        );
    }
    match case {
        "connection refused" => client.connect_failed(Some("Connection refused".to_owned())),
        "non-TLS garbage" => client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "close tcp right after accept"
        | "close tcp after handshake without answer"
        | "respond then TCP close without close_notify" => client.receive_end(),
        "never respond" | "accept, no handshake" => {
            assert!(!client.handle_timeout(START.plus_s(15.999)));
            assert!(client.take_result().is_none());
            assert!(client.handle_timeout(START.plus_s(16.0)));
        }
        _ => {}
    }
    let result = client.take_result().unwrap_or_else(|| panic!("{row:?}"));
    if case == "respond, never close" {
        // The reference says "timed out" here and uses the keys nevertheless.
        assert!(!client.is_finished() && client.handle_timeout(START.plus_s(16.0)));
    }
    assert!(client.is_finished(), "{case}");
    assert!(client.take_result().is_none());
    (result, label)
}

#[test]
fn golden_client() {
    let mut passed = 0;
    for row in rows("ke_client.tsv") {
        let name = format!("n{}.nts.test", row[0]);
        let made = self_signed(&params(&name, &[&name], &[]));
        let (result, label) = play(&row, &made);
        let line = match &result {
            Ok(material) => {
                check_negotiation(&row[1], material, &message(&row[2], &row[1]));
                if let Some((_, length)) = row[3].split_once("cookie length ") {
                    let length: usize = length.trim_end_matches(')').parse().unwrap();
                    // The mixed lengths: the first cookie is used first.
                    let first = if row[1].starts_with("cookie mix") {
                        60
                    } else {
                        length
                    };
                    assert_eq!(material.cookies[0].len(), first, "{row:?}");
                }
                // What happens after the key establishment is the caller's: it logs this.
                match (&material.server, row[0].as_str()) {
                    (Some(NegotiatedServer::Name(name)), "27" | "30") => {
                        Failure::Resolve(name.clone()).log_line(&label)
                    }
                    _ => None,
                }
            }
            Err(failure) => failure.log_line(&label),
        };
        let expected = row[4].strip_prefix("E: ").map(str::to_owned);
        match row[1].as_str() {
            "respond, never close" | "server name ntpa.nts.test" => assert!(result.is_ok()),
            _ => assert_eq!(line, expected, "{row:?}"),
        }
        passed += 1;
    }
    assert_eq!(passed, 64);
}

/// A bare client of a golden case: offers what the row says, without looking at names.
fn crafted_client(row: &[String], trusted: &[&Made]) -> ClientConnection {
    let verifier = Verifier::new(
        trusting(trusted),
        ExpectedName::from_configured("127.0.0.1"),
        TimeCheck::At(NOW),
    );
    let versions: &[_] = match row[4].as_str() {
        "TLS1.2" => &[&version::TLS12],
        _ => &[&version::TLS13],
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    if row[2] != "(none)" {
        config.alpn_protocols = row[2]
            .split(',')
            .map(|name| name.as_bytes().to_vec())
            .collect();
    }
    let name = match row[3].as_str() {
        "-" => ServerName::try_from("127.0.0.1").unwrap(),
        name => ServerName::try_from(name.to_owned()).unwrap(),
    };
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    // The golden client with two names is not interested in the choice of rustls.
    client.set_buffer_limit(None);
    client
}

/// The settings of the golden servers S1 … S6.
fn golden_server(name: &str) -> (ServerSettings, &'static str) {
    let mut service = NtpService::default();
    let (numbers, keys): (&[u32], _) = match name {
        "S1" => (&[15], "ntskeys_15"),
        "S2" => {
            service.port = 11123;
            service.server = Some("ntp2.test".to_owned());
            (&[15], "ntskeys_15")
        }
        "S3" => (&[30, 15], "ntskeys_30"),
        "S4" => (&[30, 15], "ntskeys_15"),
        "S5" => (&[], "ntskeys_15"),
        _ => (&[15], "ntskeys_30"),
    };
    (
        ServerSettings {
            aeads: AeadList::from_numbers(numbers),
            service,
        },
        keys,
    )
}

/// Runs a request through a server session and gives what the client got, with `None` when
/// the handshake failed.
fn ask(
    client: &mut ClientConnection,
    server: &mut ServerSession,
    request: &[u8],
    row: &[String],
) -> Option<Vec<u8>> {
    let mut random = counting(2);
    let mut response = Vec::new();
    let mut asked = false;
    loop {
        let mut octets = Vec::new();
        if !asked && !client.is_handshaking() {
            asked = true;
            let piece = if row[1] == "split1" { 1 } else { usize::MAX };
            for piece in request.chunks(piece) {
                stream::write(client, piece).unwrap();
            }
            if row[6] == "yes" {
                client.send_close_notify();
            }
        }
        let mut moved = stream::drain(client, &mut octets);
        server.receive(&octets, &mut random);
        octets.clear();
        moved += server.transmit(&mut octets);
        let mut rest = &octets[..];
        while !rest.is_empty() {
            match stream::feed(client, &mut rest) {
                Ok(arrived) => response.extend(arrived.plaintext),
                Err(_) => return None,
            }
        }
        if moved == 0 {
            return Some(response);
        }
    }
}

/// Everything but the cookies of a response.
fn without_cookies(message: &[u8]) -> Vec<(bool, u16, Vec<u8>)> {
    Records::new(message)
        .map(|record| {
            let body = match record.kind {
                kind::COOKIE => vec![0; record.body.len()],
                _ => record.body.to_vec(),
            };
            (record.critical, record.kind, body)
        })
        .collect()
}

#[test]
fn golden_server_outcomes() {
    let ca = Authority::new("CA");
    let ec = ca.issue(&params("nts-ec.test", &["nts-ec.test"], &["127.0.0.1"]));
    let rsa = ca.issue_for(
        &params("nts-rsa.test", &["nts-rsa.test"], &["127.0.0.1"]),
        &rsa_key(),
    );
    let credentials = Credentials::load(&[ec.files(), rsa.files()]).unwrap();
    let mut passed = 0;
    for row in rows("ke_server.tsv") {
        let (settings, keys) = golden_server(&row[0]);
        let keys = Arc::new(server_keys(keys));
        let mut server =
            ServerSession::new(Arc::new(settings), &credentials, keys.clone(), START).unwrap();
        let mut client = crafted_client(&row, &[&ca.made]);
        let request = match row[5].as_str() {
            "(nothing)" => Vec::new(),
            column => message(column, &row[1]),
        };
        let response = ask(&mut client, &mut server, &request, &row);
        let golden = hex(&row[8]);
        if golden.is_empty() {
            check_silence(&row, &mut server, response);
        } else {
            let response = response.unwrap();
            assert_eq!(
                without_cookies(&response),
                without_cookies(&golden),
                "{row:?}"
            );
            assert!(matches!(server.end(), Some(ServerEnd::Answered(_))));
            check_cookies(&row, &client, &keys, &response);
            // The session waits for the client's goodbye, but not for long.
            if row[6] == "no" {
                assert!(!server.is_finished());
                server.receive_end();
            }
            assert!(server.is_finished());
            assert!(matches!(server.end(), Some(ServerEnd::Answered(_))));
        }
        if let Some([leaf, ..]) = client.peer_certificates() {
            let expected = if row[12] == "nts-rsa.test" { &rsa } else { &ec };
            assert_eq!(leaf.to_vec(), expected.der, "{row:?}");
        }
        passed += 1;
    }
    assert_eq!(passed, 79);
}

/// No response: at once, or only when the session's time is over.
fn check_silence(row: &[String], server: &mut ServerSession, response: Option<Vec<u8>>) {
    assert!(response.unwrap_or_default().is_empty(), "{row:?}");
    let waits = row[7].contains("~2 s");
    assert_eq!(server.is_finished(), !waits, "{row:?}");
    if waits {
        assert!(!server.handle_timeout(START.plus_s(1.999)));
        assert!(server.handle_timeout(START.plus_s(2.0)));
        assert_eq!(server.end(), Some(&ServerEnd::TimedOut));
    }
    assert!(server.is_finished());
}

/// The cookies hold the keys that the client exports.
fn check_cookies(
    row: &[String],
    client: &ClientConnection,
    keys: &crate::server::keys::ServerKeys,
    response: &[u8],
) {
    let cookies: Vec<_> = Records::new(response)
        .filter(|record| record.kind == kind::COOKIE)
        .collect();
    if row[9] == "-" {
        assert!(cookies.is_empty());
        return;
    }
    let algorithm = Algorithm::from_number(row[9].parse().unwrap()).unwrap();
    let compliant = row[7].contains(" 1024");
    let exporter_aead = Answer::exporter_aead(algorithm, compliant);
    let session = SessionKeys::export(client, algorithm, exporter_aead).unwrap();
    assert_eq!(cookies.len(), 8);
    for record in cookies {
        assert_eq!(cookie::open(keys, record.body), Ok(session.clone()));
    }
}

/// Both sides of this crate: AEAD 30 with the compliant exporter, the same keys on both.
#[test]
fn own_client_and_server() {
    let made = self_signed(&params("s.test", &["s.test"], &[]));
    let credentials = Credentials::load(&[made.files()]).unwrap();
    for (numbers, length) in [(&[30, 15][..], 64), (&[15], 96)] {
        let keys = Arc::new(server_keys("ntskeys_30"));
        let settings = Arc::new(ServerSettings::default());
        let mut server = ServerSession::new(settings, &credentials, keys.clone(), START).unwrap();
        let request = ClientRequest {
            name: "S.test.".to_owned(),
            address: "[::1]:4460".parse().unwrap(),
            aeads: AeadList::from_numbers(numbers),
            trusted: trusting(&[&made]),
            time: TimeCheck::At(NOW),
        };
        let mut client = ClientSession::new(request, START).unwrap();
        let material = connect(&mut client, &mut server).unwrap().unwrap();
        assert!(material.alternate.is_none());
        assert_eq!(material.cookies.len(), 8);
        for cookie in &material.cookies {
            assert_eq!(cookie.len(), length);
            assert_eq!(cookie::open(&keys, cookie).unwrap(), material.keys);
        }
        assert!(client.is_finished() && server.is_finished());
    }
}

/// A server that does not return record 1024: both pairs of keys are exported, the old ones
/// first.
#[test]
fn alternate_keys() {
    let made = self_signed(&params("s.test", &["s.test"], &[]));
    let behaviour = Behaviour {
        tls12: false,
        alpn: true,
        client_certificate: false,
        close_notify: true,
        piece: usize::MAX,
    };
    let request = ClientRequest {
        name: "s.test".to_owned(),
        address: "192.0.2.1:4460".parse().unwrap(),
        aeads: AeadList::default(),
        trusted: trusting(&[&made]),
        time: TimeCheck::At(NOW),
    };
    let mut client = ClientSession::new(request, START).unwrap();
    let mut server = crafted_server(&made, &behaviour);
    let mut response = hex("80010002000080040002001e");
    push(&mut response, false, kind::COOKIE, &[7; 64]);
    push(&mut response, true, kind::END_OF_MESSAGE, &[]);
    let mut octets = Vec::new();
    while server.is_handshaking() {
        octets.clear();
        client.transmit(&mut octets);
        let mut rest = &octets[..];
        while !rest.is_empty() {
            stream::feed(&mut server, &mut rest).unwrap();
        }
        octets.clear();
        stream::drain(&mut server, &mut octets);
        client.receive(&octets);
    }
    stream::write(&mut server, &response).unwrap();
    octets.clear();
    stream::drain(&mut server, &mut octets);
    client.receive(&octets);
    let material = client.take_result().unwrap().unwrap();
    let export = |aead| SessionKeys::export(&server, Algorithm::Aes128GcmSiv, aead).unwrap();
    assert_eq!(material.keys, export(Algorithm::AesSivCmac256));
    assert_eq!(material.alternate, Some(export(Algorithm::Aes128GcmSiv)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Neither side panics or succeeds when octets of the other are changed, cut or
    /// replaced.
    #[test]
    fn disturbed_connections(
        place: prop::sample::Index,
        mask in 1..=255u8,
        to_server: bool,
        flight in 0..2usize,
        junk in prop::collection::vec(any::<u8>(), 0..200),
        replace: bool,
    ) {
        let made = self_signed(&params("s.test", &["s.test"], &[]));
        let credentials = Credentials::load(&[made.files()]).unwrap();
        let settings = Arc::new(ServerSettings::default());
        let keys = Arc::new(server_keys("ntskeys_30"));
        let mut server = ServerSession::new(settings, &credentials, keys, START).unwrap();
        let request = ClientRequest {
            name: "s.test".to_owned(),
            address: "192.0.2.1:4460".parse().unwrap(),
            aeads: AeadList::default(),
            trusted: trusting(&[&made]),
            time: TimeCheck::At(NOW),
        };
        let mut client = ClientSession::new(request, START).unwrap();
        let mut random = counting(3);
        let disturb = |octets: &mut Vec<u8>| {
            if replace {
                octets.clone_from(&junk);
            } else if !octets.is_empty() {
                let at = place.index(octets.len());
                octets[at] ^= mask;
            }
        };
        for number in 0..6 {
            let mut octets = Vec::new();
            client.transmit(&mut octets);
            if to_server && number == flight {
                disturb(&mut octets);
            }
            server.receive(&octets, &mut random);
            octets.clear();
            server.transmit(&mut octets);
            if !to_server && number == flight {
                disturb(&mut octets);
            }
            client.receive(&octets);
        }
        client.receive_end();
        server.receive_end();
        prop_assert!(client.is_finished() && server.is_finished());
        // The client's first flight can be changed without harm in places that TLS does not
        // look at; whatever gets through is a proper result.
        if let Some(Ok(material)) = client.take_result() {
            prop_assert_eq!(material.cookies.len(), 8);
        }
    }
}

/// A server that sends and sends: the client gives up after 16384 octets.
#[test]
fn a_flood_is_cut_off() {
    let made = self_signed(&params("n1.nts.test", &["n1.nts.test"], &[]));
    let row = |response: &str| ["1", "flood", response, "", ""].map(str::to_owned).to_vec();
    let flood = "4000ffff".to_owned() + &"00".repeat(60_000);
    let (result, _) = play(&row(&flood), &made);
    assert!(matches!(result, Err(Failure::TooLong)));
}

/// A name that cannot be one is refused before connecting.
#[test]
fn impossible_names() {
    let request = ClientRequest {
        name: "not a name".to_owned(),
        address: "192.0.2.1:4460".parse().unwrap(),
        aeads: AeadList::default(),
        trusted: trusting(&[]),
        time: TimeCheck::Disabled,
    };
    let failure = ClientSession::new(request, START).unwrap_err();
    assert_eq!(failure.phase(), Phase::NotStarted);
}
