//! Any datagrams to the daemon's command handler: no panic, no reply longer than its request.
#![no_main]

use std::net::IpAddr;
use std::sync::Arc;

use discipline::journal::Journal;
use discipline::reference::{NoClockControl, Now};
use discipline::samples::EstimatorKind;
use discipline::time::{MonotonicTime, RawTime};
use engine::engine::{CommandPeer, Engine, Mode, Setup};
use engine::random::SeededRandom;
use engine::registry::Origin;
use engine::steering::ClockSetup;
use libfuzzer_sys::fuzz_target;

const NOW: Now = Now {
    raw: RawTime::from_parts(1_700_000_000, 0),
    monotonic: MonotonicTime::from_parts(1000, 0),
};

fn engine() -> Engine {
    let directives = [
        "server 127.0.0.11",
        "server ntp.test",
        "server 127.0.0.12 key 1",
        "manual",
        "smoothtime 400 0.01",
        "local",
        "cmdratelimit",
    ];
    let options = chrony_conf::options::Options {
        directives: directives.map(Into::into).to_vec(),
        ..Default::default()
    };
    let reader = chrony_conf::SystemReader::new(|_: &str, _| None::<IpAddr>);
    let config = chrony_conf::load(&options, &reader).into_result().unwrap();
    let setup = Setup {
        clock: ClockSetup {
            driver: Box::new(NoClockControl::default()),
            precision_s: 1e-7,
            window_start_s: 0,
            drift: None,
            leap: None,
            random: Box::new(SeededRandom::new(1)),
        },
        random: Box::new(SeededRandom::new(2)),
        mode: Mode::Normal,
        keys: Arc::default(),
        estimator: EstimatorKind::Regression,
    };
    let mut engine = Engine::new(&config, setup, Journal::new(), NOW).unwrap();
    for line in &config.sources {
        engine.add_source(NOW, line, Origin::Configuration).unwrap();
    }
    engine.all_sources_added(NOW);
    engine
}

/// Datagrams, each after two bytes with its length; the top bit tells that it came over UDP.
fn check(mut bytes: &[u8]) {
    let mut engine = engine();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = u16::from_be_bytes(*length);
        let from = if length & 0x8000 == 0 {
            CommandPeer::Unix
        } else {
            CommandPeer::Udp([127, 0, 0, 1].into())
        };
        let (datagram, rest) = rest.split_at(usize::from(length & 0x7fff).min(rest.len()));
        let reply = engine.handle_command(NOW, datagram, from);
        assert!(reply.is_none_or(|reply| reply.len() <= datagram.len()));
        while engine.poll_action().is_some() {}
        engine.journal().drain();
        bytes = rest;
    }
}

fuzz_target!(|bytes: &[u8]| check(bytes));
