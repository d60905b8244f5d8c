//! MS-SNTP: the recorded requests against the real daemon and a small signing service.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use support::ntp::exchange;
use support::ports::free_port;
use support::{Running, uninterrupted};

mod support;

const RECORDED: &str = include_str!("../../../tests/data/ntp/mssntp.tsv");

/// One row: step, direction and bytes.
type Row = (String, Option<Vec<u8>>);

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (hex != "-").then(|| {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    })
}

fn cases() -> BTreeMap<String, Vec<Row>> {
    let mut cases: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let rows = RECORDED.lines().filter(|line| !line.starts_with('#'));
    for row in rows.skip(1) {
        let fields: Vec<&str> = row.split('\t').collect();
        let rows = cases.entry(fields[0].to_owned()).or_default();
        rows.push((fields[2].to_owned(), bytes(fields[9])));
    }
    cases
}

fn row<'a>(rows: &'a [Row], direction: &str) -> Option<&'a [u8]> {
    let found = rows.iter().find(|(step, _)| step == direction);
    found.and_then(|(_, bytes)| bytes.as_deref())
}

/// What the service is to do with the next request: operation, added to the packet ID,
/// whether to sign.
type Order = (u32, u32, bool);

/// A service for one connection: obeys orders, and shows the requests.
fn serve(listener: UnixListener, orders: Receiver<Order>, requests: Sender<Vec<u8>>) {
    let (mut stream, _) = listener.accept().unwrap();
    while let Ok((operation, added, signs)) = orders.recv() {
        let mut request = [0; 68];
        stream.read_exact(&mut request).unwrap();
        let id = u32::from(u16::from_be_bytes([request[12], request[13]]));
        let mut rest = [[0; 4], operation.to_be_bytes(), (id + added).to_be_bytes()].concat();
        if signs {
            rest.extend(&request[20..68]);
            rest.extend(&request[16..20]);
            rest.extend([0xaa; 16]);
        }
        let length = u32::try_from(rest.len()).unwrap().to_be_bytes();
        // In two parts, as a stream may deliver it.
        stream.write_all(&length[..3]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let rest = [&length[3..], &rest].concat();
        stream.write_all(&rest).unwrap();
        requests.send(request.to_vec()).unwrap();
    }
}

fn start(folder: &std::path::Path, more: &[&str]) -> (Running, UdpSocket) {
    let port = free_port();
    let lines = [
        format!("port {port}"),
        format!("ntpsigndsocket {}", folder.display()),
    ];
    let fixed = [
        "cmdport 0",
        "bindcmdaddress /",
        "pidfile /",
        "allow",
        "local stratum 5",
    ];
    let fixed = fixed.iter().chain(more).map(|line| (*line).to_owned());
    let lines: Vec<String> = lines.into_iter().chain(fixed).collect();
    let mut running = Running::chronyd(folder, &lines);
    running.wait_for("MS-SNTP authentication enabled");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    // Until it serves.
    let mut plain = [0; 48];
    plain[0] = 0x23;
    exchange(&socket, &plain);
    (running, socket)
}

fn replay(more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let (order, orders) = channel();
    let (seen, requests) = channel();
    let service = std::thread::spawn(move || serve(listener, orders, seen));
    let (mut running, socket) = start(folder.path(), more);
    let mut next_id = 0u16;
    for (name, rows) in cases() {
        let request = row(&rows, "C>S").unwrap();
        let recorded = row(&rows, "D>S");
        if let Some(response) = recorded {
            let word = |at: usize| u32::from_be_bytes(response[at..at + 4].try_into().unwrap());
            let added = u32::from(name == "wrong-id");
            order.send((word(8), added, response.len() > 16)).unwrap();
        }
        socket.send(request).unwrap();
        if recorded.is_some() {
            let asked = requests.recv_timeout(Duration::from_secs(20)).expect(&name);
            let expected = row(&rows, "S>D").unwrap();
            assert_eq!(asked[..12], expected[..12], "{name}");
            assert_eq!(asked[12..14], next_id.to_be_bytes(), "{name}");
            // Key ID, leap, mode, stratum and poll.
            assert_eq!(asked[14..23], expected[14..23], "{name}");
            assert_eq!(asked[44..52], expected[44..52], "{name}: origin");
            next_id += 1;
        }
        let mut answer = [0; 200];
        let length = socket.recv(&mut answer).ok();
        let expected = row(&rows, "S>C");
        assert_eq!(length, expected.map(<[u8]>::len), "{name}");
        if let Some(expected) = expected {
            assert_eq!(answer[24..32], request[40..48], "{name}");
            assert_eq!(answer[48..68], expected[48..68], "{name}: signature");
        }
    }
    drop(order);
    service.join().unwrap();
    assert_eq!(running.stop().code(), Some(0), "{}", running.log());
}

#[test]
fn recorded_requests() {
    assert_eq!(cases().len(), 9);
    replay(&[]);
}

#[test]
fn recorded_requests_with_threads() {
    replay(&["serverthreads 3"]);
}

#[test]
fn signed_answers_over_ptp_are_wrapped() {
    const PREFIX: usize = 56;
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let (order, orders) = channel();
    let (seen, requests) = channel();
    let service = std::thread::spawn(move || serve(listener, orders, seen));
    let port = free_port();
    let (mut running, socket) = start(folder.path(), &[&format!("ptpport {port}")]);
    socket.connect(("127.0.0.1", port)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let all = cases();
    let message = row(&all["signed"], "C>S").unwrap();
    let length = u16::try_from(PREFIX + message.len()).unwrap();
    let mut prefix = [0; PREFIX];
    prefix[1] = 2;
    prefix[2..4].copy_from_slice(&length.to_be_bytes());
    prefix[4] = 123;
    prefix[6] = 4;
    prefix[45] = 3;
    prefix[46..48].copy_from_slice(&(length - 48).to_be_bytes());
    prefix[48..54].copy_from_slice(&[0, 0, 0x5e, 0, 0, 1]);
    // Operation 3: signed.
    order.send((3, 0, true)).unwrap();
    socket.send(&[&prefix[..], message].concat()).unwrap();
    let asked = requests.recv_timeout(Duration::from_secs(20)).unwrap();
    // What is to be signed is the answer: its origin is the transmit timestamp of the request.
    assert_eq!(asked[44..52], message[40..48]);
    let mut answer = [0; 200];
    let answered = uninterrupted(|| socket.recv(&mut answer)).unwrap();
    assert_eq!(answered, PREFIX + message.len());
    assert_eq!(answer[1..8], prefix[1..8]);
    assert_eq!(answer[44..54], prefix[44..54]);
    assert_eq!(answer[PREFIX..PREFIX + 48], asked[20..68]);
    assert_eq!(answer[PREFIX + 52..PREFIX + 68], [0xaa; 16]);
    drop(order);
    assert_eq!(running.stop().code(), Some(0), "{}", running.log());
    service.join().unwrap();
}

#[test]
fn a_missing_service_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, socket) = start(folder.path(), &[]);
    let all = cases();
    let request = row(&all["signed"], "C>S").unwrap();
    for _ in 0..3 {
        socket.send(request).unwrap();
        assert!(socket.recv(&mut [0; 200]).is_err());
    }
    let path = folder.path().join("socket");
    let error = format!(
        "Could not connect to signd socket {} : No such file or directory",
        path.display()
    );
    let said = running.messages();
    assert_eq!(
        said.iter().filter(|line| **line == error).count(),
        1,
        "{said:?}"
    );
    assert_eq!(running.stop().code(), Some(0));
}
