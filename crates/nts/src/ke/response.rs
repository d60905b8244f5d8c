//! What a client makes of a server's response (NTS chapter, section 3.7).

use std::net::IpAddr;

use crate::aead::{AeadList, Algorithm};
use crate::authenticator::MAX_COOKIE;
use crate::ke::record::{PROTOCOL_NTPV4, Record, Records, kind};

/// Longest record body looked at.
const MAX_BODY: usize = 256;
/// Cookies used of a response.
pub const MAX_COOKIES: usize = 8;

/// The negotiated NTP server (record 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NegotiatedServer {
    /// An address in text form.
    Address(IpAddr),
    /// A name to resolve, made absolute with a dot at the end.
    Name(String),
}

/// Of the addresses that a negotiated name resolves to, the one to use: the first of the
/// family of the NTS-KE server's address, otherwise the first (NTS chapter, section 5.5).
pub fn preferred_address(resolved: &[IpAddr], ke_server: IpAddr) -> Option<IpAddr> {
    let same_family = |address: &&IpAddr| address.is_ipv4() == ke_server.is_ipv4();
    let preferred = resolved.iter().find(same_family);
    preferred.or_else(|| resolved.first()).copied()
}

impl NegotiatedServer {
    /// From the text of the record.
    fn from_text(text: &str) -> Self {
        match text.parse() {
            Ok(address) => Self::Address(address),
            Err(_) if text.ends_with('.') => Self::Name(text.to_owned()),
            Err(_) => Self::Name(format!("{text}.")),
        }
    }
}

/// A response that is good enough to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The negotiated algorithm.
    pub algorithm: Algorithm,
    /// Whether the server returned record 1024.
    pub compliant: bool,
    /// 1 … 8 cookies.
    pub cookies: Vec<Vec<u8>>,
    /// Record 6, the last one.
    pub server: Option<NegotiatedServer>,
    /// Record 7, the last one; not 0.
    pub port: Option<u16>,
}

/// Why a response cannot be used. The log line is the same for all; these texts are for
/// debug messages and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// A critical record that is unknown or longer than 256 octets, with its type.
    CriticalRecord(u16),
    /// A record of this type has a value that is not allowed.
    Record(u16),
    /// An error record with this code.
    Error(Option<u16>),
    /// A warning record with this code.
    Warning(Option<u16>),
    /// The algorithm is not in the client's list.
    Aead(Option<u16>),
    /// No record of this type.
    Missing(u16),
}

impl std::fmt::Display for ResponseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let coded = |f: &mut std::fmt::Formatter<'_>, what, code: &Option<u16>| match code {
            Some(code) => write!(f, "the server reports {what} {code}"),
            None => write!(f, "the server reports a malformed {what}"),
        };
        match self {
            Self::CriticalRecord(kind) => write!(f, "unknown critical record {kind}"),
            Self::Record(kind) => write!(f, "malformed record {kind}"),
            Self::Error(code) => coded(f, "error", code),
            Self::Warning(code) => coded(f, "warning", code),
            Self::Aead(Some(aead)) => write!(f, "AEAD {aead} is not in ntsaeads"),
            Self::Aead(None) => f.write_str("no AEAD in common with the server (see ntsaeads)"),
            Self::Missing(kind::NEXT_PROTOCOL) => f.write_str("no next protocol record"),
            Self::Missing(kind::AEAD) => f.write_str("no AEAD record"),
            Self::Missing(_) => f.write_str("no usable cookie"),
        }
    }
}

#[derive(Default)]
struct Reading {
    protocol: bool,
    algorithm: Option<Algorithm>,
    compliant: bool,
    cookies: Vec<Vec<u8>>,
    server: Option<NegotiatedServer>,
    port: Option<u16>,
}

impl Reading {
    fn take(&mut self, record: &Record<'_>, aeads: &AeadList) -> Result<(), ResponseError> {
        let wrong = || ResponseError::Record(record.kind);
        if record.body.len() > MAX_BODY {
            return match record.critical {
                true => Err(ResponseError::CriticalRecord(record.kind)),
                false => Ok(()),
            };
        }
        match record.kind {
            kind::END_OF_MESSAGE => {}
            kind::NEXT_PROTOCOL => {
                if !record.critical || record.number() != Some(PROTOCOL_NTPV4) {
                    return Err(wrong());
                }
                self.protocol = true;
            }
            kind::AEAD => self.take_aead(record, aeads)?,
            kind::COMPLIANT_GCM_SIV if record.body.is_empty() => self.compliant = true,
            kind::COMPLIANT_GCM_SIV => return Err(wrong()),
            kind::ERROR => return Err(ResponseError::Error(record.number())),
            kind::WARNING => return Err(ResponseError::Warning(record.number())),
            kind::COOKIE => self.take_cookie(record.body),
            kind::NTP_SERVER => {
                let printable = record.body.iter().all(u8::is_ascii_graphic);
                let text = std::str::from_utf8(record.body).map_err(|_| wrong())?;
                if text.is_empty() || !printable {
                    return Err(wrong());
                }
                self.server = Some(NegotiatedServer::from_text(text));
            }
            kind::NTP_PORT => {
                let port = record.number().ok_or_else(wrong)?;
                self.port = (port != 0).then_some(port);
            }
            unknown if record.critical => return Err(ResponseError::CriticalRecord(unknown)),
            _ => {}
        }
        Ok(())
    }

