//! NTP requests with NTS, and their answers (NTS chapter, sections 6.3 and 6.4).
//!
//! Everything here works on the caller's buffers and the stack: nothing is allocated, and
//! the only shared state is an immutable [`ServerKeys`], so that any number of threads can
//! serve.
//!
//! The caller has classified the packet as NTS (NTP chapter, section 3), applied the access
//! list and chosen whether the answer is a normal response or a KoD. Then:
//!
//! 1. [`open_request`] says whether the request is authentic, deserves a NAK, or nothing.
//! 2. The caller writes header and fields 010A and F323 of the response.
//! 3. [`AuthenticRequest::seal_response`] or [`append_unique_identifiers`] completes it.

use ntp_wire::extension::{
    EXTENSION_HEADER_LENGTH, NTS_AUTHENTICATOR, NTS_COOKIE, NTS_COOKIE_PLACEHOLDER,
    NTS_UNIQUE_IDENTIFIER,
};
use ntp_wire::{
    Authentication, Extension, Extensions, HEADER_LENGTH, MAX_PACKET_LENGTH, MessageWriter, Mode,
    Packet,
};

use crate::aead::MAX_NONCE_LENGTH;
use crate::authenticator::{Authenticator, MAX_COOKIE, Sealing, append, authenticator_length};
use crate::random::Random;
use crate::server::cookie;
use crate::server::keys::ServerKeys;
use crate::session_keys::{Direction, SessionKeys};

/// Most cookies in a response.
pub const MAX_COOKIES: usize = 8;
/// The reference ID of a NAK: kiss code `NTSN` (RFC 8915, section 5.7).
pub const NAK_REFERENCE_ID: u32 = u32::from_be_bytes(*b"NTSN");

/// Why a request gets no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Not a client packet of version 4 with fields of NTS and without MAC.
    NotAClientRequest,
    /// A second cookie, or one longer than 256 octets.
    Cookie,
    /// A placeholder, plain or encrypted, with another length than the cookie.
    PlaceholderLength,
    /// A field behind the authenticator.
    FieldAfterAuthenticator,
    /// No unique identifier, no cookie or no authenticator.
    MissingField,
    /// The encrypted part is not a sequence of fields.
    EncryptedFields,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Opened<'p> {
    /// Answer with [`AuthenticRequest::seal_response`].
    Authentic(AuthenticRequest<'p>),
    /// Answer with a NAK: LI 3, stratum 0, reference ID [`NAK_REFERENCE_ID`], never
    /// interleaved, then [`append_unique_identifiers`].
    Nak,
    /// No answer.
    Dropped(Dropped),
}

/// A request whose authenticator is valid.
#[derive(Debug)]
pub struct AuthenticRequest<'p> {
    packet: Packet<'p>,
    keys: SessionKeys,
    cookies: usize,
}

/// The NTS fields of a request, not yet authenticated.
#[derive(Default)]
struct RequestFields<'p> {
    has_unique_identifier: bool,
    cookie: Option<&'p [u8]>,
    placeholder_length: Option<usize>,
    placeholders: usize,
    authenticator: Option<Extension<'p>>,
}

impl<'p> RequestFields<'p> {
    /// Conditions 2 and 3 of the table in section 6.3, those of condition 4 left to the
    /// caller.
    fn collect(packet: &Packet<'p>) -> Result<Self, Dropped> {
        let header = &packet.header;
        let is_request = packet.authentication == Authentication::Nts
            && header.version == 4
            && header.mode == Mode::Client;
        if !is_request {
            return Err(Dropped::NotAClientRequest);
        }
        let mut found = Self::default();
        let mut fields = Extensions::new(packet.extension_bytes());
        while let Some(Ok(field)) = fields.next() {
            match field.kind {
                NTS_UNIQUE_IDENTIFIER => found.has_unique_identifier = true,
                NTS_COOKIE => {
                    let first = found.cookie.replace(field.body).is_none();
                    if !first || field.body.len() > MAX_COOKIE {
                        return Err(Dropped::Cookie);
                    }
                }
                NTS_COOKIE_PLACEHOLDER => found.placeholder(field.body)?,
                NTS_AUTHENTICATOR if !fields.remainder().is_empty() => {
                    return Err(Dropped::FieldAfterAuthenticator);
                }
                NTS_AUTHENTICATOR => found.authenticator = Some(field),
                _ => {}
            }
        }
        Ok(found)
    }

    fn placeholder(&mut self, body: &[u8]) -> Result<(), Dropped> {
        self.placeholders += 1;
        if *self.placeholder_length.get_or_insert(body.len()) != body.len() {
            return Err(Dropped::PlaceholderLength);
        }
        Ok(())
    }
}

