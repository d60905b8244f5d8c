//! What comes from outside and is wrong: servers, names, files. There is a clear message or
//! none, no panic, no busy loop, and the daemon goes on.

use std::fs;
use std::process::Command;

use support::ntp::{Server, kiss, response};
use support::{CHRONYD, Running, can_unshare, client, run, wait_until};

mod support;

/// Processor time that polling a bad server may take, seconds; debug builds are slow.
const CPU_TIME_MAX_S: f64 = 1.5;

/// Requests after which a server is known to be useless. A server that does not answer is
/// asked about once a second, whatever its polling interval.
const USELESS_REQUESTS: usize = 8;

fn server_line(port: u16, options: &str) -> String {
    format!("server 127.0.0.1 port {port} iburst minpoll -6 maxpoll -6 {options}")
}

/// Lets a client poll a server until it has sent so many requests.
fn poll(server: &Server, requests: usize, lines: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::chronyd(folder.path(), &client(lines));
    wait_until("requests", || (server.requests() >= requests).then_some(()));
    let cpu_time_s = running.cpu_time_s();
    assert_eq!(running.stop().code(), Some(0), "{}", running.log());
    assert!(cpu_time_s < CPU_TIME_MAX_S, "{cpu_time_s} s");
    assert!(!running.log().contains("panicked"), "{}", running.log());
    running.messages()
}

/// A server whose answers are all useless must not be selected.
fn refuse(answer: impl FnMut(&[u8], usize) -> Vec<Vec<u8>> + Send + 'static, options: &str) {
    let server = Server::start(answer);
    let messages = poll(
        &server,
        USELESS_REQUESTS,
        &[&server_line(server.port(), options)],
    );
    let selected = messages.iter().any(|line| line.starts_with("Selected"));
    assert!(!selected, "{messages:?}");
}

#[test]
fn a_good_server_is_selected() {
    let server = Server::start(|request, _| vec![response(request)]);
    let messages = poll(&server, 30, &[&server_line(server.port(), "")]);
    assert!(
        messages.contains(&"Selected source 127.0.0.1".to_owned()),
        "{messages:?}"
    );
}

#[test]
fn garbage() {
    refuse(
        |_, count| {
            let mut state = count as u32 + 1;
            let length = [48, 1, 47, 49, 68, 0, 500, 1400][count % 8];
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            vec![(0..length).map(|_| next()).collect()]
        },
        "",
    );
}

#[test]
fn short_packets() {
    refuse(
        |request, count| {
            vec![response(request)[..[47, 1, 0, 40, 24, 46, 4, 12][count % 8]].to_vec()]
        },
        "",
    );
}

#[test]
fn wrong_origin_timestamps() {
    refuse(
        |request, _| {
            let mut packet = response(request);
            packet[31] ^= 1;
            vec![packet]
        },
        "",
    );
}

#[test]
fn replays() {
    let mut first = None;
    refuse(
        move |request, _| {
            let old = first.get_or_insert_with(|| response(request)).clone();
            // The first answer is good, but one sample selects nothing.
            vec![old; 20]
        },
        "",
    );
}

#[test]
fn duplicates_of_good_answers_change_nothing() {
    let server = Server::start(|request, _| vec![response(request); 50]);
    let messages = poll(&server, 100, &[&server_line(server.port(), "")]);
    let selected = messages.iter().filter(|line| line.starts_with("Selected"));
    assert_eq!(selected.count(), 1, "{messages:?}");
}

