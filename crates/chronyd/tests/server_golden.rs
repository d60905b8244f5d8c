//! The recorded requests of the reference's server, sent to the real program over sockets.
//! Each answer equals the recorded one but for what must differ: clock readings, random bits
//! and the MACs over them, which are verified.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use control_wire::{Reply, Request, SetTime, SingleOption, Timespec};
use ntp_wire::{Header, KISS_RATE, KeyRing, LeapIndicator, Packet};
use support::network::{add_addresses, bound, own_network};
use support::recorded::{Exchange, Replay, Root, exchanges, key_file, keys};
use support::server::{ANSWER_TIMEOUT, Server};
use support::{uninterrupted, wait_until};

mod support;

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/ntp/", $name, ".tsv"))
    };
}

/// What all servers of the recordings have in common.
const COMMON: &[&str] = &["allow all", "deny 127.0.0.66", "clockprecision 10e-9"];

/// Starts a server with the recorded keys.
fn start(lines: &[&str]) -> (Server, KeyRing, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = key_file(recorded!("macs"));
    let path = folder.path().join("keys");
    fs::write(&path, &file).unwrap();
    let keyfile = format!("keyfile {}", path.display());
    let lines: Vec<&str> = COMMON
        .iter()
        .chain(lines)
        .copied()
        .chain([&*keyfile])
        .collect();
    (Server::start(&lines), keys(&file), folder)
}

/// The number of different cases.
fn cases(exchanges: &[Exchange]) -> usize {
    let names: BTreeSet<&str> = exchanges.iter().map(|exchange| &*exchange.case).collect();
    names.len()
}

/// Sends a request that must not be answered. What is sent afterwards from another socket is
/// answered, by when an answer to the first would have arrived.
fn not_answered(exchange: &Exchange) {
    let socket = bound(exchange.source);
    socket
        .send_to(&exchange.request, exchange.destination)
        .unwrap();
    let control = bound(SocketAddr::from(([127, 0, 0, 100], 0)));
    control.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    // Twice, for sockets that are served in another order.
    for _ in 0..2 {
        let mut plain = [0; 48];
        plain[0] = 0x23;
        control.send_to(&plain, "127.0.0.1:123").unwrap();
        uninterrupted(|| control.recv(&mut [0; 100])).expect("control answer");
    }
    socket.set_nonblocking(true).unwrap();
    let answer = socket.recv(&mut [0; 2000]);
    assert!(answer.is_err(), "{}: {answer:?}", exchange.case);
}

fn replay_all(replay: &mut Replay<'_>, exchanges: &[Exchange]) {
    for exchange in exchanges {
        if exchange.response.is_some() {
            replay.answered(exchange);
        } else {
            not_answered(exchange);
        }
    }
}

#[test]
fn clients_keys_fields_and_unknown_peers() {
    if !own_network() {
        return;
    }
    let (mut server, keys, _folder) = start(&["local stratum 5"]);
    let mut replay = Replay::new(&keys, Root::AsRecorded);
    let plain = exchanges(recorded!("plain_clients"));
    let macs = exchanges(recorded!("macs"));
    let mut fields = exchanges(recorded!("extfields"));
    fields.retain(|exchange| !exchange.case.starts_with("p319-"));
    let passive = exchanges(recorded!("passive"));
    assert_eq!(
        [&plain, &macs, &fields, &passive].map(|list| cases(list)),
        [25, 38, 14, 6]
    );
    for list in [&plain, &macs, &fields, &passive] {
        replay_all(&mut replay, list);
    }
    // All but the field in version 3, which is taken for a MAC.
    let all = plain.len() + macs.len() + fields.len() + passive.len();
    assert_eq!(replay.compared, all - 1);
    let statistics = server.statistics();
    // The control requests of the one that is not answered are two.
    assert_eq!(statistics.ntp_hits, all as u64 + 2);
    let with_mac = macs.len()
        + fields
            .iter()
            .filter(|exchange| exchange.case.ends_with("+mac"))
            .count();
    assert_eq!(statistics.ntp_auth_hits, with_mac as u64);
    assert_eq!(server.process().stop().code(), Some(0));
}

