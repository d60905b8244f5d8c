use ntp_wire::MAX_PACKET_LENGTH;
use ntp_wire::extension::{NTS_COOKIE, NTS_COOKIE_PLACEHOLDER, NTS_UNIQUE_IDENTIFIER};
use proptest::prelude::*;

use super::*;
use crate::server::keys::ServerKeys;
use crate::server::packet::{NAK_REFERENCE_ID, Opened, append_unique_identifiers, open_request};
use crate::testing::{NOW, counting, parsed, rows, text};

const AEAD_15: Algorithm = Algorithm::AesSivCmac256;
const AEAD_30: Algorithm = Algorithm::Aes128GcmSiv;

fn at(seconds: f64) -> RunningTime {
    RunningTime::ZERO.plus_s(seconds)
}

fn settings() -> AssociationSettings {
    AssociationSettings {
        name: "nts-ec.test".to_owned(),
        address: "127.0.0.1".parse().unwrap(),
        ntp_port: 123,
        refresh_s: 2_419_200,
    }
}

/// A server with its keys, for whole exchanges.
struct Server {
    keys: ServerKeys,
    session: SessionKeys,
}

impl Server {
    fn new(algorithm: Algorithm) -> Self {
        let length = algorithm.key_length();
        Self {
            keys: crate::testing::server_keys("ntskeys_15"),
            session: SessionKeys::new(algorithm, &[1; 32][..length], &[2; 32][..length]).unwrap(),
        }
    }

    fn material(&self, cookies: usize) -> KeyMaterial {
        let cookie = || {
            let mut cookie = vec![0; 100];
            let key = self.keys.current();
            let length =
                crate::server::cookie::seal(key, &self.session, &mut counting(4), &mut cookie);
            cookie.truncate(length.unwrap());
            cookie
        };
        KeyMaterial {
            keys: self.session.clone(),
            alternate: None,
            cookies: (0..cookies).map(|_| cookie()).collect(),
            server: None,
            port: None,
        }
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let mut response = [0; MAX_PACKET_LENGTH];
        response[0] = 0x24;
        response[1] = 1;
        let request = &parsed(request);
        let length = match open_request(&self.keys, request) {
            Opened::Authentic(opened) => {
                opened.seal_response(&self.keys, &mut response, 48, &mut counting(5))
            }
            Opened::Nak => {
                response[1] = 0;
                response[12..16].copy_from_slice(&NAK_REFERENCE_ID.to_be_bytes());
                append_unique_identifiers(request, &mut response, 48)
            }
            Opened::Dropped(reason) => panic!("{reason:?}"),
        };
        response[..length.unwrap()].to_vec()
    }
}

/// A poll that sends; gives the request.
fn request(association: &mut Association, now: RunningTime) -> Vec<u8> {
    let mut random = counting((now.as_ns() / 1_000_000_000) as u8);
    assert_eq!(association.poll(now, &mut random), PollStep::SendRequest);
    let mut buffer = [0; MAX_PACKET_LENGTH];
    buffer[0] = 0x23;
    let length = association.append_request(&mut buffer, 48).unwrap();
    buffer[..length].to_vec()
}

fn exchange(association: &mut Association, server: &Server, now: RunningTime) {
    let request = request(association, now);
    association
        .handle_response(&parsed(&server.answer(&request)))
        .unwrap();
}

fn placeholders(request: &[u8]) -> usize {
    parsed(request)
        .extensions()
        .filter(|field| field.kind == NTS_COOKIE_PLACEHOLDER)
        .count()
}

fn established(server: &Server) -> Association {
    let mut association = Association::new(settings());
    assert_eq!(
        association.poll(at(0.0), &mut counting(0)),
        PollStep::StartEstablishment
    );
    association.establishment_started();
    assert_eq!(association.poll(at(0.5), &mut counting(0)), PollStep::Wait);
    association.establishment_succeeded(server.material(8), None, at(1.0));
    association
}

/// The columns of `authdata` from KeyID to CLen.
fn columns(association: &Association, now: RunningTime) -> String {
    let report = association.report(now);
    format!(
        "NTS,{},{},{},{},{},{},{},{}",
        report.key_id,
        report.key_type,
        report.key_length_bits,
        report.last_establishment_ago_s,
        report.attempts,
        u8::from(report.nak),
        report.cookies,
        report.cookie_length,
    )
}

