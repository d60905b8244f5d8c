//! A server and a client on the loopback address, without root, network or configuration:
//! `cargo run --release --example demo -p chronyd`.
//!
//! The program starts itself twice more in the role of chronyd, neither controlling the
//! clock, lets the client measure the server with Network Time Security, for which it makes
//! a certificate on the spot, and prints what an administrator looks at.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// First argument of a process that is to be chronyd.
const ROLE: &str = "--be-chronyd";

/// First argument of a process that is to be chronyc.
const CHRONYC_ROLE: &str = "--be-chronyc";

/// Lines of the tracking log that show a clock being followed.
const UPDATES_WANTED: usize = 12;

/// The demonstration ends here in any case.
const TIME_LIMIT: Duration = Duration::from_secs(9);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next();
    match arguments.next() {
        Some(role) if role == ROLE => return chronyd::run(program.into_iter().chain(arguments)),
        Some(role) if role == CHRONYC_ROLE => {
            return chronyc::run(program.into_iter().chain(arguments));
        }
        _ => {}
    }
    match demonstrate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A daemon that ends with the demonstration.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn demonstrate() -> std::io::Result<()> {
    let folder = std::env::temp_dir().join(format!("isochrony-demo-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let result = run_in(&folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn run_in(folder: &Path) -> std::io::Result<()> {
    let (ntp_port, command_port) = (free_port()?, free_port()?);
    let ke_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    make_certificate(folder)?;
    let path = folder.display();
    let common = ["bindcmdaddress /", "pidfile /"].map(str::to_owned);
    let server_lines = [
        format!("port {ntp_port}"),
        "cmdport 0".to_owned(),
        "local stratum 1".to_owned(),
        "allow 127.0.0.1".to_owned(),
        format!("ntsport {ke_port}"),
        format!("ntsservercert {path}/certificate.pem"),
        format!("ntsserverkey {path}/key.pem"),
        format!("ntsdumpdir {path}/server-keys"),
    ];
    let client_lines = [
        format!(
            "server 127.0.0.1 nts ntsport {ke_port} port {ntp_port} iburst minpoll -4 maxpoll -4 xleave"
        ),
        format!("ntstrustedcerts {path}/certificate.pem"),
        format!("ntsdumpdir {path}/cookies"),
        "port 0".to_owned(),
        format!("cmdport {command_port}"),
        "bindcmdaddress 127.0.0.1".to_owned(),
        "opencommands tracking sources sourcestats authdata".to_owned(),
        format!("logdir {path}"),
        "log tracking statistics".to_owned(),
    ];
    let _server = start(folder, "server", common.iter().chain(&server_lines))?;
    let _client = start(folder, "client", common.iter().chain(&client_lines))?;
    let tracking = folder.join("tracking.log");
    let start = Instant::now();
    while records(&tracking) < UPDATES_WANTED && start.elapsed() < TIME_LIMIT {
        std::thread::sleep(Duration::from_millis(50));
    }
    show(
        "Messages of the client",
        &folder.join("client.messages"),
        usize::MAX,
    )?;
    show("Its last corrections (tracking.log)", &tracking, 5)?;
    show(
        "Its last estimates (statistics.log)",
        &folder.join("statistics.log"),
        3,
    )?;
    report(command_port)
}

/// A self-signed certificate of the loopback address, which nobody but the client trusts.
fn make_certificate(folder: &Path) -> std::io::Result<()> {
    let make = || {
        let key = rcgen::KeyPair::generate()?;
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()])?;
        Ok::<_, rcgen::Error>((params.self_signed(&key)?.pem(), key.serialize_pem()))
    };
    let (certificate, key) = make().map_err(std::io::Error::other)?;
    std::fs::write(folder.join("certificate.pem"), certificate)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(folder.join("key.pem"))?
        .write_all(key.as_bytes())
}

fn free_port() -> std::io::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start<'a>(
    folder: &Path,
    name: &str,
    lines: impl Iterator<Item = &'a String>,
) -> std::io::Result<Daemon> {
    let messages = File::create(folder.join(format!("{name}.messages")))?;
    Command::new(std::env::current_exe()?)
        .args([ROLE, "-U", "-x", "-d"])
        .args(lines)
        .stdin(Stdio::null())
        .stderr(messages)
        .spawn()
        .map(Daemon)
}

/// Lines of a log below its titles.
fn records(log: &Path) -> usize {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("20")).count()
}

fn show(title: &str, log: &Path, last: usize) -> std::io::Result<()> {
    println!("== {title}");
    let text = std::fs::read_to_string(log)?;
    let titles = text.lines().find(|line| line.starts_with("   Date"));
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("20")).collect();
    let shown = lines.len().saturating_sub(last);
    for line in titles.into_iter().chain(lines.into_iter().skip(shown)) {
        println!("{line}");
    }
    println!();
    Ok(())
}

/// chronyc's reports about the client.
fn report(command_port: u16) -> std::io::Result<()> {
    let port = command_port.to_string();
    for command in ["tracking", "sources", "sourcestats", "authdata"] {
        println!("== chronyc {command}");
        Command::new(std::env::current_exe()?)
            .args([CHRONYC_ROLE, "-n", "-h", "127.0.0.1", "-p", &port, command])
            .status()?;
        println!();
    }
    Ok(())
}
