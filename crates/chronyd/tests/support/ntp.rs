//! A little NTP server for tests, which answers as it is told.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::wait_until;

/// Seconds from the NTP era's start to 1970.
const NTP_EPOCH_S: u64 = 2_208_988_800;

/// Waits until a server on this port of the loopback address answers requests.
pub(crate) fn wait_for_server(port: u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    socket
        .connect((Ipv4Addr::LOCALHOST, port))
        .expect("connect");
    let mut request = [0; 48];
    request[0] = 0x23;
    exchange(&socket, &request);
}

/// Sends until an answer comes: the server may not be ready, and on a busy machine the kernel
/// loses one now and then, and calls are interrupted.
pub(crate) fn exchange(socket: &UdpSocket, request: &[u8]) -> [u8; 48] {
    socket.set_nonblocking(false).expect("blocking");
    let wait = Some(Duration::from_millis(500));
    socket.set_read_timeout(wait).expect("timeout");
    wait_until("an answer", || {
        let mut answer = [0; 48];
        socket.send(request).ok()?;
        socket.recv(&mut answer).ok()?;
        Some(answer)
    })
}

/// A server on a port of its own; it ends when it is dropped.
pub(crate) struct Server {
    port: u16,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `answer` gives the datagrams sent back for a request, and the number of earlier
    /// requests.
    pub(crate) fn start(
        mut answer: impl FnMut(&[u8], usize) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("address").port();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("timeout");
        let requests = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (counter, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let serve = move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let earlier = counter.fetch_add(1, Ordering::Relaxed);
                for datagram in answer(&buffer[..length], earlier) {
                    send(&socket, &datagram, client);
                }
            }
        };
        Self {
            port,
            requests,
            stop,
            thread: Some(std::thread::spawn(serve)),
        }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was printed; the test fails for want of answers.
            let _ = thread.join();
        }
    }
}

fn send(socket: &UdpSocket, datagram: &[u8], client: SocketAddr) {
    // The client closes its socket after the first good answer.
    let _ = socket.send_to(datagram, client);
}

/// The time as an NTP timestamp (RFC 5905, section 6).
fn timestamp() -> [u8; 8] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("time");
    let seconds = (now.as_secs() + NTP_EPOCH_S) as u32;
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    bytes[4..].copy_from_slice(&(fraction as u32).to_be_bytes());
    bytes
}

/// A good answer to a request (RFC 5905, section 7.3): stratum 1, no root delay.
pub(crate) fn response(request: &[u8]) -> Vec<u8> {
    let version = request[0] & 0x38;
    let mut packet = vec![0; 48];
    packet[0] = version | 4;
    packet[1] = 1;
    packet[2] = request[2];
    packet[3] = 0xe8;
    packet[12..16].copy_from_slice(b"TEST");
    packet[16..24].copy_from_slice(&timestamp());
    packet[24..32].copy_from_slice(&request[40..48]);
    packet[32..40].copy_from_slice(&timestamp());
    packet[40..48].copy_from_slice(&timestamp());
    packet
}

/// A kiss-o'-death with a code.
pub(crate) fn kiss(request: &[u8], code: &[u8; 4]) -> Vec<u8> {
    let mut packet = response(request);
    packet[0] |= 0xc0;
    packet[1] = 0;
    packet[12..16].copy_from_slice(code);
    packet
}
