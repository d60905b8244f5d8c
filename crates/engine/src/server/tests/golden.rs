//! The reference captures: for each request and the recorded state the server's answer is
//! the recorded one. Times and random bits are set so that even these agree, byte for byte
//! and MACs included; only the transmit timestamps of interleaved responses are compared with
//! a tolerance, since they are kept with a resolution of a nanosecond.

use std::collections::{BTreeMap, BTreeSet};

use chrony_conf::limits::RateLimit as Limit;
use ntp_wire::ptp::PREFIX_LENGTH;
use ntp_wire::{Header, KISS_RATE, NtpTimestamp, Packet};

use super::harness::{Row, Server, Setup, exchanges, rows};
use crate::server::responder::{Ignored, Outcome};
use crate::server::signing::SigningQueue;

/// Two random values of five bits and the resolution of saved times, 2⁻³² s.
const INTERLEAVED_TOLERANCE: u64 = 64;

/// The NTP message of a datagram on a PTP or NTP socket.
fn message(row: &Row, ptp: bool) -> &[u8] {
    if ptp {
        &row.data[PREFIX_LENGTH..]
    } else {
        &row.data
    }
}

/// Checks an exchange where the answer is to be exactly the recorded one.
fn check(server: &mut Server, request: &Row, response: Option<&Row>) {
    let ptp = request.destination_port == 319;
    let recorded = response.map(|row| Packet::parse(message(row, ptp)).unwrap());
    let answered = server.answer(request, recorded.as_ref(), &[]);
    match (answered.outcome, response) {
        (Outcome::Reply { length, .. }, Some(response)) => {
            assert_eq!(server.buffer[..length], response.data, "{}", request.case);
        }
        (Outcome::Ignored(_), None) => {}
        (outcome, _) => panic!("{}: {outcome:?}", request.case),
    }
}

/// Counts the cases of a list of exchanges.
fn cases(exchanges: &[(Row, Option<Row>)]) -> usize {
    let names: BTreeSet<&str> = exchanges.iter().map(|(row, _)| row.case.as_str()).collect();
    names.len()
}

#[test]
fn plain_clients() {
    let mut server = Server::new(Setup::default());
    let exchanges = exchanges("plain_clients");
    for (request, response) in &exchanges {
        assert!(response.is_some());
        check(&mut server, request, response.as_ref());
    }
    assert_eq!(cases(&exchanges), 25);
}

#[test]
fn drops() {
    let mut server = Server::new(Setup::default());
    let mut seen = BTreeSet::new();
    for (request, response) in &exchanges("drops") {
        seen.insert(request.case.clone());
        if request.case == "client-socket" {
            // Arrived on the client socket: nobody gives it to a responder.
            assert_eq!(request.destination_port, 12345);
            continue;
        }
        assert_eq!(response.is_some(), request.case.starts_with("ok-"));
        check(&mut server, request, response.as_ref());
    }
    assert_eq!(seen.len(), 57);
    let reason = |server: &mut Server, case: &str| {
        let exchanges = exchanges("drops");
        let (request, _) = exchanges.iter().find(|(row, _)| row.case == case).unwrap();
        server.answer(request, None, &[]).outcome
    };
    for (case, ignored) in [
        ("len44", Ignored::Malformed),
        ("denied", Ignored::Denied),
        ("v4-mode4", Ignored::Mode),
        ("v4-md5-flip", Ignored::Authentication),
        ("v3-mssntp-disabled", Ignored::Authentication),
        ("nts-no-server", Ignored::Authentication),
    ] {
        assert_eq!(
            reason(&mut server, case),
            Outcome::Ignored(ignored),
            "{case}"
        );
    }
}

#[test]
fn macs() {
    let mut server = Server::new(Setup::default());
    let exchanges = exchanges("macs");
    for (request, response) in &exchanges {
        assert!(response.is_some());
        check(&mut server, request, response.as_ref());
    }
    assert_eq!(cases(&exchanges), 38);
    assert_eq!(
        server.shared.counters().sum().authenticated,
        exchanges.len() as u64
    );
}

#[test]
fn extension_fields() {
    let exchanges = exchanges("extfields");
    for (request, response) in &exchanges {
        let mut server = Server::new(Setup::default());
        server.snapshot.ptp_domain = request.case.starts_with("p319-").then_some(123);
        check(&mut server, request, response.as_ref());
    }
    assert_eq!(cases(&exchanges), 18);
}

