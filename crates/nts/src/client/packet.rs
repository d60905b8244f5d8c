//! NTP requests and responses of a client with NTS (NTS chapter, sections 6.2 and 6.5).

use subtle::ConstantTimeEq;

use ntp_wire::extension::{
    EXTENSION_HEADER_LENGTH, NTS_AUTHENTICATOR, NTS_COOKIE, NTS_COOKIE_PLACEHOLDER,
    NTS_UNIQUE_IDENTIFIER,
};
use ntp_wire::{Authentication, Extensions, MAX_PACKET_LENGTH, Mode, Packet};

use crate::aead::AeadKey;
use crate::authenticator::{Authenticator, MAX_COOKIE, Sealing, append, authenticator_length};
use crate::server::packet::NAK_REFERENCE_ID;

/// Octets of the unique identifier sent.
pub const UNIQUE_IDENTIFIER_LENGTH: usize = 32;
/// Octets that cookie and placeholder fields of a request may have together (8 × 108).
const MAX_COOKIE_FIELDS: usize = 864;
/// Shortest field of a cookie in a response.
const MIN_COOKIE_FIELD: usize = 16;

/// What a request is made of besides its header.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// Unique identifier.
    pub unique_identifier: &'a [u8; UNIQUE_IDENTIFIER_LENGTH],
    /// Nonce of the length the key's algorithm sends.
    pub nonce: &'a [u8],
    /// The cookie to use up.
    pub cookie: &'a [u8],
    /// New cookies wanted, this one's replacement included; see [`cookies_wanted`].
    pub cookies: usize,
}

/// How many cookies to ask for with `left` cookies held after taking one of `length` octets
/// (NTS chapter, section 6.2); at least 1.
pub fn cookies_wanted(left: usize, capacity: usize, length: usize) -> usize {
    let room = MAX_COOKIE_FIELDS / (length + EXTENSION_HEADER_LENGTH);
    capacity.saturating_sub(left).min(room).max(1)
}

/// Appends the fields of NTS to a request: unique identifier, cookie, placeholders,
/// authenticator with nothing encrypted. `buffer` holds header and other fields in its
/// first `used` octets. Returns the length of the request; `None` when it does not fit.
pub fn append_request(
    buffer: &mut [u8],
    used: usize,
    c2s: &AeadKey,
    parts: &RequestParts<'_>,
) -> Option<usize> {
    let used = append(buffer, used, NTS_UNIQUE_IDENTIFIER, parts.unique_identifier)?;
    let mut used = append(buffer, used, NTS_COOKIE, parts.cookie)?;
    let zeros = [0; MAX_COOKIE];
    for _ in 1..parts.cookies {
        used = append(
            buffer,
            used,
            NTS_COOKIE_PLACEHOLDER,
            zeros.get(..parts.cookie.len())?,
        )?;
    }
    let end = used + authenticator_length(c2s.algorithm(), 0);
    let sealing = Sealing {
        key: c2s,
        nonce: parts.nonce,
        plaintext: 0,
    };
    sealing.append(buffer, used, end, |_| Some(()))
}

/// Why a response is not accepted (test 5 of the packet tests fails).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// Not a server packet with fields of NTS and without MAC, or no response is awaited.
    NotAResponse,
    /// A unique identifier that is not the request's (debug text `Invalid uniq id`).
    UniqueIdentifier,
    /// A field behind the authenticator (debug text `Auth not last EF`).
    FieldAfterAuthenticator,
    /// The authenticator is malformed or not valid.
    NotAuthentic,
    /// The encrypted part is not a sequence of fields.
    EncryptedFields,
    /// No unique identifier or no authenticator (debug text `Missing NTS EF`).
    MissingField,
    /// A NAK: our identifier, no authenticator, stratum 0 and kiss code `NTSN` (debug text
    /// `NTS NAK`).
    Nak,
    /// Authentic, but without a usable cookie.
    NoCookies,
}

impl std::fmt::Display for ResponseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAResponse => "Not an NTS response",
            Self::UniqueIdentifier => "Invalid uniq id",
            Self::FieldAfterAuthenticator => "Auth not last EF",
            Self::NotAuthentic => "SIV decrypt failed",
            Self::EncryptedFields => "Could not parse encrypted EF",
            Self::MissingField => "Missing NTS EF",
            Self::Nak => "NTS NAK",
            Self::NoCookies => "Extracted 0 cookies",
        })
    }
}

/// The cookies of an authentic response, in order; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseCookies(Vec<Vec<u8>>);