/// The table of section 10.1, state after state.
#[test]
fn states_of_the_report() {
    let server = Server::new(AEAD_15);
    let mut association = Association::new(settings());
    association.poll(at(0.0), &mut counting(0));
    association.establishment_started();
    assert_eq!(
        columns(&association, at(0.0)),
        "NTS,0,0,0,4294967295,1,0,0,0"
    );
    assert!(text("states.txt").contains("127.0.0.1,NTS,0,0,0,4294967295,1,0,0,0"));
    association.establishment_succeeded(server.material(8), None, at(1.0));
    // Two requests without response, then the steady state.
    request(&mut association, at(2.0));
    request(&mut association, at(4.0));
    assert_eq!(columns(&association, at(13.0)), "NTS,1,15,256,12,1,0,6,100");
    exchange(&mut association, &server, at(5.0));
    assert_eq!(columns(&association, at(7.5)), "NTS,1,15,256,6,0,0,8,100");
    assert!(text("states.txt").contains("127.0.0.1,NTS,1,15,256,6,0,0,8,100"));
    for second in 8..11 {
        let request = request(&mut association, at(f64::from(second)));
        assert_eq!(placeholders(&request), second as usize - 8);
    }
    assert_eq!(columns(&association, at(16.0)), "NTS,1,15,256,15,0,0,5,100");
    assert!(text("states.txt").contains("127.0.0.1,NTS,1,15,256,15,0,0,5,100"));
    // The server lost its keys.
    let reborn = Server {
        keys: ServerKeys::generate(&mut counting(8)),
        ..server
    };
    let packet = request(&mut association, at(20.0));
    let nak = reborn.answer(&packet);
    assert_eq!(
        association.handle_response(&parsed(&nak)),
        Err(ResponseError::Nak)
    );
    assert_eq!(columns(&association, at(20.0)), "NTS,1,15,256,19,0,1,4,100");
    assert!(text("states.txt").contains("127.0.0.1,NTS,1,15,256,19,0,1,4,100"));
    // At the next poll the cookies are gone and a new key establishment starts at once.
    assert_eq!(
        association.poll(at(26.0), &mut counting(0)),
        PollStep::StartEstablishment
    );
    association.establishment_started();
    assert_eq!(columns(&association, at(26.0)), "NTS,1,15,256,25,1,1,0,0");
    association.establishment_succeeded(reborn.material(8), None, at(27.0));
    exchange(&mut association, &reborn, at(28.0));
    assert_eq!(
        columns(&association, at(28.0)),
        "NTS,2,15,256,1,0,0,8,68".replace("68", "96")
    );
}

/// The waits of section 5.4.
#[test]
fn retries() {
    let mut association = Association::new(settings());
    let mut now = at(0.0);
    let mut fail = |association: &mut Association, phase, wait: f64| {
        assert_eq!(
            association.poll(now, &mut counting(0)),
            PollStep::StartEstablishment
        );
        association.establishment_started();
        association.establishment_failed(phase, now);
        let due = now.plus_s(wait);
        assert_eq!(association.earliest_establishment(), due);
        let before = RunningTime::from_ns(due.as_ns() - 1);
        assert_eq!(association.poll(before, &mut counting(0)), PollStep::Wait);
        now = due;
    };
    for wait in [16.0, 32.0, 64.0] {
        fail(&mut association, Phase::Connection, wait);
    }
    fail(&mut association, Phase::NotStarted, 2.0);
    // The counter is shared by all causes.
    fail(&mut association, Phase::Later, f64::from(1 << 14));
    for _ in 0..40 {
        association.establishment_started();
        association.establishment_failed(Phase::NotStarted, at(0.0));
    }
    fail(&mut association, Phase::Later, f64::from(1 << 19));
    fail(&mut association, Phase::Connection, f64::from(1 << 19));
}