#[test]
fn what_is_not_answered() {
    if !own_network() {
        return;
    }
    let (server, keys, _folder) = start(&["local stratum 5", "acquisitionport 12345"]);
    let mut replay = Replay::new(&keys, Root::AsRecorded);
    let drops = exchanges(recorded!("drops"));
    // Two lines of the recording are under the name of each other's case.
    assert_eq!((cases(&drops), drops.len()), (57, 59));
    replay_all(&mut replay, &drops);
    assert_eq!(replay.compared, 2);
    assert_eq!(server.statistics().ntp_drops, 0);
}

#[test]
fn over_ptp() {
    if !own_network() {
        return;
    }
    add_addresses(&["10.77.0.1/32", "10.77.0.2/32"]);
    let mut list = exchanges(recorded!("ntp_over_ptp"));
    let mut fields = exchanges(recorded!("extfields"));
    fields.retain(|exchange| exchange.case.starts_with("p319-"));
    assert_eq!((cases(&list), cases(&fields)), (28, 4));
    let of_domain_5: Vec<Exchange> = list
        .extract_if(.., |exchange| exchange.case == "real-client-domain")
        .collect();
    let common = ["local stratum 5", "ptpport 319"];
    for (more, list) in [
        ("ptpdomain 123", [list, fields].concat()),
        ("ptpdomain 5", of_domain_5),
    ] {
        let (mut server, keys, _folder) = start(&[common[0], common[1], more]);
        let mut replay = Replay::new(&keys, Root::AsRecorded);
        replay_all(&mut replay, &list);
        let with_response = list.iter().filter(|exchange| exchange.response.is_some());
        assert_eq!(replay.compared, with_response.count());
        assert_eq!(server.process().stop().code(), Some(0));
    }
}

#[test]
fn interleaved_mode() {
    if !own_network() {
        return;
    }
    add_addresses(&["10.77.0.1/32", "10.77.0.2/32"]);
    let mut list = exchanges(recorded!("interleaved"));
    let without_log: Vec<Exchange> = list
        .extract_if(.., |exchange| exchange.case == "server-noclientlog")
        .collect();
    for (more, list, interleaved) in [
        ("clientloglimit 524288", list, 14),
        ("noclientlog", without_log, 0),
    ] {
        let (server, keys, _folder) = start(&["local stratum 5", more]);
        let mut replay = Replay::new(&keys, Root::AsRecorded);
        replay_all(&mut replay, &list);
        assert_eq!(
            (replay.compared, replay.interleaved),
            (list.len(), interleaved)
        );
        let statistics = server.statistics();
        assert_eq!(statistics.ntp_interleaved_hits, interleaved as u64);
        let transmit = [
            statistics.ntp_daemon_tx_timestamps,
            statistics.ntp_kernel_tx_timestamps,
        ];
        assert_eq!(transmit.iter().sum::<u64>(), list.len() as u64);
        assert_eq!(statistics.ntp_kernel_rx_timestamps, list.len() as u64);
    }
}

/// The exchanges of a case of server_states.
fn state(case: &str) -> Vec<Exchange> {
    let mut all = exchanges(recorded!("server_states"));
    all.retain(|exchange| exchange.case == case);
    assert!(!all.is_empty(), "{case}");
    all
}

