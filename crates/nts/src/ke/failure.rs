//! How a key establishment of a client fails, and what is logged (NTS chapter, section 5.3).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::ke::response::ResponseError;
use crate::verify::fault::CertificateFault;
use crate::verify::trust::TrustError;

/// Longest label in a message.
const MAX_LABEL: usize = 511;

/// How far a key establishment got; the retry interval depends on it (section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It could not be started: again after 2 s.
    NotStarted,
    /// Connection not established or lost before the end of the handshake: again after 16 s
    /// doubled with each attempt.
    Connection,
    /// Later, also after success: again after 1024 s doubled with each attempt.
    Later,
}

/// The server that a message is about: `<address>:<port> (<name>)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Configured name of the source (or its address as text).
    pub name: String,
    /// Address and port of the NTS-KE server.
    pub address: SocketAddr,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut label = format!("{} ({})", self.address, self.name);
        let mut end = label.len().min(MAX_LABEL);
        while !label.is_char_boundary(end) {
            end -= 1;
        }
        label.truncate(end);
        f.write_str(&label)
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug)]
pub enum HandshakeFault {
    /// The certificate was rejected.
    Certificate(Box<CertificateFault>),
    /// The server sent a fatal alert.
    Alert,
    /// What arrived is not TLS.
    NotTls,
    /// Anything else, in the words of the TLS library.
    Other(String),
}

