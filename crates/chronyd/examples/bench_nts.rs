//! What Network Time Security costs a server: processor time of one key establishment and of
//! one protected NTP request, for each daemon named on the command line.
//!
//! `cargo run --release -p chronyd --example bench_nts -- target/release/chronyd
//! /path/to/other/chronyd` (as root, because of the option `-u root`). Everything happens on
//! loopback, in a folder of its own, with an ECDSA P-256 certificate.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nts::aead::AeadList;
use nts::client::association::{Association, AssociationSettings};
use nts::ke::client::{ClientRequest, ClientSession, KeyMaterial};
use nts::random::SystemRandom;
use nts::time::RunningTime;
use nts::verify::TimeCheck;
use nts::verify::trust::TrustedCertificates;
use rcgen::{CertificateParams, KeyPair};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const KEY_ESTABLISHMENTS: u32 = 1500;
const REQUESTS: u32 = 200_000;
/// Requests on their way at a time.
const WINDOW: u32 = 32;
/// Clock ticks of /proc/<pid>/stat per second (USER_HZ on all architectures of today).
const TICKS_PER_S: f64 = 100.0;

struct Server {
    child: Child,
    ke: SocketAddr,
    ntp: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(program: &str, folder: &Path) -> Result<Self> {
        let local = (Ipv4Addr::LOCALHOST, 0);
        let ke = TcpListener::bind(local)?.local_addr()?;
        let ntp = UdpSocket::bind(local)?.local_addr()?;
        let child = Command::new(program)
            .args(["-x", "-d", "-4", "-u", "root", "cmdport 0", "local"])
            .args(["bindcmdaddress /", "allow 127.0.0.1"])
            .arg("clientloglimit 100000")
            .arg(format!("pidfile {}/pid", folder.display()))
            .arg(format!("port {}", ntp.port()))
            .arg(format!("ntsport {}", ke.port()))
            .arg(format!("ntsservercert {}/cert.pem", folder.display()))
            .arg(format!("ntsserverkey {}/key.pem", folder.display()))
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, ke, ntp };
        let start = Instant::now();
        while TcpStream::connect(ke).is_err() {
            if start.elapsed() > Duration::from_secs(10) {
                return Err(format!("{program} does not answer").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Processor time of the daemon with its threads and helper processes, seconds: in user
    /// space, where it differs between daemons, and in the kernel.
    fn cpu_s(&self) -> Result<[f64; 2]> {
        let mut times = [0.0; 2];
        let children = Command::new("pgrep")
            .args(["-P", &self.child.id().to_string()])
            .output()?;
        let children = String::from_utf8(children.stdout)?;
        let own = self.child.id().to_string();
        for process in children.lines().chain([own.as_str()]) {
            let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
            let fields = text.rsplit(')').next().unwrap_or_default();
            // utime and stime of proc(5).
            for (time, field) in times.iter_mut().zip(fields.split_whitespace().skip(11)) {
                *time += field.parse::<f64>()? / TICKS_PER_S;
            }
        }
        Ok(times)
    }
}

fn establish(server: SocketAddr, trusted: &Arc<TrustedCertificates>) -> Result<KeyMaterial> {
    let request = ClientRequest {
        name: "localhost".to_owned(),
        address: server,
        aeads: AeadList::from_numbers(&[15]),
        trusted: Arc::clone(trusted),
        time: TimeCheck::Disabled,
    };
    let mut session =
        ClientSession::new(request, RunningTime::ZERO).map_err(|failure| format!("{failure:?}"))?;
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 8192];
    loop {
        let mut out = Vec::new();
        session.transmit(&mut out);
        stream.write_all(&out)?;
        if let Some(result) = session.take_result() {
            return result.map_err(|failure| format!("{failure:?}").into());
        }
        match stream.read(&mut buffer)? {
            0 => session.receive_end(),
            length => session.receive(&buffer[..length]),
        }
    }
}

/// A request with one cookie, which may be sent any number of times.
fn request(material: KeyMaterial) -> Result<Vec<u8>> {
    let mut association = Association::new(AssociationSettings {
        name: "localhost".to_owned(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ntp_port: 123,
        refresh_s: 1_000_000,
    });
    association.establishment_started();
    association.establishment_succeeded(material, None, RunningTime::ZERO);
    association.poll(RunningTime::ZERO, &mut SystemRandom::new());
    let mut packet = vec![0; 1140];
    packet[0] = 0x23;
    packet[40..48].copy_from_slice(&[7; 8]);
    let length = association.append_request(&mut packet, 48);
    packet.truncate(length.ok_or("no request")?);
    Ok(packet)
}

fn flood(server: SocketAddr, packet: &[u8]) -> Result<u32> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let (mut sent, mut answered) = (0, 0);
    let mut buffer = [0; 2048];
    while sent < REQUESTS {
        for _ in 0..WINDOW {
            socket.send(packet)?;
        }
        sent += WINDOW;
        for _ in 0..WINDOW {
            match socket.recv(&mut buffer) {
                Ok(_) => answered += 1,
                Err(_) => break,
            }
        }
    }
    Ok(answered)
}

fn measure(program: &str, folder: &Path, trusted: &Arc<TrustedCertificates>) -> Result<()> {
    let server = Server::start(program, folder)?;
    let start = server.cpu_s()?;
    let mut material = None;
    for _ in 0..KEY_ESTABLISHMENTS {
        material = Some(establish(server.ke, trusted)?);
    }
    let established = server.cpu_s()?;
    let packet = request(material.ok_or("no keys")?)?;
    let answered = flood(server.ntp, &packet)?;
    let end = server.cpu_s()?;
    let sessions_s: f64 = (0..2).map(|part| established[part] - start[part]).sum();
    let [user, kernel] =
        [0, 1].map(|part| (end[part] - established[part]) / f64::from(answered) * 1e6);
    println!(
        "{program}\n  key establishments per CPU second {:8.0}\n  CPU time of an NTS request   {:8.2} µs, {user:.2} of them in user space ({answered} answered)",
        f64::from(KEY_ESTABLISHMENTS) / sessions_s,
        user + kernel,
    );
    Ok(())
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    std::fs::write(folder.path().join("cert.pem"), certificate.pem())?;
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem())?;
    let mut trusted = TrustedCertificates::default();
    trusted.add_pem(certificate.pem().as_bytes());
    let trusted = Arc::new(trusted);
    for program in std::env::args().skip(1) {
        measure(&program, folder.path(), &trusted)?;
    }
    Ok(())
}