#[test]
fn server_states() {
    let exchanges = exchanges("server_states");
    for (request, response) in &exchanges {
        let mut server = Server::new(Setup::default());
        assert!(response.is_some());
        check(&mut server, request, response.as_ref());
    }
    assert_eq!(cases(&exchanges), 19);
}

#[test]
fn passive() {
    let mut server = Server::new(Setup::default());
    let exchanges = exchanges("passive");
    for (request, response) in &exchanges {
        assert!(response.is_some());
        check(&mut server, request, response.as_ref());
    }
    assert_eq!(cases(&exchanges), 6);
}

#[test]
fn ntp_over_ptp() {
    let mut crafted = Server::new(Setup::default());
    let mut real: BTreeMap<String, Server> = BTreeMap::new();
    let exchanges = exchanges("ntp_over_ptp");
    for (request, response) in &exchanges {
        let server = if request.case.starts_with("real-") {
            real.entry(request.case.clone())
                .or_insert_with(|| Server::new(Setup::default()))
        } else {
            &mut crafted
        };
        let domain = if request.case == "real-client-domain" {
            5
        } else {
            123
        };
        server.snapshot.ptp_domain = Some(domain);
        if request.case == "real-client-xleave" {
            check_interleaved(server, request, response.as_ref());
        } else {
            check(server, request, response.as_ref());
        }
    }
    assert_eq!(cases(&exchanges), 28);
}

/// Checks an exchange whose response may be interleaved.
fn check_interleaved(server: &mut Server, request: &Row, response: Option<&Row>) -> usize {
    let response = response.unwrap();
    let ptp = request.destination_port == 319;
    let prefix = if ptp { PREFIX_LENGTH } else { 0 };
    let asked = Packet::parse(message(request, ptp)).unwrap().header;
    let recorded = Packet::parse(message(response, ptp)).unwrap();
    let interleaved = recorded.header.origin == asked.receive && asked.receive != asked.transmit;
    let answered = server.answer(request, Some(&recorded), &[]);
    let Outcome::Reply { length, .. } = answered.outcome else {
        panic!("{:?}", answered.outcome);
    };
    if !interleaved {
        assert_eq!(server.buffer[..length], response.data, "{}", request.note);
        return length;
    }
    let header: &[u8; 48] = server.buffer[prefix..].first_chunk().unwrap();
    let ours = Header::parse(header);
    let difference = ours
        .transmit
        .to_bits()
        .abs_diff(recorded.header.transmit.to_bits());
    // The kernel's timestamps are only reported in the captures of plain NTP.
    if !ptp {
        assert!(difference <= INTERLEAVED_TOLERANCE, "{}", request.note);
    }
    assert_eq!(ours.transmit.to_bits() & 1, 0);
    let same_transmit = Header {
        transmit: recorded.header.transmit,
        ..ours
    };
    assert_eq!(same_transmit, recorded.header, "{}", request.note);
    length
}

#[test]
fn interleaved() {
    let exchanges = exchanges("interleaved");
    // When the kernel sent the response with this receive timestamp.
    let sent: BTreeMap<u64, NtpTimestamp> = exchanges
        .iter()
        .filter_map(|(request, response)| {
            let asked = Packet::parse(&request.data).ok()?.header;
            let answer = Packet::parse(&response.as_ref()?.data).ok()?.header;
            (answer.origin == asked.receive && asked.receive != asked.transmit)
                .then_some((asked.origin.to_bits(), answer.transmit))
        })
        .collect();
    assert_eq!(sent.len(), 14);
    let mut servers: BTreeMap<&str, Server> = BTreeMap::new();
    for (request, response) in &exchanges {
        let server = servers.entry(&request.case).or_insert_with(|| {
            Server::new(Setup {
                client_log: request.case != "server-noclientlog",
                ..Setup::default()
            })
        });
        let length = check_interleaved(server, request, response.as_ref());
        let receive = Packet::parse(&server.buffer[..length])
            .unwrap()
            .header
            .receive;
        if let Some(&transmit) = sent.get(&receive.to_bits()) {
            server.kernel_reports(length, transmit);
        }
    }
    // The two sequences of peers have no server.
    assert_eq!(servers.len(), 4);
    let counts = servers["server-seq"].shared.counters().sum();
    assert_eq!((counts.received, counts.interleaved), (11, 5));
    assert_eq!(counts.transmit_timestamps, [6, 5, 0]);
    let counts = servers["server-noclientlog"].shared.counters().sum();
    assert_eq!((counts.received, counts.interleaved), (11, 0));
}