/// Without valid responses the next key establishment waits even after success; a valid
/// response makes it possible at once.
#[test]
fn cookies_used_up() {
    let server = Server::new(AEAD_15);
    let mut association = established(&server);
    for second in 2..10 {
        request(&mut association, at(f64::from(second)));
    }
    assert_eq!(association.poll(at(11.0), &mut counting(0)), PollStep::Wait);
    assert_eq!(
        association.poll(at(1024.9), &mut counting(0)),
        PollStep::Wait
    );
    assert_eq!(
        association.poll(at(1025.0), &mut counting(0)),
        PollStep::StartEstablishment
    );

    let mut association = established(&server);
    exchange(&mut association, &server, at(2.0));
    for second in 3..11 {
        request(&mut association, at(f64::from(second)));
    }
    assert_eq!(
        association.poll(at(11.0), &mut counting(0)),
        PollStep::StartEstablishment
    );
}

#[test]
fn refresh() {
    let server = Server::new(AEAD_15);
    let mut association = established(&server);
    exchange(&mut association, &server, at(2_419_201.0));
    assert_eq!(
        association.poll(at(2_419_201.5), &mut counting(0)),
        PollStep::StartEstablishment
    );
    assert_eq!(association.report(at(2_419_202.0)).cookies, 0);
}

/// AEAD 30 without record 1024: a NAK to the first request leads to the other exporter's
/// keys, with the same cookies and KE number, once.
#[test]
fn alternate_keys() {
    let server = Server::new(AEAD_30);
    let mut material = server.material(8);
    material.alternate = Some(material.keys);
    material.keys = SessionKeys::new(AEAD_30, &[8; 16], &[9; 16]).unwrap();
    let mut association = Association::new(settings());
    association.poll(at(0.0), &mut counting(0));
    association.establishment_started();
    association.establishment_succeeded(material.clone(), None, at(1.0));
    let packet = request(&mut association, at(2.0));
    let nak = server.answer(&packet);
    assert_eq!(
        association.handle_response(&parsed(&nak)),
        Err(ResponseError::Nak)
    );
    exchange(&mut association, &server, at(3.0));
    assert_eq!(columns(&association, at(3.0)), "NTS,1,30,128,2,0,0,8,68");
    // A valid response removed the alternate: the next NAK leads to a key establishment.
    let packet = request(&mut association, at(4.0));
    let mut nak = server.answer(&packet);
    nak.truncate(84);
    nak[1] = 0;
    nak[12..16].copy_from_slice(&NAK_REFERENCE_ID.to_be_bytes());
    assert_eq!(
        association.handle_response(&parsed(&nak)),
        Err(ResponseError::Nak)
    );
    assert_eq!(
        association.poll(at(5.0), &mut counting(0)),
        PollStep::StartEstablishment
    );
}

#[test]
fn only_the_last_request_is_answered_once() {
    let server = Server::new(AEAD_15);
    let mut association = established(&server);
    let first = request(&mut association, at(2.0));
    let second = request(&mut association, at(3.0));
    let late = server.answer(&first);
    assert_eq!(
        association.handle_response(&parsed(&late)),
        Err(ResponseError::UniqueIdentifier)
    );
    // A NAK first, then the authentic response: the latter wins, the report keeps the NAK.
    let mut nak = server.answer(&second)[..84].to_vec();
    nak[1] = 0;
    nak[12..16].copy_from_slice(&NAK_REFERENCE_ID.to_be_bytes());
    assert_eq!(
        association.handle_response(&parsed(&nak)),
        Err(ResponseError::Nak)
    );
    let response = server.answer(&second);
    association.handle_response(&parsed(&response)).unwrap();
    assert!(association.report(at(3.0)).nak);
    assert_eq!(
        association.handle_response(&parsed(&response)),
        Err(ResponseError::NotAResponse)
    );
    assert_eq!(association.report(at(3.0)).cookies, 8);
    request(&mut association, at(4.0));
}

