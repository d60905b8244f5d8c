//! A daemon that knows nothing but the recorded exchanges.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::exchange::Exchange;

/// Time after which a thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(5);

/// What was exchanged and what is still to come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    coming: VecDeque<Exchange>,
    last: Option<Exchange>,
    /// Requests that differ from the recorded ones.
    pub(crate) surprises: Vec<String>,
    /// Whether the time in SETTIME requests differs from run to run.
    any_time: bool,
}

impl Script {
    fn answer(&mut self, request: &[u8]) -> Vec<Vec<u8>> {
        let same = |exchange: &Exchange| {
            comparable(&exchange.request, self.any_time) == comparable(request, self.any_time)
        };
        let exchange = match self.coming.front() {
            Some(front) if same(front) => self.coming.pop_front(),
            // A repetition because this process was slow.
            _ => self.last.take().filter(same),
        };
        let Some(exchange) = exchange else {
            let hex: String = request.iter().map(|byte| format!("{byte:02x}")).collect();
            let expected = self.coming.front().map(|front| {
                front
                    .request
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            });
            self.surprises.push(format!(
                "request {hex}\nexpected {}",
                expected.unwrap_or_default()
            ));
            return Vec::new();
        };
        let mut replies = exchange.replies.clone();
        for reply in &mut replies {
            if let (Some(place), Some(sequence)) = (reply.get_mut(16..20), request.get(8..12)) {
                place.copy_from_slice(sequence);
            }
        }
        self.last = Some(exchange);
        replies
    }

    /// Requests that were not made.
    pub(crate) fn missing(&self) -> usize {
        self.coming.len()
    }
}

/// A request without what differs from run to run: attempt, sequence, and on demand the time.
fn comparable(request: &[u8], any_time: bool) -> Vec<u8> {
    /// Code of SETTIME.
    const SETTIME: [u8; 2] = [0, 11];
    let mut bytes = request.to_vec();
    let mut blank = |from: usize, to: usize| {
        for byte in bytes.iter_mut().take(to).skip(from) {
            *byte = 0;
        }
    };
    blank(6, 12);
    if any_time && request.get(4..6) == Some(&SETTIME) {
        blank(20, 32);
    }
    bytes
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Socket {
    /// Answers one datagram, if one comes soon.
    fn serve(&self, script: &Mutex<Script>) {
        let mut buffer = [0; 2048];
        let answer = |length: usize, buffer: &[u8]| {
            script
                .lock()
                .expect("script")
                .answer(buffer.get(..length).unwrap_or_default())
        };
        match self {
            Self::Udp(socket) => {
                if let Ok((length, sender)) = socket.recv_from(&mut buffer) {
                    for reply in answer(length, &buffer) {
                        let _ = socket.send_to(&reply, sender);
                    }
                }
            }
            Self::Unix(socket) => {
                if let Ok((length, sender)) = socket.recv_from(&mut buffer) {
                    for reply in answer(length, &buffer) {
                        if let Some(path) = sender.as_pathname() {
                            let _ = socket.send_to(&reply, path);
                        }
                    }
                }
            }
        }
    }
}

/// The running servers of one sample.
pub(crate) struct Servers {
    script: Arc<Mutex<Script>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    paths: Vec<PathBuf>,
}

impl Servers {
    /// Starts a server for each of `names`, all with the same script.
    pub(crate) fn start<'n>(
        names: impl IntoIterator<Item = &'n String>,
        exchanges: &[Exchange],
        any_time: bool,
    ) -> Self {
        let mut servers = Self {
            script: Arc::new(Mutex::new(Script {
                coming: exchanges.iter().cloned().collect(),
                any_time,
                ..Script::default()
            })),
            stop: Arc::default(),
            threads: Vec::new(),
            paths: Vec::new(),
        };
        for name in names {
            let socket = servers.open(name);
            let (script, stop) = (Arc::clone(&servers.script), Arc::clone(&servers.stop));
            servers.threads.push(thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    socket.serve(&script);
                }
            }));
        }
        servers
    }

    fn open(&mut self, name: &str) -> Socket {
        let (kind, place) = name.split_once(':').expect("kind and place of a server");
        if kind == "udp" {
            let socket = UdpSocket::bind(place).expect("UDP socket");
            socket.set_read_timeout(Some(LOOK)).expect("timeout");
            return Socket::Udp(socket);
        }
        let path = Path::new(place);
        std::fs::create_dir_all(path.parent().expect("folder of the socket")).expect("folder");
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).expect("Unix socket");
        socket.set_read_timeout(Some(LOOK)).expect("timeout");
        self.paths.push(path.to_owned());
        Socket::Unix(socket)
    }

    /// Ends the servers and gives what happened.
    pub(crate) fn stop(self) -> Script {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            let _ = thread.join();
        }
        for path in self.paths {
            let _ = std::fs::remove_file(path);
        }
        std::mem::take(&mut *self.script.lock().expect("script"))
    }
}
