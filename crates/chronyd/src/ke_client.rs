//! Key establishments of the sources (NTS chapter, section 5.3): TCP connections of the main
//! loop, each carrying the octets of a [`ClientSession`]. Nothing here waits.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};

use chrony_conf::Config;
use chrony_conf::config::AddressPair;
use discipline::time::MonotonicTime;
use engine::action::KeyRequest;
use engine::ids::SourceId;
use engine::nts_client::EstablishmentId;
use nts::aead::AeadList;
use nts::ke::client::{ClientRequest, ClientSession, KeyMaterial};
use nts::ke::failure::Failure;
use nts::verify::trust::{TrustSettings, TrustedCertificates};
use os_linux::error_text;
use os_linux::event::{Interest, PollSet, Readiness};
use os_linux::socket::{SocketSupport, TcpOptions};

use crate::ke_io::{self, running};

/// Read at a time.
const READ_LENGTH: usize = 4096;

/// Reads of one connection in one turn of the loop, so that a fast server delays nothing.
const READS_PER_TURN: usize = 8;

/// The end of a key establishment.
#[derive(Debug)]
pub struct Ended {
    /// Whose.
    pub source: SourceId,
    /// Which.
    pub establishment: EstablishmentId,
    /// Keys, or why there are none.
    pub result: Result<KeyMaterial, Failure>,
}

#[derive(Debug)]
struct Connection {
    source: SourceId,
    establishment: EstablishmentId,
    stream: TcpStream,
    session: ClientSession,
    connecting: bool,
    unsent: Vec<u8>,
    /// Place in the poll set of this turn.
    slot: Option<usize>,
}

/// All key establishments under way.
#[derive(Debug)]
pub struct KeyEstablishments {
    aeads: AeadList,
    trust: TrustSettings,
    /// Sets in use now: connections at the same time share them, later ones read the files
    /// again.
    loaded: HashMap<u32, Weak<TrustedCertificates>>,
    addresses: AddressPair,
    device: Option<String>,
    connections: Vec<Connection>,
}

/// `ntsaeads` without the numbers nobody can mean.
pub fn aeads(config: &Config) -> AeadList {
    let numbers = config.nts.aeads.iter();
    let numbers: Vec<u32> = numbers.filter_map(|id| u32::try_from(*id).ok()).collect();
    AeadList::from_numbers(&numbers)
}

impl KeyEstablishments {
    /// None yet.
    pub fn new(config: &Config) -> Self {
        let paths = config.nts.trusted_certificates.iter();
        Self {
            aeads: aeads(config),
            trust: TrustSettings {
                paths: paths.map(|it| (it.set, it.path.clone())).collect(),
                no_system: config.nts.no_system_certificates,
            },
            loaded: HashMap::new(),
            addresses: config.client.bind_addresses,
            device: config.client.bind_device.clone(),
            connections: Vec::new(),
        }
    }

    /// Whether any is under way.
    pub fn is_busy(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Begins one.
    ///
    /// # Errors
    ///
    /// When it cannot be begun.
    pub fn start(
        &mut self,
        support: &SocketSupport,
        request: &KeyRequest,
        at: MonotonicTime,
    ) -> Result<(), Failure> {
        let address = request.address;
        let session = ClientSession::new(
            ClientRequest {
                name: request.name.clone(),
                address,
                aeads: self.aeads.clone(),
                trusted: self.trusted(request.cert_set)?,
                time: request.time,
            },
            running(at),
        )?;
        let bind = match address.ip() {
            IpAddr::V4(_) => self.addresses.ipv4.map(IpAddr::V4),
            IpAddr::V6(_) => self.addresses.ipv6.map(IpAddr::V6),
        };
        let options = TcpOptions {
            bind: bind.map(|address| SocketAddr::new(address, 0)),
            device: self.device.as_deref(),
        };
        let stream = support
            .connect_tcp(address, &options)
            .map_err(|_| Failure::ConnectAtOnce)?;
        // Without it each side waits for the other's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        self.connections.push(Connection {
            source: request.source,
            establishment: request.establishment,
            stream,
            session,
            connecting: true,
            unsent: Vec::new(),
            slot: None,
        });
        Ok(())
    }

    /// Ends those of a source without a result.
    pub fn cancel(&mut self, source: SourceId) {
        self.connections
            .retain(|connection| connection.source != source);
    }

    fn trusted(&mut self, set: u32) -> Result<Arc<TrustedCertificates>, Failure> {
        if let Some(shared) = self.loaded.get(&set).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        let trusted = Arc::new(self.trust.load(set)?);
        self.loaded.insert(set, Arc::downgrade(&trusted));
        Ok(trusted)
    }

    /// When [`KeyEstablishments::serve`] is to be called without a ready connection.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        ke_io::earliest(self.connections.iter().map(|it| it.session.deadline()))
    }

    /// Adds the connections to what is waited for.
    pub fn register(&mut self, set: &mut PollSet) {
        for connection in &mut self.connections {
            let interest = if connection.connecting || !connection.unsent.is_empty() {
                Interest::READ | Interest::WRITE
            } else {
                Interest::READ
            };
            connection.slot = Some(set.add(connection.stream.as_fd(), interest));
        }
    }

    /// Carries octets after a wait, and says what ended.
    pub fn serve(&mut self, set: &PollSet, at: MonotonicTime) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.connections.retain_mut(|connection| {
            let slot = connection.slot.take();
            if let Some(slot) = slot {
                connection.serve(set.readiness(slot));
            }
            let over = connection.session.handle_timeout(running(at));
            if let Some(result) = connection.session.take_result() {
                ended.push(Ended {
                    source: connection.source,
                    establishment: connection.establishment,
                    result,
                });
                // The goodbye, or the alert.
                connection.send();
            }
            let sent = connection.unsent.is_empty();
            !(over || sent && connection.session.is_finished())
        });
        ended
    }
}

impl Connection {
    fn serve(&mut self, readiness: Readiness) {
        if !readiness.any() {
            return;
        }
        if self.connecting && !self.finish_connecting(readiness) {
            return;
        }
        self.receive();
        self.send();
    }

    /// Whether the connection is made.
    fn finish_connecting(&mut self, readiness: Readiness) -> bool {
        match self.stream.take_error() {
            Ok(None) if readiness.writable() => {
                self.connecting = false;
                true
            }
            Ok(None) => false,
            Ok(Some(error)) | Err(error) => {
                self.connecting = false;
                self.session.connect_failed(Some(error_text(&error)));
                false
            }
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; READ_LENGTH];
        for _ in 0..READS_PER_TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.session.receive_end(),
                Ok(length) => self
                    .session
                    .receive(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.session.receive_failed(&error_text(&error)),
            }
            if self.session.is_finished() {
                return;
            }
        }
    }

    fn send(&mut self) {
        self.session.transmit(&mut self.unsent);
        if let Err(error) = ke_io::send(&mut self.stream, &mut self.unsent) {
            self.session.send_failed(&error_text(&error));
        }
    }
}
