use std::net::IpAddr;

use chrony_conf::sources::{SourceKind, parse_line};
use discipline::journal::Entry;
use discipline::reference::{ClockDriver, NoClockControl};
use discipline::time::RawTime;

use super::*;
use crate::action::Action;
use crate::names::{QueryId, ResolvedAddress};
use crate::random::SeededRandom;
use crate::registry::Origin;

mod cards;
mod clock_failures;
mod devices;
mod leap_seconds;
mod refclocks;
mod source_directories;

/// An engine with a clock that stands still unless it is moved.
struct Bench {
    engine: Engine,
    now: Now,
}

impl Bench {
    fn new(directives: &str, mode: Mode) -> Self {
        Self::with_driver(directives, mode, Box::new(NoClockControl::default()))
    }

    fn with_driver(directives: &str, mode: Mode, driver: Box<dyn ClockDriver>) -> Self {
        let options = chrony_conf::options::Options {
            directives: directives.lines().map(Into::into).collect(),
            ..Default::default()
        };
        let reader = chrony_conf::SystemReader::new(|_: &str, _| None::<IpAddr>);
        let config = chrony_conf::load(&options, &reader).into_result().unwrap();
        let now = Now {
            raw: RawTime::from_parts(1_700_000_000, 0),
            monotonic: MonotonicTime::from_parts(1000, 0),
        };
        let setup = Setup {
            clock: ClockSetup {
                driver,
                precision_s: 1e-7,
                window_start_s: 0,
                drift: None,
                leap: None,
                random: Box::new(SeededRandom::new(1)),
            },
            random: Box::new(SeededRandom::new(2)),
            mode,
            keys: Arc::default(),
            estimator: EstimatorKind::Regression,
        };
        let engine = Engine::new(&config, setup, Journal::new(), now).unwrap();
        Self { engine, now }
    }

    fn add(&mut self, kind: SourceKind, line: &str, origin: Origin) -> Vec<SourceId> {
        let line = parse_line(kind, line).unwrap();
        self.engine.add_source(self.now, &line, origin).unwrap()
    }

    fn wait(&mut self, seconds: f64) {
        self.now.raw = self.now.raw.plus(seconds);
        self.now.monotonic = self.now.monotonic.plus(seconds);
        self.engine.handle_wakeup(self.now);
        self.run_timers();
    }

    /// Handles all that is due.
    fn run_timers(&mut self) {
        while self
            .engine
            .poll_timeout()
            .is_some_and(|at| at <= self.now.monotonic)
        {
            self.engine.handle_timeout(self.now);
        }
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.poll_action()).collect()
    }

    fn query(&mut self) -> Option<(QueryId, String)> {
        self.actions().into_iter().find_map(|action| match action {
            Action::Resolve { query, name, .. } => Some((query, name)),
            _ => None,
        })
    }

    fn resolve(&mut self, query: QueryId, addresses: &[&str]) {
        let found: Vec<_> = addresses
            .iter()
            .map(|text| ResolvedAddress {
                address: text.parse().unwrap(),
                connectable: true,
            })
            .collect();
        self.engine.handle_resolved(self.now, query, &found);
    }

    fn messages(&mut self) -> Vec<String> {
        let entries = self.engine.journal().drain();
        entries
            .filter_map(|entry| match entry {
                Entry::Message { text, .. } => Some(text),
                Entry::Line { .. } => None,
            })
            .collect()
    }

    fn addresses(&self) -> Vec<&str> {
        self.engine
            .sources()
            .iter()
            .map(|source| source.address_text())
            .collect()
    }
}

#[test]
fn names_are_resolved_before_polling_begins() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    bench.add(SourceKind::Server, "192.0.2.9", Origin::Configuration);
    bench.add(SourceKind::Server, "ntp.test", Origin::Configuration);
    bench.add(
        SourceKind::Pool,
        "pool.test maxsources 2",
        Origin::Configuration,
    );
    bench.engine.all_sources_added(bench.now);
    let (query, name) = bench.query().unwrap();
    assert_eq!(name, "ntp.test");
    bench.wait(1.0);
    assert!(bench.actions().is_empty());
    bench.resolve(query, &["192.0.2.9", "192.0.2.1"]);
    let (query, name) = bench.query().unwrap();
    assert_eq!(name, "pool.test");
    bench.resolve(query, &["192.0.2.2", "192.0.2.3"]);
    assert_eq!(
        bench.addresses()[..4],
        ["192.0.2.9", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
    );
    assert_eq!(bench.addresses()[4], "ID#0000000004");
    bench.wait(0.3);
    let sent = bench
        .actions()
        .iter()
        .filter(|a| matches!(a, Action::Send(_)))
        .count();
    assert!(sent >= 1);
    // The next round is for the rest of the pool.
    bench.wait(28.0);
    assert_eq!(bench.query().unwrap().1, "pool.test");
}