impl HandshakeFault {
    /// From an error of the TLS library.
    pub(crate) fn new(error: &rustls::Error) -> Self {
        use rustls::{CertificateError, Error, OtherError};
        match error {
            Error::AlertReceived(_) => Self::Alert,
            Error::InvalidMessage(_) => Self::NotTls,
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                match inner.downcast_ref::<CertificateFault>() {
                    Some(fault) => Self::Certificate(Box::new(fault.clone())),
                    None => Self::Other(error.to_string()),
                }
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

impl std::fmt::Display for HandshakeFault {
    /// The texts of the reference's TLS library where they are known to be looked for.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Certificate(fault) => write!(f, "{fault}"),
            Self::Alert => f.write_str("A TLS fatal alert has been received."),
            Self::NotTls => f.write_str("An unexpected TLS packet was received."),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The end of a key establishment without keys.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The trusted certificates cannot be loaded.
    Credentials {
        /// The path that cannot be read.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// No TLS session can be made (a name that is no name).
    Session(String),
    /// `connect` failed at once.
    ConnectAtOnce,
    /// `connect` failed later, with the text of the error.
    Connect(String),
    /// No end within the limit; the phase in which it was.
    TimedOut(Phase),
    /// The peer closed the connection during the handshake.
    ClosedInHandshake,
    /// The handshake failed.
    Handshake(HandshakeFault),
    /// The peer did not select `ntske/1`.
    NoAlpn,
    /// Sending failed, with the text of the error.
    Send(String),
    /// Receiving failed, with the text of the error.
    Receive(String),
    /// The message is not framed as it must be, or ended early.
    Framing,
    /// The message is longer than 16384 octets.
    TooLong,
    /// The response cannot be used.
    Response(ResponseError),
    /// The negotiated name does not resolve.
    Resolve(String),
    /// Another source has the negotiated address.
    AddressInUse {
        /// Address of the source until now.
        old: IpAddr,
        /// Negotiated address.
        new: IpAddr,
    },
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        Self::Credentials {
            error: error.reason(),
            path: error.path,
        }
    }
}

impl Failure {
    /// How far it got.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Credentials { .. } | Self::Session(_) | Self::ConnectAtOnce => Phase::NotStarted,
            Self::Connect(_) | Self::ClosedInHandshake => Phase::Connection,
            Self::TimedOut(phase) => *phase,
            _ => Phase::Later,
        }
    }

    /// The log line (severity error); `None` for the one case without message.
    pub fn log_line(&self, label: &Label) -> Option<String> {
        Some(match self {
            Self::Credentials { .. } => {
                "Could not set credentials : Error while reading file.".to_owned()
            }
            Self::Session(text) => format!("Could not create TLS session : {text}"),
            Self::ConnectAtOnce => format!("Could not connect to {label}"),
            Self::Connect(text) => format!("Could not connect to {label} : {text}"),
            Self::TimedOut(_) => format!("NTS-KE session with {label} timed out"),
            Self::ClosedInHandshake => {
                format!("TLS handshake with {label} failed : Error in the pull function.")
            }
            Self::Handshake(fault) => format!("TLS handshake with {label} failed : {fault}"),
            Self::NoAlpn => format!("NTS-KE not supported by {label}"),
            Self::Send(text) => format!("Could not send NTS-KE message to {label} : {text}"),
            Self::Receive(text) => {
                format!("Could not receive NTS-KE message from {label} : {text}")
            }
            Self::Framing => format!("Received invalid NTS-KE message from {label}"),
            Self::TooLong => return None,
            Self::Response(_) => {
                format!("Received invalid NTS-KE response from {}", label.name)
            }
            Self::Resolve(server) => {
                format!("Could not resolve NTP server {server} from {}", label.name)
            }
            Self::AddressInUse { old, new } => {
                format!("Could not change {old} to negotiated address {new}")
            }
        })
    }

    /// A sentence that says what is wrong and what to do, for a second log line, where the
    /// first one leaves that open.
    pub fn hint(&self, label: &Label) -> Option<String> {
        match self {
            Self::Credentials { path, error } => {
                Some(format!("{}: {error} (ntstrustedcerts)", path.display()))
            }
            Self::Handshake(HandshakeFault::Certificate(fault)) => Some(fault.hint()),
            Self::Response(error) => Some(format!("NTS-KE response of {label}: {error}")),
            Self::TooLong => Some(format!("NTS-KE message from {label} is too long")),
            Self::NoAlpn => Some(format!(
                "the TLS server at {label} does not offer ntske/1: check the name and ntsport"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let label = |address: &str, name: &str| {
            Label {
                name: name.to_owned(),
                address: address.parse().unwrap(),
            }
            .to_string()
        };
        assert_eq!(
            label("127.0.1.41:4460", "n41.nts.test"),
            "127.0.1.41:4460 (n41.nts.test)"
        );
        assert_eq!(
            label("[2001:db8::1]:4460", "a.test"),
            "[2001:db8::1]:4460 (a.test)"
        );
        assert_eq!(label("192.0.2.1:1", &"a".repeat(600)).len(), 511);
        assert_eq!(label("192.0.2.1:1", &"\u{e9}".repeat(600)).len(), 511);
    }

    #[test]
    fn lines_without_a_session() {
        let label = Label {
            name: "n26.nts.test".to_owned(),
            address: "127.0.1.26:4460".parse().unwrap(),
        };
        let line = |failure: Failure| failure.log_line(&label).unwrap();
        assert_eq!(
            line(Failure::AddressInUse {
                old: "127.0.1.26".parse().unwrap(),
                new: "127.0.2.1".parse().unwrap(),
            }),
            "Could not change 127.0.1.26 to negotiated address 127.0.2.1"
        );
        assert_eq!(
            line(Failure::Resolve("nosuch.nts.test.".to_owned())),
            "Could not resolve NTP server nosuch.nts.test. from n26.nts.test"
        );
        assert_eq!(
            line(Failure::Connect("Connection refused".to_owned())),
            "Could not connect to 127.0.1.26:4460 (n26.nts.test) : Connection refused"
        );
        assert_eq!(
            line(Failure::ConnectAtOnce),
            "Could not connect to 127.0.1.26:4460 (n26.nts.test)"
        );
        assert_eq!(Failure::ConnectAtOnce.phase(), Phase::NotStarted);
    }
}
