//! Servers and clients of Network Time Security on loopback: certificates, directives, and
//! what the daemons report.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use control_wire::{
    Address, AuthData, AuthMode, NtpData, Reply, ReplyHeader, Request, RequestHeader, ServerStats,
    SingleAddress,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;

use super::ports::{free_port, free_tcp_port};
use super::{CHRONYD, Running, is_root, uninterrupted, user_name, wait_until};

/// A folder with a certificate for `localhost` and 127.0.0.1, and ports.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) ntp_port: u16,
    pub(crate) ke_port: u16,
}

/// A certificate for these names and for 127.0.0.1.
pub(crate) fn certificate_for(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let address = SanType::IpAddress(Ipv4Addr::LOCALHOST.into());
    params.subject_alt_names.push(address);
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    params
}

/// A certificate for `localhost` and 127.0.0.1.
pub(crate) fn certificate() -> CertificateParams {
    certificate_for(&["localhost"])
}

impl Place {
    /// With a self-signed certificate in `cert.pem`, its key in `key.pem`.
    pub(crate) fn new(params: &CertificateParams) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            ntp_port: free_port(),
            ke_port: free_tcp_port(),
        };
        let key = place.write_certificate(params);
        fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
        place
    }

    /// With a certificate in `cert.pem` that was issued by the CA in `ca.pem`.
    pub(crate) fn with_ca(params: &CertificateParams) -> Self {
        let place = Self::new(params);
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test CA");
        let ca_key = KeyPair::generate().unwrap();
        let root = ca.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&ca, &ca_key);
        let leaf = params.signed_by(&key, &issuer).unwrap();
        fs::write(place.path("ca.pem"), root.pem()).unwrap();
        fs::write(place.path("cert.pem"), leaf.pem()).unwrap();
        fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
        place
    }

    /// Writes another `cert.pem`; `key.pem` stays.
    pub(crate) fn write_certificate(&self, params: &CertificateParams) -> KeyPair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        key
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the server's NTS-KE service listens.
    pub(crate) fn ke_server(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ke_port))
    }

    /// Starts ours or, given its program, the reference.
    pub(crate) fn start(&self, program: Option<&Path>, name: &str, lines: &[String]) -> Daemon {
        let mut command = Command::new(program.unwrap_or(Path::new(CHRONYD)));
        match program {
            Some(_) => command.args(["-u", "root", "-x", "-d", "-4"]),
            None => command.args(["-U", "-x", "-d", "-4"]),
        };
        self.start_as(command, name, lines)
    }

    /// Starts a daemon by a command that has its options already.
    pub(crate) fn start_as(&self, mut command: Command, name: &str, lines: &[String]) -> Daemon {
        if !is_root() {
            // The folder of the command socket has to belong to the daemon's user.
            command.arg("-u").arg(user_name());
        }
        let directory = self.path(&format!("{name}.run"));
        let socket = directory.join("s");
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .unwrap();
        command
            .arg("cmdport 0")
            .arg(format!("pidfile {}", directory.join("pid").display()))
            .arg(format!("bindcmdaddress {}", socket.display()));
        if !lines.iter().any(|line| line.starts_with("ntsdumpdir")) {
            command.arg(format!("ntsdumpdir {}", self.path(name).display()));
        }
        command.args(lines);
        Daemon {
            running: Running::start(&mut command, self.folder.path(), name),
            socket,
        }
    }

    /// The directives of a server.
    pub(crate) fn server_lines(&self, more: &[&str]) -> Vec<String> {
        let mut lines = vec![
            format!("port {}", self.ntp_port),
            format!("ntsport {}", self.ke_port),
            "bindaddress 127.0.0.1".to_owned(),
            "allow 127.0.0.1".to_owned(),
            "local".to_owned(),
            format!("ntsservercert {}", self.path("cert.pem").display()),
            format!("ntsserverkey {}", self.path("key.pem").display()),
        ];
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        lines
    }

    pub(crate) fn server(&self, program: Option<&Path>, more: &[&str]) -> Daemon {
        let daemon = self.start(program, "server", &self.server_lines(more));
        wait_until("NTS-KE server", || {
            TcpStream::connect(self.ke_server()).ok()
        });
        daemon
    }

    /// The directives of a client with this source, without trusted certificates.
    pub(crate) fn untrusting(&self, name: &str, options: &str) -> Vec<String> {
        vec![
            "port 0".to_owned(),
            "nosystemcert".to_owned(),
            format!(
                "server {name} iburst minpoll 0 maxpoll 0 nts ntsport {} port {} {options}",
                self.ke_port, self.ntp_port
            ),
        ]
    }

    /// The directives of a client with this source and the certificate trusted.
    pub(crate) fn source(&self, name: &str) -> Vec<String> {
        self.source_with(name, "")
    }

    /// The same, with more options of the source.
    pub(crate) fn source_with(&self, name: &str, options: &str) -> Vec<String> {
        let mut lines = self.untrusting(name, options);
        lines.push(self.trust());
        lines
    }

    /// The directive that trusts the certificate.
    pub(crate) fn trust(&self) -> String {
        let ca = self.path("ca.pem");
        let path = if ca.exists() {
            ca
        } else {
            self.path("cert.pem")
        };
        format!("ntstrustedcerts {}", path.display())
    }
}

