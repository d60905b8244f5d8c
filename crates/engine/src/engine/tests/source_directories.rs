//! Source directories that are read again, and when.

use control_wire::{Request, RequestHeader, VERSION};

use super::*;

fn line(text: &str) -> chrony_conf::sources::SourceSpec {
    parse_line(SourceKind::Server, text).unwrap()
}

impl Bench {
    /// The messages of a reading of the directories.
    fn reload(&mut self, lines: &[&str]) -> Vec<String> {
        let listed: Vec<_> = lines.iter().map(|text| line(text)).collect();
        self.engine.reload_sources(self.now, &listed);
        self.messages()
    }

    /// Whether the command `reload sources` has the directories read.
    fn command_reads_directories(&mut self) -> bool {
        let header = RequestHeader {
            version: VERSION,
            command: Request::ReloadSources.command().code(),
            attempt: 0,
            sequence: 1,
        };
        let request = Request::ReloadSources.emit(&header);
        let reply = self
            .engine
            .handle_command(self.now, &request, CommandPeer::Unix);
        assert!(reply.is_some());
        let reload = |action: &Action| matches!(action, Action::ReloadSources);
        self.actions().iter().any(reload)
    }

    /// The hosts to which something is sent within `seconds`.
    fn asked(&mut self, seconds: u32) -> Vec<String> {
        let mut asked = Vec::new();
        for _ in 0..seconds {
            self.wait(1.0);
            for action in self.actions() {
                if let Action::Send(outgoing) = action {
                    asked.push(outgoing.remote.ip().to_string());
                }
            }
        }
        asked.sort();
        asked.dedup();
        asked
    }
}

#[test]
fn what_stays_is_kept_and_the_rest_changes() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    bench.reload(&["192.0.2.1 iburst", "192.0.2.2"]);
    let kept = bench.engine.sources().by_index(0).unwrap().id;
    assert_eq!(
        bench.reload(&["192.0.2.1 iburst", "192.0.2.2 minpoll 4"]),
        ["Removed source 192.0.2.2", "Added source 192.0.2.2"]
    );
    assert!(bench.engine.sources().get(kept).is_some());
    let messages = bench.reload(&["192.0.2.1", "192.0.2.1 key 1"]);
    assert_eq!(
        messages.last().unwrap(),
        "Could not add source 192.0.2.1 : Already in use"
    );
}

#[test]
fn a_failure_is_said_once_and_tried_again() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    let taken = bench.add(SourceKind::Server, "192.0.2.1", Origin::Configuration)[0];
    let lines = ["192.0.2.1 iburst"];
    assert_eq!(
        bench.reload(&lines),
        ["Could not add source 192.0.2.1 : Already in use"]
    );
    assert!(bench.reload(&lines).is_empty());
    bench
        .engine
        .remove_source(bench.now, taken, Origin::Configuration);
    assert_eq!(bench.reload(&lines), ["Added source 192.0.2.1"]);
    assert!(bench.reload(&lines).is_empty());
    assert_eq!(bench.reload(&[]), ["Removed source 192.0.2.1"]);
}

#[test]
fn equal_lines_are_as_many_sources() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    let (one, two) = (["ntp.test"], ["ntp.test", "ntp.test"]);
    assert_eq!(bench.reload(&two).len(), 2);
    assert_eq!(bench.addresses(), ["ID#0000000001", "ID#0000000002"]);
    assert!(bench.reload(&two).is_empty());
    assert_eq!(
        bench.reload(&one),
        ["Removed source ID#0000000002 (ntp.test)"]
    );
    assert_eq!(
        bench.reload(&two),
        ["Added source ID#0000000003 (ntp.test)"]
    );
}

#[test]
fn they_are_not_read_again_before_they_were_read() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    assert!(!bench.command_reads_directories());
    bench.engine.all_sources_added(bench.now);
    assert!(bench.command_reads_directories());
}

#[test]
fn the_first_correction_asks_its_own_servers_only() {
    let mut bench = Bench::new("port 0", Mode::InitStepSlew { threshold_s: 1.0 });
    let initial = bench.add(SourceKind::Server, "192.0.2.1", Origin::InitStepSlew)[0];
    bench.engine.all_sources_added(bench.now);
    bench.add(SourceKind::Server, "192.0.2.2 iburst", Origin::Command);
    assert!(!bench.command_reads_directories());
    assert_eq!(bench.asked(10), ["192.0.2.1"]);

    // It gives up without a server that could still answer.
    bench
        .engine
        .with_association(initial, bench.now, |association, cx| {
            association.set_offline(cx)
        });
    bench.wait(1.0);
    let normal = |action: &Action| matches!(action, Action::NormalMode);
    let mut begun = false;
    for _ in 0..5 {
        bench.wait(1.0);
        begun |= bench.actions().iter().any(normal);
    }
    assert!(begun);
    bench.engine.all_sources_added(bench.now);
    assert!(bench.command_reads_directories());
    assert_eq!(bench.asked(10), ["192.0.2.2"]);
}
