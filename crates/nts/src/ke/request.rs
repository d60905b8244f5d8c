//! The request of a client and the server's answer to it (NTS chapter, sections 3.4 to 3.6).

use crate::aead::{AeadList, Algorithm};
use crate::ke::record::{PROTOCOL_NTPV4, Record, Records, kind, push};

/// Numbers of a list that a server looks at (256 octets of body).
const MAX_NUMBERS: usize = 128;
/// The port that needs no record.
const NTP_PORT: u16 = 123;

/// The request of a client: protocol NTPv4, the algorithms it offers, and record 1024 if AEAD
/// 30 is one of them. Without any algorithm record 4 is empty (servers answer error 1).
pub fn client_request(aeads: &AeadList) -> Vec<u8> {
    let offered: Vec<u8> = aeads
        .offered()
        .iter()
        .flat_map(|algorithm| algorithm.number().to_be_bytes())
        .collect();
    let mut message = Vec::new();
    push(
        &mut message,
        true,
        kind::NEXT_PROTOCOL,
        &PROTOCOL_NTPV4.to_be_bytes(),
    );
    push(&mut message, true, kind::AEAD, &offered);
    if aeads.offered().contains(&Algorithm::Aes128GcmSiv) {
        push(&mut message, false, kind::COMPLIANT_GCM_SIV, &[]);
    }
    push(&mut message, true, kind::END_OF_MESSAGE, &[]);
    message
}

/// Codes of the error record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    /// A critical record of a type the server does not know.
    UnrecognizedCriticalRecord = 0,
    /// The request is malformed.
    BadRequest = 1,
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An error record only.
    Error(ErrorCode),
    /// The client did not offer NTPv4.
    NoProtocol,
    /// No algorithm in common.
    NoAead,
    /// Success.
    Keys {
        /// The negotiated algorithm.
        algorithm: Algorithm,
        /// The client sent record 1024 and AEAD 30 was chosen: the record is returned and
        /// the exporter context has 30.
        compliant: bool,
    },
}

impl Answer {
    /// The algorithm number in the exporter context (NTS chapter, section 2.1): 15 for AEAD
    /// 30 unless record 1024 was negotiated.
    pub const fn exporter_aead(algorithm: Algorithm, compliant: bool) -> Algorithm {
        match (algorithm, compliant) {
            (Algorithm::Aes128GcmSiv, true) => Algorithm::Aes128GcmSiv,
            _ => Algorithm::AesSivCmac256,
        }
    }
}

/// What the records of a request say so far.
#[derive(Default)]
struct Offer<'a> {
    protocols: Option<Record<'a>>,
    protocol_records: usize,
    aeads: Option<Record<'a>>,
    aead_records: usize,
    compliant: bool,
}

fn is_list(record: &Record<'_>) -> bool {
    record.body.len() >= 2 && record.body.len().is_multiple_of(2)
}

impl<'a> Offer<'a> {
    fn take(&mut self, record: Record<'a>) -> Result<(), ErrorCode> {
        let ok = match record.kind {
            kind::END_OF_MESSAGE => true,
            kind::NEXT_PROTOCOL => {
                self.protocols = Some(record);
                self.protocol_records += 1;
                record.critical && is_list(&record)
            }
            kind::AEAD => {
                self.aeads = Some(record);
                self.aead_records += 1;
                is_list(&record)
            }
            kind::COMPLIANT_GCM_SIV => {
                self.compliant = true;
                record.body.is_empty()
            }
            kind::ERROR | kind::WARNING | kind::COOKIE => false,
            _ if record.critical => return Err(ErrorCode::UnrecognizedCriticalRecord),
            _ => true,
        };
        if ok {
            Ok(())
        } else {
            Err(ErrorCode::BadRequest)
        }
    }

    /// The algorithm: the first of the client's that the server has too.
    fn choose(&self, aeads: &AeadList) -> Answer {
        let algorithm = self.aeads.iter().find_map(|record| {
            record
                .numbers()
                .take(MAX_NUMBERS)
                .filter_map(Algorithm::from_number)
                .find(|algorithm| aeads.contains(*algorithm))
        });
        match algorithm {
            Some(algorithm) => Answer::Keys {
                algorithm,
                compliant: self.compliant && algorithm == Algorithm::Aes128GcmSiv,
            },
            None => Answer::NoAead,
        }
    }
}