pub(crate) struct Daemon {
    pub(crate) running: Running,
    pub(crate) socket: PathBuf,
}

impl Daemon {
    /// What the daemon replies to a command.
    pub(crate) fn ask(&self, request: &Request) -> Reply {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own");
        let own = UnixDatagram::bind(&path).unwrap();
        // The daemon may run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        own.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let header = RequestHeader {
            version: 6,
            command: 0,
            attempt: 0,
            sequence: 7,
        };
        wait_until("command socket", || own.connect(&self.socket).ok());
        own.send(&request.emit(&header)).unwrap();
        let mut buffer = [0; 2048];
        let length = uninterrupted(|| own.recv(&mut buffer)).unwrap();
        let header = ReplyHeader::parse(&buffer[..length]).unwrap();
        Reply::parse(&header, &buffer[..length]).unwrap()
    }

    /// The report `authdata` about 127.0.0.1.
    pub(crate) fn authentication(&self) -> AuthData {
        self.authentication_of(Ipv4Addr::LOCALHOST)
    }

    pub(crate) fn authentication_of(&self, address: Ipv4Addr) -> AuthData {
        let address = Address::Ipv4(address);
        match self.ask(&Request::AuthData(SingleAddress { address })) {
            Reply::AuthData(data) => data,
            other => panic!("{other:?}"),
        }
    }

    /// Whether there is a source with this address.
    pub(crate) fn has_source(&self, address: Ipv4Addr) -> bool {
        let address = Address::Ipv4(address);
        let reply = self.ask(&Request::AuthData(SingleAddress { address }));
        matches!(reply, Reply::AuthData(_))
    }

    /// The report `ntpdata` about a source.
    pub(crate) fn measurement_of(&self, address: Ipv4Addr) -> NtpData {
        let address = Address::Ipv4(address);
        match self.ask(&Request::NtpData(SingleAddress { address })) {
            Reply::NtpData(data) => data,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn statistics(&self) -> ServerStats {
        match self.ask(&Request::ServerStats) {
            Reply::ServerStats(data) => data,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until `authdata` about an address is as wanted.
    pub(crate) fn wait_for_authentication(
        &self,
        address: Ipv4Addr,
        what: &str,
        wanted: impl Fn(&AuthData) -> bool,
    ) -> AuthData {
        wait_until(what, || {
            self.has_source(address).then_some(())?;
            Some(self.authentication_of(address)).filter(|data| wanted(data))
        })
    }
}

/// In the steady state: eight cookies, nothing outstanding.
pub(crate) fn assert_established(data: &AuthData, key_type: u16, cookie_length: u16) {
    assert_eq!(data.mode, AuthMode::Nts);
    assert_eq!((data.key_id, data.key_type), (1, key_type), "{data:?}");
    let bits = if key_type == 15 { 256 } else { 128 };
    assert_eq!(data.key_length_bits, bits);
    assert_eq!((data.ke_attempts, data.nak), (0, 0));
    assert_eq!(data.cookie_length, cookie_length);
    // One is out while a response is on its way.
    assert!((7..=8).contains(&data.cookies), "{data:?}");
}