#[test]
fn negotiated_targets() {
    let server = Server::new(AEAD_15);
    let mut association = established(&server);
    let own = NtpTarget {
        address: settings().address,
        port: 123,
    };
    assert_eq!(association.target(), own);
    let mut material = server.material(8);
    material.port = Some(11123);
    let address: IpAddr = "2001:db8::1".parse().unwrap();
    material.server = Some(NegotiatedServer::Address(address));
    let target = association.establishment_succeeded(material.clone(), None, at(5.0));
    assert_eq!(
        target,
        NtpTarget {
            address,
            port: 11123
        }
    );
    // A name, resolved by the caller.
    material.server = Some(NegotiatedServer::Name("ntp.test.".to_owned()));
    let resolved: IpAddr = "192.0.2.7".parse().unwrap();
    let target = association.establishment_succeeded(material, Some(resolved), at(6.0));
    assert_eq!(target.address, resolved);
    // Another source has it.
    association.address_in_use(own);
    assert_eq!(association.target(), own);
    assert_eq!(association.report(at(7.0)).cookies, 0);
    assert_eq!(association.report(at(7.0)).last_establishment_ago_s, 2);
    // What is not negotiated any more is reset.
    let target = association.establishment_succeeded(server.material(1), None, at(8.0));
    assert_eq!(target, own);
}

/// Golden files are loaded, used and saved again.
#[test]
fn golden_files() {
    for name in ["dump_siv.nts", "dump_gcm_compliant.nts"] {
        let golden = text(name);
        let mut association = Association::new(settings());
        let established = WallTime::from_decimal_seconds(golden.lines().nth(2).unwrap()).unwrap();
        let wall = established.minus_s(-100.0);
        // The daemon runs for a shorter time than the file is old.
        association.load(&golden, at(3.0), wall).unwrap();
        assert_eq!(association.report(at(3.0)).last_establishment_ago_s, 100);
        assert_eq!(association.dump(at(3.0), wall).unwrap(), golden);
        assert_eq!(
            association.dump(at(13.0), wall.minus_s(-10.0)).unwrap(),
            golden
        );
        request(&mut association, at(4.0));
        let left = association.dump(at(4.0), wall.minus_s(-1.0)).unwrap();
        let expected: Vec<&str> = golden
            .lines()
            .take(5)
            .chain(golden.lines().skip(6))
            .collect();
        assert_eq!(left.lines().collect::<Vec<_>>(), expected);
    }
}

/// Files that cannot be used leave the association as it was.
#[test]
fn files_of_others() {
    let golden = text("dump_siv.nts");
    let mut association = Association::new(settings());
    let other = golden.replace("nts-ec.test", "NTS-EC.test");
    assert_eq!(association.load(&other, at(0.0), NOW), Err(DumpError::Name));
    assert_eq!(association.dump(at(0.0), NOW), None);
    assert_eq!(
        columns(&association, at(9.0)),
        "NTS,0,0,0,4294967295,0,0,0,0"
    );
    // A time in the future is now; an old file drops its cookies at the first poll.
    association
        .load(&golden, at(0.0), WallTime::from_seconds(0))
        .unwrap();
    assert_eq!(association.report(at(0.0)).last_establishment_ago_s, 0);
    let established = WallTime::from_decimal_seconds(golden.lines().nth(2).unwrap()).unwrap();
    let late = established.minus_s(-2_419_201.0);
    association.load(&golden, at(0.0), late).unwrap();
    assert_eq!(
        association.poll(at(0.0), &mut counting(0)),
        PollStep::StartEstablishment
    );
}

