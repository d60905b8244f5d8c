//! Any datagram as a request to a server with keys, NTP over PTP and MS-SNTP: no panic, no
//! answer longer than the request, no answer to an answer.
#![no_main]

use std::net::SocketAddr;
use std::sync::Arc;

use chrony_conf::access::{AccessRule, Subnet};
use chrony_conf::limits::RateLimit;
use discipline::time::RawTime;
use engine::event::{PacketTime, TimestampSource};
use engine::random::SeededRandom;
use engine::server::{
    ClientLog, Limits, Outcome, Request, Responder, ResponseBuffer, ServerShared, ServerSnapshot,
};
use libfuzzer_sys::fuzz_target;
use ntp_wire::ptp::PREFIX_LENGTH;
use ntp_wire::{Header, Key, KeyKind, KeyRing, Mode};

fn server() -> (Responder, ServerSnapshot) {
    let limits = Limits::new(&RateLimit::NTP, &RateLimit::NTS, &RateLimit::COMMAND);
    let log = ClientLog::new(9600, limits, &mut SeededRandom::new(1));
    let shared = Arc::new(ServerShared::new(Some(log)));
    let mut snapshot = ServerSnapshot::new(1e-8);
    let everybody = AccessRule {
        allow: true,
        all: false,
        subnet: Subnet::Any,
    };
    Arc::make_mut(&mut snapshot.access)
        .apply(&everybody)
        .expect("no prefix");
    let key = Key::new(1, KeyKind::Md5, b"secret").expect("not empty");
    snapshot.keys = Arc::new(KeyRing::new([key]));
    snapshot.ptp_domain = Some(123);
    snapshot.signing = true;
    let responder = Responder::new(shared, Box::new(SeededRandom::new(2)));
    (responder, snapshot)
}

fn check(payload: &[u8], on_ptp: bool) {
    let (mut responder, snapshot) = server();
    let mut buffer: ResponseBuffer = [0; _];
    let raw = RawTime::from_ns(1_795_471_883_000_000_000);
    let request = Request {
        payload,
        remote: SocketAddr::from(([192, 0, 2, 1], 4000)),
        on_ptp,
        received: PacketTime {
            raw,
            source: TimestampSource::Hardware,
        },
        receive_duration_s: Some(1e-6),
        from_association: false,
    };
    let outcome = responder.respond(&request, &snapshot, || raw, &mut buffer);
    let Outcome::Reply { length, .. } = outcome else {
        return;
    };
    assert!(length <= payload.len());
    let offset = if on_ptp { PREFIX_LENGTH } else { 0 };
    let asked = payload.get(offset).map(|&first| Mode::from_bits(first));
    assert!(matches!(
        asked,
        Some(Mode::Client | Mode::SymmetricActive | Mode::Reserved)
    ));
    let answer = Header::parse(buffer[offset..].first_chunk().expect("a header"));
    assert!(matches!(answer.mode, Mode::Server | Mode::SymmetricPassive));
}

fuzz_target!(|payload: &[u8]| {
    check(payload, false);
    check(payload, true);
});