#[test]
fn states_of_synchronisation() {
    if !own_network() {
        return;
    }
    let settings: &[(&[&str], &[&str])] = &[
        (
            &[],
            &[
                "unsync",
                "unsync-v3",
                "unsync-mode1",
                "unsync-mac",
                "unsync-f323",
            ],
        ),
        (&["local"], &["local-default"]),
        (&["local stratum 1"], &["local-1"]),
        (&["local stratum 15"], &["local-15"]),
        (&["local stratum 8 orphan"], &["local-orphan-early"]),
        (
            &["local stratum 8 orphan waitunsynced 0"],
            &["local-orphan-w0"],
        ),
        // Recorded with 2 s; so that a slow start is no failure.
        (
            &["local stratum 8 waitunsynced 200"],
            &["local-waitunsynced"],
        ),
        (&["local stratum 8 activate 0.1"], &["local-activate"]),
    ];
    for (lines, cases) in settings {
        let (_server, keys, _folder) = start(lines);
        for case in *cases {
            replay_all(&mut Replay::new(&keys, Root::AsRecorded), &state(case));
        }
    }
    let (_server, keys, _folder) = start(&["local stratum 8 waitunsynced 2"]);
    wait_until("local reference", || (first_stratum() == 8).then_some(()));
    replay_all(
        &mut Replay::new(&keys, Root::AsRecorded),
        &state("local-waitunsynced-over"),
    );
}

/// The stratum that the server on the loopback address says.
fn first_stratum() -> u8 {
    let socket = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
    socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    let mut request = [0; 48];
    request[0] = 0x23;
    socket.send_to(&request, "127.0.0.1:123").unwrap();
    let mut answer = [0; 48];
    uninterrupted(|| socket.recv(&mut answer)).unwrap();
    answer[1]
}

/// Sets the server's clock by hand, some whole seconds ahead; returns by how much it is ahead
/// of the machine's.
fn set_clock(server: &Server, ahead_s: i64) -> f64 {
    server.ask(Request::Manual(SingleOption { option: 1 }));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let time = Timespec::new(now.as_secs() as i64 + ahead_s, now.subsec_nanos());
    assert!(matches!(
        server.ask(Request::SetTime(SetTime { time })),
        Reply::ManualTimestamp(_)
    ));
    ahead_s as f64
}

#[test]
fn clocks_set_by_hand() {
    if !own_network() {
        return;
    }
    {
        let (server, keys, _folder) = start(&["manual"]);
        let mut replay = Replay::new(&keys, Root::AsRecorded);
        replay.clock_ahead_s = set_clock(&server, 2);
        replay_all(&mut replay, &state("settime-no-local"));
    }
    let (server, keys, _folder) = start(&["local stratum 3", "smoothtime 400 0.01", "manual"]);
    server.ask(Request::SmoothTime(SingleOption { option: 1 }));
    set_clock(&server, 2);
    // What is served starts where it was before.
    let mut replay = Replay::new(&keys, Root::Measured);
    replay_all(&mut replay, &state("smoothtime"));
}

#[test]
fn synchronised_to_others() {
    if !own_network() {
        return;
    }
    add_addresses(&["10.77.0.2/32", "fd77::2/128"]);
    for (upstream, source, cases) in [
        (
            "bindaddress 10.77.0.2",
            "server 10.77.0.2",
            &["synced", "synced-f323"][..],
        ),
        ("bindaddress fd77::2", "server fd77::2", &["synced-ipv6"]),
        (
            "bindaddress 10.77.0.2",
            "server 10.77.0.2 copy",
            &["synced-copy"],
        ),
    ] {
        let family = if upstream.contains("::") {
            "bindaddress 127.0.0.3"
        } else {
            "bindaddress ::1"
        };
        let (_upstream, _, _folder) = start(&["local stratum 2", upstream, family]);
        let source = format!("{source} iburst minpoll -4 maxpoll -4");
        let (mut server, keys, _folder) =
            start(&[&source, "bindaddress 127.0.0.1", "bindaddress fd77::99"]);
        server.process().wait_for("Selected source");
        wait_until("synchronised state", || (first_stratum() > 0).then_some(()));
        for case in cases {
            replay_all(&mut Replay::new(&keys, Root::Measured), &state(case));
        }
    }
}