#[test]
fn wrong_macs() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "1 MD5 HEX:000102030405060708090A0B0C0D0E0F\n").unwrap();
    let server = Server::start(|request, count| {
        assert_eq!(request.len(), 68);
        let mut packet = response(request);
        match count % 4 {
            0 => {}
            1 => packet.extend([0, 0, 0, 1].iter().chain(&[0xaa; 16])),
            2 => packet.extend(&request[48..68]),
            _ => packet.extend([0; 4]),
        }
        vec![packet]
    });
    let keyfile = format!("keyfile {}", keys.display());
    let line = server_line(server.port(), "key 1");
    let messages = poll(&server, USELESS_REQUESTS, &[&keyfile, &line]);
    let selected = messages.iter().any(|line| line.starts_with("Selected"));
    assert!(!selected, "{messages:?}");
    assert!(messages.contains(&"Loaded 1 symmetric keys".to_owned()));
}

#[test]
fn kisses_of_death() {
    let server = Server::start(|request, count| {
        let code = if count.is_multiple_of(2) {
            b"RATE"
        } else {
            b"DENY"
        };
        vec![kiss(request, code); 100]
    });
    let messages = poll(&server, 3, &[&server_line(server.port(), "")]);
    let warning = "Received KoD RATE from 127.0.0.1";
    let warnings = messages.iter().filter(|line| *line == warning).count();
    // One for each request that was answered so, not for each copy of the answer.
    assert!((1..=3).contains(&warnings), "{messages:?}");
}

#[test]
fn names_that_do_not_resolve() {
    let lines = client(&["server no-such-name.invalid iburst"]);
    let ended = run([vec!["-Q".to_owned()], lines.clone()].concat());
    assert_eq!(ended.status, Some(1));
    let warning = "No suitable source for synchronisation".to_owned();
    assert!(ended.messages().contains(&warning), "{}", ended.stderr);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| vec![response(request)]);
    let good = server_line(server.port(), "");
    let mut lines = lines;
    lines.push(good);
    let mut running = Running::chronyd(folder.path(), &lines);
    running.wait_for("Selected source 127.0.0.1");
    assert_eq!(running.stop().code(), Some(0));
}

#[test]
fn key_files() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let keyfile = format!("keyfile {}", missing.display());
    let server = Server::start(|request, _| vec![response(request)]);
    let good = server_line(server.port(), "");
    let lines = [&keyfile, "server 127.0.0.2 key 5", &good];
    let messages = poll(&server, 10, &lines);
    let expected = format!("Could not open keyfile {}", missing.display());
    assert!(messages.contains(&expected), "{messages:?}");
    assert!(
        messages.contains(&"Key 5 is missing".to_owned()),
        "{messages:?}"
    );
}

#[test]
fn sources_given_twice() {
    let server = Server::start(|request, _| vec![response(request)]);
    let line = server_line(server.port(), "");
    let messages = poll(&server, 20, &[&line, &line, "server 127.0.0.1"]);
    let refused = "Could not add source 127.0.0.1";
    let count = messages.iter().filter(|line| *line == refused).count();
    assert_eq!(count, 2, "{messages:?}");
}

/// The disk under `logdir` is full: polling and selecting go on.
#[test]
fn a_full_disk() {
    if !can_unshare() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let server = Server::start(|request, _| vec![response(request)]);
    let script = format!(
        "mount -t tmpfs -o size=4k,nr_inodes=8 none {0} && head -c 4096 /dev/zero > {0}/full; \
         exec \"$@\"",
        logs.display()
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh", CHRONYD, "-x", "-d"]);
    command
        .args(client(&[&server_line(server.port(), "")]))
        .arg(format!("logdir {}", logs.display()))
        .arg("log measurements statistics tracking selection");
    let mut running = Running::start(&mut command, folder.path(), "full");
    running.wait_for("Selected source 127.0.0.1");
    wait_until("requests", || (server.requests() >= 50).then_some(()));
    let complaints = running.messages();
    let complaints = complaints
        .iter()
        .filter(|line| line.contains("No space left"));
    // Every log complains once and is given up.
    assert!((1..=4).contains(&complaints.count()), "{}", running.log());
    assert!(running.cpu_time_s() < CPU_TIME_MAX_S);
    assert_eq!(running.stop().code(), Some(0), "{}", running.log());
}