/// Every captured association is replayed: with the file as it was at the start (the keys and
/// the cookies that the captured requests used), its requests and responses are accepted.
#[test]
fn captured_responses_refill_the_pool() {
    for capture in [
        "siv",
        "siv_xleave_f323",
        "gcm_compliant",
        "siv_lost_responses",
    ] {
        let rows: Vec<_> = rows("ntp_client_server_capture.tsv")
            .into_iter()
            .filter(|row| row[0] == capture)
            .collect();
        let packets: Vec<(bool, Vec<u8>)> = rows
            .iter()
            .map(|row| (row[2] == "request", crate::testing::hex(&row[7])))
            .collect();
        let algorithm = Algorithm::from_number(rows[0][3].parse().unwrap()).unwrap();
        let hex = crate::testing::hex;
        let keys = SessionKeys::new(algorithm, &hex(&rows[0][4]), &hex(&rows[0][5])).unwrap();
        let cookie_of = |packet: &[u8]| {
            let fields = parsed(packet).extensions();
            fields
                .filter(|field| field.kind == NTS_COOKIE)
                .map(|field| field.body.to_vec())
                .next()
        };
        let mut cookies: Vec<_> = packets
            .iter()
            .filter(|(is_request, _)| *is_request)
            .map(|(_, packet)| cookie_of(packet).unwrap())
            .take(8)
            .collect();
        // A capture shorter than eight requests does not show all first cookies.
        while cookies.len() < 8 {
            cookies.push(vec![0; cookies[0].len()]);
        }
        let material = KeyMaterial {
            keys,
            alternate: None,
            cookies,
            server: None,
            port: None,
        };
        let mut association = Association::new(settings());
        association.establishment_started();
        association.establishment_succeeded(material, None, at(0.0));
        for (number, (is_request, packet)) in packets.iter().enumerate() {
            if !is_request {
                association.handle_response(&parsed(packet)).unwrap();
                assert_eq!(association.report(at(0.0)).cookies, 8, "{capture} {number}");
                continue;
            }
            let identifier = parsed(packet)
                .extensions()
                .find(|field| field.kind == NTS_UNIQUE_IDENTIFIER)
                .unwrap();
            // The random source gives the captured identifier, then any nonce.
            let mut random = |bytes: &mut [u8]| match bytes.len() {
                32 => bytes.copy_from_slice(identifier.body),
                _ => bytes.fill(0),
            };
            let step = association.poll(at(number as f64), &mut random);
            assert_eq!(step, PollStep::SendRequest);
            let mut buffer = [0; MAX_PACKET_LENGTH];
            let used = 48 + 28 * rows[number][8].matches("f323:").count();
            buffer[..used].copy_from_slice(&packet[..used]);
            let length = association.append_request(&mut buffer, used).unwrap();
            // The same fields as captured; the authenticator differs in its nonce.
            let end = packet.len() - crate::authenticator::authenticator_length(algorithm, 0);
            assert_eq!((length, &buffer[..end]), (packet.len(), &packet[..end]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any sequence of polls, lost and delivered responses and NAKs keeps the pool within
    /// its bounds, and every request asks for exactly what is missing.
    #[test]
    fn any_sequence(events in prop::collection::vec(0..4u8, 1..60), siv: bool) {
        let server = Server::new(if siv { AEAD_15 } else { AEAD_30 });
        let mut association = Association::new(settings());
        let mut now = at(0.0);
        for event in events {
            now = now.plus_s(700.0);
            let mut random = counting(event);
            match association.poll(now, &mut random) {
                PollStep::StartEstablishment => {
                    association.establishment_started();
                    if event == 0 {
                        association.establishment_failed(Phase::Connection, now);
                    } else {
                        association.establishment_succeeded(server.material(8), None, now);
                    }
                }
                PollStep::Wait => prop_assert_eq!(association.report(now).cookies, 0),
                PollStep::SendRequest => {
                    let mut buffer = [0; MAX_PACKET_LENGTH];
                    buffer[0] = 0x23;
                    let length = association.append_request(&mut buffer, 48).unwrap();
                    let held = usize::from(association.report(now).cookies);
                    prop_assert_eq!(placeholders(&buffer[..length]), POOL - held - 1);
                    let mut response = server.answer(&buffer[..length]);
                    match event {
                        0 | 1 => {
                            association.handle_response(&parsed(&response)).unwrap();
                            prop_assert_eq!(association.report(now).cookies, 8);
                        }
                        2 => {
                            response.truncate(84);
                            response[1] = 0;
                            response[12..16].copy_from_slice(&NAK_REFERENCE_ID.to_be_bytes());
                            prop_assert!(association.handle_response(&parsed(&response)).is_err());
                        }
                        _ => {}
                    }
                }
            }
            if let Some(dump) = association.dump(now, NOW) {
                let mut other = Association::new(settings());
                other.load(&dump, now, NOW).unwrap();
                prop_assert_eq!(other.dump(now, NOW).unwrap(), dump);
            }
        }
    }
}