/// The burst is answered as recorded; afterwards every answer is either the recorded kind of
/// normal answer or, with `kod`, a recorded kiss-o'-death, and some are dropped.
#[test]
fn rate_limiting() {
    if !own_network() {
        return;
    }
    let all = exchanges(recorded!("kod"));
    for (case, lines, burst, kisses) in [
        (
            "limit-kod",
            &[
                "local stratum 5",
                "ratelimit interval 3 burst 2 leak 4 kod 1",
            ][..],
            2,
            true,
        ),
        (
            "limit-nokod",
            &["local stratum 5", "ratelimit interval 3 burst 8 leak 2"],
            8,
            false,
        ),
        (
            "limit-burst1",
            &["local stratum 5", "ratelimit interval 1 burst 1 leak 4"],
            1,
            false,
        ),
        (
            "limit-kod-unsync",
            &["ratelimit interval 3 burst 1 leak 4 kod 1"],
            1,
            true,
        ),
        (
            "limit-kod-mac",
            &[
                "local stratum 5",
                "ratelimit interval 3 burst 1 leak 4 kod 1",
            ],
            1,
            true,
        ),
    ] {
        let (server, keys, _folder) = start(lines);
        let mut replay = Replay::new(&keys, Root::AsRecorded);
        let of_case: Vec<&Exchange> = all
            .iter()
            .filter(|exchange| exchange.case == case)
            .collect();
        for exchange in &of_case[..burst] {
            replay.answered(exchange);
        }
        let answers = Answers::to_too_many(&server, &of_case, &keys);
        assert_eq!(answers.kisses > 0, kisses, "{case}: {answers:?}");
        let statistics = server.statistics();
        assert!(statistics.ntp_drops > 0, "{case}");
        assert_eq!(statistics.ntp_hits, (burst + REQUESTS) as u64, "{case}");
    }
}

/// Requests beyond the limit.
const REQUESTS: usize = 100;

/// Answers to requests beyond the limit.
#[derive(Debug, Default)]
struct Answers {
    normal: u64,
    kisses: u64,
}

impl Answers {
    /// Sends more than the limit from the recorded source, until all are answered or counted
    /// as dropped.
    fn to_too_many(server: &Server, of_case: &[&Exchange], keys: &KeyRing) -> Self {
        let first = of_case[0];
        let socket = bound(first.source);
        socket.set_nonblocking(true).unwrap();
        let before = server.statistics();
        for _ in 0..REQUESTS {
            socket.send_to(&first.request, first.destination).unwrap();
        }
        let mut answers = Self::default();
        let mut buffer = [0; 200];
        wait_until("answers", || {
            while let Ok(length) = socket.recv(&mut buffer) {
                assert_eq!(length, first.request.len());
                answers.take(&buffer[..length], first, keys);
            }
            let dropped = server.statistics().ntp_drops - before.ntp_drops;
            let known = answers.normal + answers.kisses + dropped;
            (known == REQUESTS as u64).then_some(())
        });
        answers
    }

    fn take(&mut self, answer: &[u8], exchange: &Exchange, keys: &KeyRing) {
        let recorded = Packet::parse(exchange.response.as_ref().unwrap()).unwrap();
        let packet = Packet::parse(answer).unwrap();
        let (header, normal) = (packet.header, recorded.header);
        if let Some(mac) = packet.mac {
            let key = keys.get(mac.key_id).unwrap();
            assert!(key.verify(packet.authenticated_bytes(), &mac, header.version));
        }
        let expected = if header.reference_id == KISS_RATE {
            self.kisses += 1;
            Header {
                leap: LeapIndicator::Unsynchronised,
                stratum: 0,
                reference_id: KISS_RATE,
                ..normal
            }
        } else {
            self.normal += 1;
            normal
        };
        let masked = Header {
            reference_time: header.reference_time,
            receive: header.receive,
            transmit: header.transmit,
            ..expected
        };
        assert_eq!(header, masked, "{}", exchange.case);
    }
}