    fn take_aead(&mut self, record: &Record<'_>, aeads: &AeadList) -> Result<(), ResponseError> {
        let number = record.number();
        let known = number
            .and_then(Algorithm::from_number)
            .filter(|algorithm| aeads.contains(*algorithm));
        match (known, self.algorithm, number) {
            // Once one is accepted, another number is ignored, but not a malformed record.
            (_, Some(_), Some(_)) => Ok(()),
            (Some(algorithm), None, _) => {
                self.algorithm = Some(algorithm);
                Ok(())
            }
            (None, ..) => Err(ResponseError::Aead(number)),
            (Some(_), Some(_), None) => Err(ResponseError::Record(kind::AEAD)),
        }
    }

    fn take_cookie(&mut self, body: &[u8]) {
        let usable = !body.is_empty() && body.len() <= MAX_COOKIE && body.len().is_multiple_of(4);
        if usable && self.cookies.len() < MAX_COOKIES {
            self.cookies.push(body.to_vec());
        }
    }
}

/// Reads a complete response. `aeads` is the client's `ntsaeads`.
///
/// # Errors
///
/// The first thing wrong.
pub fn read(records: Records<'_>, aeads: &AeadList) -> Result<Response, ResponseError> {
    let mut reading = Reading::default();
    for record in records {
        reading.take(&record, aeads)?;
    }
    if !reading.protocol {
        return Err(ResponseError::Missing(kind::NEXT_PROTOCOL));
    }
    let algorithm = reading
        .algorithm
        .ok_or(ResponseError::Missing(kind::AEAD))?;
    if reading.cookies.is_empty() {
        return Err(ResponseError::Missing(kind::COOKIE));
    }
    Ok(Response {
        algorithm,
        compliant: reading.compliant,
        cookies: reading.cookies,
        server: reading.server,
        port: reading.port,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ke::record::push;

    fn message(records: &[(bool, u16, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        for (critical, kind, body) in records {
            push(&mut message, *critical, *kind, body);
        }
        message
    }

    #[test]
    fn servers_and_ports() {
        let with = |kind: u16, body: &[u8]| {
            let records: [(bool, u16, &[u8]); 4] = [
                (true, 1, &[0, 0]),
                (false, 4, &[0, 30]),
                (false, 5, &[1; 64]),
                (false, kind, body),
            ];
            read(Records::new(&message(&records)), &AeadList::default())
        };
        let server = |text: &str| with(6, text.as_bytes()).map(|response| response.server);
        assert_eq!(
            server("2001:db8::1"),
            Ok(Some(NegotiatedServer::Address(
                "2001:db8::1".parse().unwrap()
            )))
        );
        let name = |text: &str| Ok(Some(NegotiatedServer::Name(text.to_owned())));
        assert_eq!(server("ntp.test"), name("ntp.test."));
        assert_eq!(server("ntp.test."), name("ntp.test."));
        assert_eq!(server("ntp\u{e9}.test"), Err(ResponseError::Record(6)));
        assert_eq!(with(7, &[0, 0]).unwrap().port, None);
        assert_eq!(with(7, &[0x2e, 0xdf]).unwrap().port, Some(11999));
        assert_eq!(with(7, &[1]), Err(ResponseError::Record(7)));
        assert!(with(1024, &[]).unwrap().compliant);
    }

    #[test]
    fn families_of_addresses() {
        let addresses = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let both = addresses(&["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
        assert_eq!(preferred_address(&both, both[2]), Some(both[1]));
        assert_eq!(preferred_address(&both[..1], both[2]), Some(both[0]));
        assert_eq!(preferred_address(&[], both[2]), None);
    }

    proptest! {
        #[test]
        fn any_octets(data in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(response) = read(Records::new(&data), &AeadList::default()) {
                prop_assert!((1..=MAX_COOKIES).contains(&response.cookies.len()));
            }
        }
    }
}