#[test]
fn commands_say_what_they_did_and_the_configuration_does_not() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    bench.add(SourceKind::Server, "192.0.2.9", Origin::Configuration);
    assert!(bench.messages().is_empty());
    let id = bench.add(SourceKind::Server, "192.0.2.1", Origin::Command)[0];
    let pool = bench.add(SourceKind::Pool, "pool.test maxsources 1", Origin::Command);
    bench.engine.remove_source(bench.now, id, Origin::Command);
    assert!(!bench.engine.remove_source(bench.now, id, Origin::Command));
    for id in pool {
        bench.engine.remove_source(bench.now, id, Origin::Command);
    }
    assert_eq!(
        bench.messages(),
        [
            "Added source 192.0.2.1",
            "Added pool pool.test",
            "Removed source 192.0.2.1",
            "Removed source ID#0000000001 (pool.test)",
            "Removed source ID#0000000002 (pool.test)",
            "Removed pool pool.test",
        ]
    );
}

#[test]
fn measuring_once_without_sources_gives_up_at_once() {
    let mut bench = Bench::new("port 0", Mode::PrintOnce);
    bench.engine.all_sources_added(bench.now);
    assert_eq!(bench.messages(), ["No suitable source for synchronisation"]);
    assert!(matches!(
        bench.actions().last(),
        Some(Action::Exit { status: 1 })
    ));
}

#[test]
fn sockets_follow_access_and_peers() {
    let mut bench = Bench::new("port 123", Mode::Normal);
    bench.engine.all_sources_added(bench.now);
    let wanted = |bench: &mut Bench| {
        bench.actions().into_iter().find_map(|action| match action {
            Action::ServerSockets { ipv4, ipv6 } => Some((ipv4, ipv6)),
            _ => None,
        })
    };
    let rule = |line: &str, allow| chrony_conf::access::AccessRule {
        allow,
        all: false,
        subnet: chrony_conf::access::Subnet::host(line.parse().unwrap()),
    };
    bench
        .engine
        .change_access(&rule("192.0.2.1", true), true)
        .unwrap();
    assert_eq!(wanted(&mut bench), Some((true, false)));
    bench.add(SourceKind::Peer, "2001:db8::1", Origin::Command);
    assert_eq!(wanted(&mut bench), Some((true, true)));
    bench
        .engine
        .change_access(&rule("192.0.2.1", false), true)
        .unwrap();
    assert_eq!(wanted(&mut bench), Some((false, true)));
    assert_eq!(bench.messages()[0], "Allowed NTP access from 192.0.2.1");
}

#[test]
fn broadcasts_are_sent_once_an_interval() {
    let mut bench = Bench::new("broadcast 10 192.0.2.255 10123", Mode::Normal);
    bench.engine.set_server_open(true);
    bench.engine.all_sources_added(bench.now);
    bench.actions();
    let mut sent = 0;
    for _ in 0..110 {
        bench.wait(1.0);
        for action in bench.actions() {
            if let Action::Send(outgoing) = action {
                assert_eq!(outgoing.remote.to_string(), "192.0.2.255:10123");
                assert_eq!(
                    outgoing.payload.as_slice()[0],
                    0xe5,
                    "mode 5, unsynchronised"
                );
                sent += 1;
            }
        }
    }
    assert_eq!(sent, 10);
}

#[test]
fn a_round_wanted_during_another_begins_when_that_ends() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    bench.add(SourceKind::Server, "one.test", Origin::Configuration);
    bench.engine.all_sources_added(bench.now);
    let (first, _) = bench.query().unwrap();
    bench.add(SourceKind::Server, "two.test", Origin::Command);
    bench.resolve(first, &["192.0.2.1"]);
    let (second, name) = bench.query().unwrap();
    assert_eq!(name, "two.test");
    bench.resolve(second, &["192.0.2.2"]);
    assert_eq!(bench.addresses(), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn pauses_between_rounds_start_over_when_nothing_is_left() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    bench.add(SourceKind::Server, "one.test", Origin::Configuration);
    bench.engine.all_sources_added(bench.now);
    for pause_s in [28.0, 56.0, 112.0] {
        let (query, _) = bench.query().unwrap();
        bench.resolve(query, &[]);
        bench.wait(pause_s);
    }
    let (query, _) = bench.query().unwrap();
    bench.resolve(query, &["192.0.2.1"]);
    bench.add(SourceKind::Server, "two.test", Origin::Command);
    bench.engine.drive_names(bench.now);
    let (query, _) = bench.query().unwrap();
    bench.resolve(query, &[]);
    bench.wait(28.0);
    assert_eq!(bench.query().unwrap().1, "two.test");
}