/// Decides how to answer a complete request. `aeads` is the server's `ntsaeads`.
pub fn answer(records: Records<'_>, aeads: &AeadList) -> Answer {
    let mut offer = Offer::default();
    for record in records {
        if let Err(code) = offer.take(record) {
            return Answer::Error(code);
        }
    }
    let (Some(protocols), 1) = (offer.protocols, offer.protocol_records) else {
        return Answer::Error(ErrorCode::BadRequest);
    };
    let ntpv4 = protocols
        .numbers()
        .take(MAX_NUMBERS)
        .any(|protocol| protocol == PROTOCOL_NTPV4);
    if !ntpv4 {
        return Answer::NoProtocol;
    }
    if offer.aead_records != 1 {
        return Answer::Error(ErrorCode::BadRequest);
    }
    offer.choose(aeads)
}

/// What a server adds to a successful response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NtpService {
    /// The directive `port`. Record 7 is sent if it is not 123. A server without NTP
    /// service (port 0) sends none either: the reference states port 0, which its clients
    /// take as "none" and other clients cannot use.
    pub port: u16,
    /// The directive `ntsntpserver`: text of record 6.
    pub server: Option<String>,
}

impl Default for NtpService {
    fn default() -> Self {
        Self {
            port: NTP_PORT,
            server: None,
        }
    }
}

/// Writes the response for an answer; `cookies` are used for [`Answer::Keys`] only.
pub fn response(answer: Answer, service: &NtpService, cookies: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    let ntpv4 = PROTOCOL_NTPV4.to_be_bytes();
    match answer {
        Answer::Error(code) => {
            push(
                &mut message,
                true,
                kind::ERROR,
                &(code as u16).to_be_bytes(),
            );
        }
        Answer::NoProtocol => push(&mut message, true, kind::NEXT_PROTOCOL, &[]),
        Answer::NoAead => {
            push(&mut message, true, kind::NEXT_PROTOCOL, &ntpv4);
            push(&mut message, true, kind::AEAD, &[]);
        }
        Answer::Keys {
            algorithm,
            compliant,
        } => {
            push(&mut message, true, kind::NEXT_PROTOCOL, &ntpv4);
            push(
                &mut message,
                true,
                kind::AEAD,
                &algorithm.number().to_be_bytes(),
            );
            if compliant {
                push(&mut message, false, kind::COMPLIANT_GCM_SIV, &[]);
            }
            if service.port != NTP_PORT && service.port != 0 {
                push(
                    &mut message,
                    true,
                    kind::NTP_PORT,
                    &service.port.to_be_bytes(),
                );
            }
            if let Some(server) = &service.server {
                push(&mut message, true, kind::NTP_SERVER, server.as_bytes());
            }
            for cookie in cookies {
                push(&mut message, false, kind::COOKIE, cookie);
            }
        }
    }
    push(&mut message, true, kind::END_OF_MESSAGE, &[]);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn requests() {
        let request = |numbers: &[u32]| client_request(&AeadList::from_numbers(numbers));
        assert_eq!(
            request(&[30, 15]),
            hex("80010002000080040004001e000f0400000080000000")
        );
        assert_eq!(request(&[15]), hex("80010002000080040002000f80000000"));
        assert_eq!(request(&[17]), hex("8001000200008004000080000000"));
    }

    #[test]
    fn port_zero_is_not_announced() {
        let keys = Answer::Keys {
            algorithm: Algorithm::AesSivCmac256,
            compliant: false,
        };
        let service = |port| NtpService { port, server: None };
        let without = response(keys, &service(123), &[]);
        assert_eq!(response(keys, &service(0), &[]), without);
        assert_eq!(
            response(keys, &service(11123), &[]),
            hex("80010002000080040002000f800700022b7380000000")
        );
    }

    proptest! {
        /// Any records give an answer; one with keys only if the client offered NTPv4 and
        /// the algorithm.
        #[test]
        fn any_records(records in prop::collection::vec(
            (any::<bool>(), 0..9u16, prop::collection::vec(prop::sample::select(vec![0u8, 15, 30]), 0..8)),
            0..6)) {
            let mut message = Vec::new();
            for (critical, kind, body) in &records {
                push(&mut message, *critical, *kind, body);
            }
            let answer = answer(Records::new(&message), &AeadList::default());
            if let Answer::Keys { algorithm, compliant } = answer {
                prop_assert!(!compliant);
                let offered = Records::new(&message)
                    .find(|record| record.kind == kind::AEAD)
                    .is_some_and(|record| record.numbers().any(|n| n == algorithm.number()));
                prop_assert!(offered);
            }
        }
    }
}
