//! Commands act, and say so as recorded in `log.tsv`.

use control_wire::{
    AddSource, Address, Float, Index, MaskedAddress, ModifyInteger, Reply, Request, SingleAddress,
    SingleFloat, SingleOption, SourceKind, SourceName, Status,
};

use super::bench::{Bench, FakeServer};
use crate::action::Action;

fn ip(text: &str) -> Address {
    Address::from(text.parse::<std::net::IpAddr>().unwrap())
}

fn bench() -> Bench {
    let directives =
        "server unresolved.test\nserver 127.0.0.11 iburst\nmanual\nsmoothtime 400 0.01";
    let mut bench = Bench::new(directives, &[("127.0.0.11", FakeServer::default())]);
    bench.run_for(30.0);
    bench.messages();
    bench
}

#[test]
fn sources_are_set_offline_and_online() {
    let mut bench = bench();
    let all = MaskedAddress::default();
    assert_eq!(bench.ask(&Request::Offline(all)).0, Status::Success);
    let expected = ["Source ID#0000000001 offline", "Source 127.0.0.11 offline"];
    assert_eq!(bench.messages()[..2], expected);
    assert_eq!(bench.ask(&Request::Online(all)).0, Status::Success);
    let expected = ["Source ID#0000000001 online", "Source 127.0.0.11 online"];
    assert_eq!(bench.messages(), expected);
}

#[test]
fn sources_come_and_go() {
    let mut bench = bench();
    let add = |name: &str| {
        let name = SourceName::new(name.as_bytes());
        Request::AddSource(AddSource::with_defaults(SourceKind::Server, name))
    };
    assert_eq!(bench.ask(&add("127.0.0.51")).0, Status::Success);
    assert_eq!(bench.ask(&add("127.0.0.51")).0, Status::SourceAlreadyKnown);
    assert_eq!(bench.ask(&add("ntp1.test")).0, Status::Success);
    assert_eq!(bench.ask(&add("a name")).0, Status::InvalidName);
    // The field has to end with a NUL, wherever the name does.
    let field = format!("127.0.0.52\0{}", "x".repeat(300));
    assert_eq!(bench.ask(&add(&field)).0, Status::InvalidName);
    let delete = |address| Request::DelSource(SingleAddress { address });
    assert_eq!(bench.ask(&delete(ip("127.0.0.51"))).0, Status::Success);
    assert_eq!(bench.ask(&delete(Address::Id(1))).0, Status::Success);
    assert_eq!(bench.ask(&delete(ip("127.0.0.99"))).0, Status::NoSuchSource);
    let expected = [
        "Added source 127.0.0.51",
        "Added source ID#0000000002 (ntp1.test)",
        "Removed source 127.0.0.51",
        "Removed source ID#0000000001 (unresolved.test)",
    ];
    assert_eq!(bench.messages(), expected);
}

#[test]
fn settings_change() {
    let mut bench = bench();
    let poll = |value| ModifyInteger {
        address: ip("127.0.0.11"),
        value,
    };
    for (request, expected) in [
        (
            Request::ModifyMinPoll(poll(7)),
            vec!["Source 127.0.0.11 new minpoll 7"],
        ),
        (Request::ModifyMinPoll(poll(25)), vec![]),
        (
            Request::ModifyPollTarget(poll(0)),
            vec!["Source 127.0.0.11 new polltarget 0"],
        ),
        (
            Request::ModifyMaxUpdateSkew(SingleFloat {
                value: Float::new(10.0),
            }),
            vec!["New maxupdateskew 10.000000 ppm"],
        ),
        (
            Request::AdjustFrequency(SingleFloat {
                value: Float::new(1.0),
            }),
            vec!["Accumulated delta freq of 1.000ppm"],
        ),
        (
            Request::SmoothTime(SingleOption { option: 0 }),
            vec!["Reset time smoothing"],
        ),
    ] {
        assert_eq!(bench.ask(&request).0, Status::Success, "{request:?}");
        assert_eq!(bench.messages(), expected);
    }
    let (_, before) = bench.ask(&Request::Tracking);
    bench.ask(&Request::AdjustOffset(SingleFloat {
        value: Float::new(0.25),
    }));
    let (_, after) = bench.ask(&Request::Tracking);
    let (Reply::Tracking(before), Reply::Tracking(after)) = (before, after) else {
        panic!("no tracking report");
    };
    let change = after.current_correction_s.value() - before.current_correction_s.value();
    assert!((change + 0.25).abs() < 1e-3, "{change}");
}

/// As chrony 4.3 shows it, and the row of `main.tsv` after the command.
#[test]
fn a_reset_counts_reachability_anew() {
    let mut bench = bench();
    let reachability = |bench: &mut Bench| {
        // Index 0 is the source without an address.
        let (_, reply) = bench.ask(&Request::SourceData(Index { index: 1 }));
        let Reply::SourceData(data) = reply else {
            panic!("no report of the source");
        };
        data.reachability
    };
    assert_ne!(reachability(&mut bench), 0);
    assert_eq!(bench.ask(&Request::ResetSources).0, Status::Success);
    assert_eq!(bench.messages()[0], "Reset all sources");
    assert_eq!(reachability(&mut bench), 0);
    bench.run_for(70.0);
    assert_eq!(reachability(&mut bench), 1);
}

/// A poll that had grown is back at its minimum at once, not after the long interval.
#[test]
fn after_a_reset_the_shortest_poll_counts_from_now() {
    let mut bench = bench();
    let shorter = ModifyInteger {
        address: ip("127.0.0.11"),
        value: 3,
    };
    assert_eq!(
        bench.ask(&Request::ModifyMinPoll(shorter)).0,
        Status::Success
    );
    let transmitted = |bench: &mut Bench| {
        let source = SingleAddress {
            address: ip("127.0.0.11"),
        };
        match bench.ask(&Request::NtpData(source)).1 {
            Reply::NtpData(data) => data.total_tx_count,
            other => panic!("{other:?}"),
        }
    };
    let before = transmitted(&mut bench);
    bench.ask(&Request::ResetSources);
    bench.run_for(7.9);
    assert_eq!(transmitted(&mut bench), before);
    bench.run_for(0.4);
    assert_eq!(transmitted(&mut bench), before + 1);
}

/// As recorded in sample 863 of the client.
#[test]
fn the_reference_keeps_the_address_of_a_removed_source() {
    let mut bench = bench();
    let reference = |bench: &mut Bench| match bench.ask(&Request::Tracking).1 {
        Reply::Tracking(tracking) => (tracking.ref_id, tracking.ip_addr),
        other => panic!("{other:?}"),
    };
    let expected = (0x7f00_000b, ip("127.0.0.11"));
    assert_eq!(reference(&mut bench), expected);
    let source = SingleAddress {
        address: ip("127.0.0.11"),
    };
    assert_eq!(bench.ask(&Request::DelSource(source)).0, Status::Success);
    assert_eq!(reference(&mut bench), expected);
    bench.ask(&Request::ResetSources);
    assert_eq!(reference(&mut bench), (0, Address::Unspecified));
}

#[test]
fn the_owner_is_asked() {
    let mut bench = bench();
    bench.actions.clear();
    for request in [
        Request::Rekey,
        Request::ReloadSources,
        Request::CycleLogs,
        Request::Shutdown,
    ] {
        assert_eq!(bench.ask(&request).0, Status::Success);
    }
    assert!(matches!(
        bench.actions[..],
        [
            Action::ReloadKeys,
            Action::ReloadSources,
            Action::CycleLogs,
            Action::Exit { status: 0 }
        ]
    ));
    assert_eq!(bench.messages(), ["Received shutdown command"]);
}