impl ResponseCookies {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

impl IntoIterator for ResponseCookies {
    type Item = Vec<u8>;
    type IntoIter = std::vec::IntoIter<Vec<u8>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Checks a response against the identifier of the request and the key S2C.
///
/// # Errors
///
/// See [`ResponseError`].
pub fn open_response(
    packet: &Packet<'_>,
    unique_identifier: &[u8; UNIQUE_IDENTIFIER_LENGTH],
    s2c: &AeadKey,
) -> Result<ResponseCookies, ResponseError> {
    if packet.authentication != Authentication::Nts || packet.header.mode != Mode::Server {
        return Err(ResponseError::NotAResponse);
    }
    let mut identified = false;
    let mut authenticator = None;
    let mut fields = Extensions::new(packet.extension_bytes());
    while let Some(Ok(field)) = fields.next() {
        match field.kind {
            NTS_UNIQUE_IDENTIFIER => {
                if !bool::from(field.body.ct_eq(unique_identifier)) {
                    return Err(ResponseError::UniqueIdentifier);
                }
                identified = true;
            }
            NTS_AUTHENTICATOR if !fields.remainder().is_empty() => {
                return Err(ResponseError::FieldAfterAuthenticator);
            }
            NTS_AUTHENTICATOR => authenticator = Some(field),
            _ => {}
        }
    }
    let mut scratch = [0; MAX_PACKET_LENGTH];
    let plaintext = match authenticator {
        Some(field) => {
            let start = packet.bytes().len() - field.length();
            let plaintext = Authenticator::parse(field.body, s2c.algorithm())
                .and_then(|it| it.open(s2c, &packet.bytes()[..start], &mut scratch));
            Some(plaintext.ok_or(ResponseError::NotAuthentic)?)
        }
        None => None,
    };
    match plaintext {
        Some(plaintext) if identified => extract_cookies(plaintext),
        None if identified && is_nak(packet) => Err(ResponseError::Nak),
        _ => Err(ResponseError::MissingField),
    }
}

/// Stratum 0 and reference ID `NTSN`; leap indicator and times do not matter.
fn is_nak(packet: &Packet<'_>) -> bool {
    packet.header.stratum == 0 && packet.header.reference_id == NAK_REFERENCE_ID
}

fn extract_cookies(plaintext: &[u8]) -> Result<ResponseCookies, ResponseError> {
    let mut cookies = Vec::new();
    for field in Extensions::of_plaintext(plaintext) {
        let field = field.map_err(|_| ResponseError::EncryptedFields)?;
        let usable = field.length() >= MIN_COOKIE_FIELD && field.body.len() <= MAX_COOKIE;
        if field.kind == NTS_COOKIE && usable {
            cookies.push(field.body.to_vec());
        }
    }
    if cookies.is_empty() {
        return Err(ResponseError::NoCookies);
    }
    Ok(ResponseCookies(cookies))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aead::Algorithm;
    use crate::session_keys::{Direction, SessionKeys};
    use crate::testing::{hex, parsed, rows};

    fn session(aead: &str, c2s: &str, s2c: &str) -> SessionKeys {
        let algorithm = Algorithm::from_number(aead.parse().unwrap()).unwrap();
        SessionKeys::new(algorithm, &hex(c2s), &hex(s2c)).unwrap()
    }

    fn fields_of(packet: &[u8], wanted: u16) -> Vec<Vec<u8>> {
        parsed(packet)
            .extensions()
            .filter(|field| field.kind == wanted)
            .map(|field| field.body.to_vec())
            .collect()
    }

    fn identifier(packet: &[u8]) -> [u8; 32] {
        fields_of(packet, NTS_UNIQUE_IDENTIFIER)[0]
            .as_slice()
            .try_into()
            .unwrap()
    }

    /// Crafted responses: accepted exactly when the reference accepts them, and refused for
    /// the same reason.
    #[test]
    fn golden_responses() {
        let mut checked = 0;
        for row in rows("ntp_client.tsv") {
            let request = hex(&row[6]);
            let response = hex(&row[7]);
            if response.is_empty() {
                continue;
            }
            checked += 1;
            let s2c = session(&row[3], &row[4], &row[5]).expand(Direction::ServerToClient);
            if row[1] == "16 cookies" {
                // Longer than any packet looked at.
                assert_eq!(row[8], "discarded before tests");
                assert!(Packet::parse(&response).is_err());
                continue;
            }
            let outcome = open_response(&parsed(&response), &identifier(&request), &s2c);
            if row[8].contains("(test5) passed") {
                let (_, after) = row[9].split_once("Extracted ").unwrap();
                let number: usize = after.split(' ').next().unwrap().parse().unwrap();
                assert_eq!(outcome.unwrap().0.len(), number, "{row:?}");
                continue;
            }
            let error = outcome.unwrap_err();
            match row[1].as_str() {
                "plain NTP response" => assert_eq!(error, ResponseError::NotAResponse),
                _ => assert!(row[9].contains(&error.to_string()), "{row:?} {error}"),
            }
        }
        assert_eq!(checked, 56);
    }

    /// Our requests, made from the parts of the captured ones, are the same octet by octet,
    /// and the captured responses are accepted.
    #[test]
    fn golden_capture() {
        let mut last = [0; 32];
        let mut packets = 0;
        for row in rows("ntp_client_server_capture.tsv") {
            let packet = hex(&row[7]);
            let keys = session(&row[3], &row[4], &row[5]);
            packets += 1;
            if row[2] == "response" {
                let s2c = keys.expand(Direction::ServerToClient);
                let cookies = open_response(&parsed(&packet), &last, &s2c).unwrap();
                assert_eq!(cookies.0.len(), row[12].matches("0204:").count());
                continue;
            }
            last = identifier(&packet);
            let cookie = &fields_of(&packet, NTS_COOKIE)[0];
            let placeholders = fields_of(&packet, NTS_COOKIE_PLACEHOLDER).len();
            let parts = RequestParts {
                unique_identifier: &last,
                nonce: &hex(row[9].trim_start_matches("nonce=")),
                cookie,
                cookies: 1 + placeholders,
            };
            let used = 48 + 28 * row[8].matches("f323:").count();
            let mut buffer = [0xee; MAX_PACKET_LENGTH];
            buffer[..used].copy_from_slice(&packet[..used]);
            let c2s = keys.expand(Direction::ClientToServer);
            let length = append_request(&mut buffer, used, &c2s, &parts).unwrap();
            assert_eq!(buffer[..length], packet);
            // One cookie less is held after each of the `placeholders` lost responses.
            assert_eq!(
                cookies_wanted(7 - placeholders, 8, cookie.len()),
                1 + placeholders
            );
        }
        assert!(packets > 40, "{packets}");
    }

    /// The table of section 6.2.
    #[test]
    fn request_lengths() {
        let lengths = |cookie: usize, algorithm: Algorithm, left: usize| {
            let key = AeadKey::new(algorithm, &[1; 32][..algorithm.key_length()]).unwrap();
            let parts = RequestParts {
                unique_identifier: &[7; 32],
                nonce: &[1; 16][..algorithm.nonce_length()],
                cookie: &[2; 256][..cookie],
                cookies: cookies_wanted(left, 8, cookie),
            };
            append_request(&mut [0; MAX_PACKET_LENGTH], 48, &key, &parts).unwrap()
        };
        let (siv, gcm) = (Algorithm::AesSivCmac256, Algorithm::Aes128GcmSiv);
        for (cookie, algorithm, one, eight) in [
            (100, siv, 228, 956),
            (96, siv, 224, 924),
            (64, gcm, 188, 664),
            (68, gcm, 192, 696),
            (104, siv, 232, 988),
        ] {
            assert_eq!(lengths(cookie, algorithm, 7), one);
            assert_eq!(lengths(cookie, algorithm, 0), eight);
        }
        assert_eq!(lengths(256, siv, 7), 384);
        assert_eq!(cookies_wanted(0, 8, 256), 3);
        assert_eq!(cookies_wanted(8, 8, 100), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        /// No changed octet outside the padding goes unnoticed, and nothing panics.
        #[test]
        fn altered_responses(row in 0..50usize, place: prop::sample::Index, mask in 1..=255u8) {
            let rows = rows("ntp_client.tsv");
            let row = &rows[row];
            let mut response = hex(&row[7]);
            prop_assume!(!response.is_empty() && response.len() <= MAX_PACKET_LENGTH);
            let at = place.index(response.len());
            response[at] ^= mask;
            let s2c = session(&row[3], &row[4], &row[5]).expand(Direction::ServerToClient);
            let Ok(packet) = Packet::parse(&response) else {
                return Ok(());
            };
            if open_response(&packet, &identifier(&hex(&row[6])), &s2c).is_ok() {
                let last = packet.extensions().last().unwrap();
                prop_assert!(at >= response.len() - last.body.len());
            }
        }
    }
}