#[test]
fn a_peer_that_gets_its_address_late_gets_the_server_socket() {
    let mut bench = Bench::new("port 123", Mode::Normal);
    bench.add(SourceKind::Peer, "peer.test", Origin::Configuration);
    bench.engine.all_sources_added(bench.now);
    let (query, _) = bench.query().unwrap();
    bench.resolve(query, &["192.0.2.1"]);
    let opened = bench.actions().into_iter().any(|action| {
        matches!(
            action,
            Action::ServerSockets {
                ipv4: true,
                ipv6: false
            }
        )
    });
    assert!(opened);
}

#[test]
fn an_accepted_replacement_is_asked_for_at_once() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    let ids = bench.add(SourceKind::Server, "one.test", Origin::Configuration);
    bench.engine.all_sources_added(bench.now);
    let (query, _) = bench.query().unwrap();
    bench.resolve(query, &["192.0.2.1"]);
    bench.actions();
    bench.engine.request_replacement(bench.now, ids[0]);
    assert_eq!(bench.query().unwrap().1, "one.test");
}

#[test]
fn dumps_are_left_alone_until_normal_operation() {
    let mode = Mode::InitStepSlew { threshold_s: 1.0 };
    let mut bench = Bench::new("port 0", mode);
    bench.add(SourceKind::Server, "192.0.2.1", Origin::InitStepSlew);
    bench.engine.all_sources_added(bench.now);
    let ready = |action: &Action| matches!(action, Action::SourcesReady);
    assert!(!bench.actions().iter().any(ready));
}

#[test]
fn an_idle_server_does_not_wake_up_to_publish() {
    let mut bench = Bench::new("allow\nlocal waitunsynced 5", Mode::Normal);
    bench.engine.set_server_open(true);
    bench.engine.publish(bench.now);
    assert_eq!(bench.engine.next_publication(), None);
    let mut snapshots = bench.engine.server_snapshots();
    assert_ne!(snapshots.get().reference.stratum, 10);
    // A wake-up in which nothing happened does not make anything new to publish, …
    bench.now.raw = bench.now.raw.plus(1.0);
    bench.now.monotonic = bench.now.monotonic.plus(1.0);
    bench.engine.handle_wakeup(bench.now);
    assert!(!bench.engine.serving.stale);
    // … but the local reference is served as soon as it is active.
    bench.now.raw = bench.now.raw.plus(4.5);
    bench.now.monotonic = bench.now.monotonic.plus(4.5);
    bench.engine.handle_wakeup(bench.now);
    bench.engine.publish(bench.now);
    assert_eq!(snapshots.get().reference.stratum, 10);
}

#[test]
fn threads_are_told_of_changes_at_once() {
    let mut bench = Bench::new("allow\nlocal waitunsynced 5\nserverthreads 2", Mode::Normal);
    bench.engine.set_server_open(true);
    bench.wait(0.0);
    let mut snapshots = bench.engine.server_snapshots();
    let host = IpAddr::from([192, 0, 2, 1]);
    for allow in [true, false] {
        let rule = chrony_conf::access::AccessRule {
            allow,
            all: false,
            subnet: chrony_conf::access::Subnet::host(host),
        };
        bench.engine.change_access(&rule, true).unwrap();
        assert!(bench.engine.poll_timeout() <= Some(bench.now.monotonic));
        bench.wait(0.0);
        assert_eq!(snapshots.get().access.is_allowed(host), allow);
        assert!(bench.engine.poll_timeout() > Some(bench.now.monotonic));
    }
    // What comes with time alone is seen within a second.
    bench.wait(4.0);
    assert_ne!(snapshots.get().reference.stratum, 10);
    for _ in 0..2 {
        bench.wait(1.0);
    }
    assert_eq!(snapshots.get().reference.stratum, 10);
    // Nothing is published while nobody can ask.
    bench.engine.set_server_open(false);
    assert_eq!(bench.engine.next_publication(), None);
}