/// Checks a request, condition by condition in the order of section 6.3 (the conditions 1
/// and 6 do not arise: a server without certificates does not call this, and both
/// algorithms are always there).
pub fn open_request<'p>(keys: &ServerKeys, packet: &Packet<'p>) -> Opened<'p> {
    match try_open(keys, packet) {
        Ok(Some(request)) => Opened::Authentic(request),
        Ok(None) => Opened::Nak,
        Err(reason) => Opened::Dropped(reason),
    }
}

/// `Ok(None)` is a NAK.
fn try_open<'p>(
    keys: &ServerKeys,
    packet: &Packet<'p>,
) -> Result<Option<AuthenticRequest<'p>>, Dropped> {
    let mut found = RequestFields::collect(packet)?;
    let (Some(cookie), Some(authenticator), true) = (
        found.cookie,
        found.authenticator,
        found.has_unique_identifier,
    ) else {
        return Err(Dropped::MissingField);
    };
    if found
        .placeholder_length
        .is_some_and(|length| length != cookie.len())
    {
        return Err(Dropped::PlaceholderLength);
    }
    let Ok(session) = cookie::open(keys, cookie) else {
        return Ok(None);
    };
    // The authenticator is the last field.
    let start = packet.bytes().len() - authenticator.length();
    let Some(authenticator) = Authenticator::parse(authenticator.body, session.algorithm()) else {
        return Ok(None);
    };
    let mut scratch = [0; MAX_PACKET_LENGTH];
    let c2s = session.expand(Direction::ClientToServer);
    let Some(plaintext) = authenticator.open(&c2s, &packet.bytes()[..start], &mut scratch) else {
        return Ok(None);
    };
    found.placeholder_length = Some(cookie.len());
    for field in Extensions::of_plaintext(plaintext) {
        let field = field.map_err(|_| Dropped::EncryptedFields)?;
        if field.kind == NTS_COOKIE_PLACEHOLDER {
            found.placeholder(field.body)?;
        }
    }
    Ok(Some(AuthenticRequest {
        packet: *packet,
        keys: session,
        cookies: (1 + found.placeholders).min(MAX_COOKIES),
    }))
}

/// Copies every unique identifier of the request behind the `used` octets of the response in
/// `buffer` and returns the new length; `None` when the buffer is too short.
pub fn append_unique_identifiers(
    request: &Packet<'_>,
    buffer: &mut [u8],
    used: usize,
) -> Option<usize> {
    request
        .extensions()
        .filter(|field| field.kind == NTS_UNIQUE_IDENTIFIER)
        .try_fold(used, |used, field| {
            append(buffer, used, field.kind, field.body)
        })
}

impl AuthenticRequest<'_> {
    /// How many new cookies the response will have, 1 … 8.
    pub const fn cookies(&self) -> usize {
        self.cookies
    }

    /// The session keys that the cookie held.
    pub const fn keys(&self) -> &SessionKeys {
        &self.keys
    }

    /// Completes a response: behind the `used` octets in `buffer` (header and fields 010A and
    /// F323) go the unique identifiers and the authenticator with new cookies, padded so
    /// that the response is exactly as long as the request. Returns that length.
    ///
    /// `None` when the response would be longer than the request (then nothing is sent) or
    /// the buffer is too short.
    pub fn seal_response(
        &self,
        keys: &ServerKeys,
        buffer: &mut [u8],
        used: usize,
        random: &mut dyn Random,
    ) -> Option<usize> {
        if used < HEADER_LENGTH {
            return None;
        }
        let used = append_unique_identifiers(&self.packet, buffer, used)?;
        let algorithm = self.keys.algorithm();
        let server_key = keys.current();
        let cookie = cookie::length(server_key.algorithm(), algorithm);
        let plaintext = self.cookies * (EXTENSION_HEADER_LENGTH + cookie);
        let end = self.packet.bytes().len();
        if used + authenticator_length(algorithm, plaintext) > end {
            return None;
        }
        let mut nonce = [0; MAX_NONCE_LENGTH];
        let nonce = &mut nonce[..algorithm.nonce_length()];
        random.fill(nonce);
        let s2c = self.keys.expand(Direction::ServerToClient);
        let sealing = Sealing {
            key: &s2c,
            nonce,
            plaintext,
        };
        sealing.append(buffer, used, end, |part| {
            let mut fields = MessageWriter::new(part);
            for _ in 0..self.cookies {
                let body = fields.reserve_extension(NTS_COOKIE, cookie).ok()?;
                cookie::seal(server_key, &self.keys, random, body)?;
            }
            Some(())
        })
    }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