#[test]
fn kiss_of_death() {
    let limit = |interval, burst, leak, kod| Limit {
        enabled: true,
        interval,
        burst,
        leak,
        kod,
    };
    let mut servers: BTreeMap<String, Server> = BTreeMap::new();
    let mut from_bucket: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for (request, response) in &exchanges("kod") {
        let case = request.case.clone();
        let server = servers.entry(case.clone()).or_insert_with(|| {
            let rate_limit = match case.as_str() {
                "limit-kod" => limit(3, 2, 4, 1),
                "limit-nokod" => limit(3, 8, 2, 0),
                "limit-burst1" => limit(1, 1, 4, 0),
                _ => limit(3, 1, 4, 1),
            };
            Server::new(Setup {
                rate_limit,
                ..Setup::default()
            })
        });
        let number = count.entry(case.clone()).or_default();
        *number += 1;
        let recorded = response
            .as_ref()
            .map(|row| Packet::parse(&row.data).unwrap());
        // The bits that lead to what was recorded, should the bucket be empty.
        let decisions = match &recorded {
            None => [1, 1],
            Some(packet) if packet.header.reference_id == KISS_RATE => [1, 0],
            Some(_) => [0, 1],
        };
        let answered = server.answer(request, recorded.as_ref(), &decisions);
        match (answered.outcome, response) {
            (Outcome::Reply { length, .. }, Some(response)) => {
                assert_eq!(server.buffer[..length], response.data, "{case} {number}");
            }
            (Outcome::Ignored(Ignored::RateLimited), None) => {}
            (outcome, _) => panic!("{case} {number}: {outcome:?}"),
        }
        if answered.decisions_drawn == 0 {
            from_bucket.entry(case).or_default().push(*number);
        }
    }
    assert_eq!(servers.len(), 5);
    // Answered without luck: the burst, and what the interval allows.
    assert_eq!(from_bucket["limit-kod"], [1, 2]);
    assert_eq!(from_bucket["limit-nokod"], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(from_bucket["limit-burst1"], [1, 7]);
    let counts = servers["limit-burst1"].shared.counters().sum();
    assert_eq!((counts.received, counts.dropped), (12, 10));
}

#[test]
fn ms_sntp() {
    let mut server = Server::new(Setup::default());
    server.snapshot.signing = true;
    let mut queue = SigningQueue::default();
    let mut seen = BTreeSet::new();
    let rows = rows("mssntp");
    for request in rows.iter().filter(|row| row.direction == "C>S") {
        seen.insert(request.case.as_str());
        let of_case = |direction: &str| {
            rows.iter()
                .find(|row| row.case == request.case && row.direction == direction)
        };
        let to_service = of_case("S>D");
        let unsigned = to_service.map(|row| Packet::parse(&row.data[20..]).unwrap());
        let answered = server.answer(request, unsigned.as_ref(), &[]);
        let Some(to_service) = to_service else {
            let expected = Outcome::Ignored(Ignored::Authentication);
            assert_eq!(answered.outcome, expected, "{}", request.case);
            continue;
        };
        let Outcome::Sign { key_id } = answered.outcome else {
            panic!("{}: {:?}", request.case, answered.outcome);
        };
        assert!(queue.push(
            request.source,
            key_id,
            *server.buffer.first_chunk().unwrap()
        ));
        assert_eq!(
            queue.request().unwrap(),
            *to_service.data,
            "{}",
            request.case
        );
        let from_service = &of_case("D>S").unwrap().data;
        let response = queue.take_response(from_service).unwrap().unwrap();
        assert_eq!(response.client, request.source);
        assert_eq!(response.length, from_service.len());
        let to_client = of_case("S>C").unwrap();
        let expected = to_client.was_sent.then_some(to_client.data.as_slice());
        // Two of the captures were made with a service that confuses the IDs.
        assert_eq!(response.signed, expected, "{}", request.case);
    }
    assert_eq!(seen.len(), 9);
}

#[test]
fn broadcasts() {
    let mut server = Server::new(Setup::default());
    let mut interval_s = 0.0;
    let mut cases = BTreeSet::new();
    for row in rows("broadcast") {
        cases.insert(row.case);
        if let Some((_, directive)) = row.note.split_once("broadcast ") {
            interval_s = directive.split(' ').next().unwrap().parse().unwrap();
        }
        let recorded = Packet::parse(&row.data).unwrap().header;
        assert_eq!(server.broadcast(&recorded, interval_s), recorded);
    }
    assert_eq!(cases.len(), 5);
}
