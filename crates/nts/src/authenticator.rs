//! The authenticator field (NTS chapter, section 6.1; RFC 8915, section 5.6), and appending
//! fields to a packet that is being built.
//!
//! The fields themselves are read and written by `ntp-wire`.

use ntp_wire::extension::{EXTENSION_HEADER_LENGTH, NTS_AUTHENTICATOR};
use ntp_wire::{MAX_PACKET_LENGTH, MessageWriter};

use crate::aead::{AeadKey, Algorithm, TAG_LENGTH};

/// Longest cookie in a packet or a record.
pub const MAX_COOKIE: usize = 256;
/// Octets of the two lengths at the start of an authenticator's body.
const LENGTHS: usize = 4;

/// The parts of an authenticator's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticator<'a> {
    /// Nonce, at least one octet.
    pub nonce: &'a [u8],
    /// Ciphertext with tag, at least 16 octets.
    pub ciphertext: &'a [u8],
}

impl<'a> Authenticator<'a> {
    /// Splits a body; `None` when the lengths do not fit it (NTS chapter, section 6.1). The
    /// padding may have any content.
    ///
    /// `algorithm` says how much room for a nonce the sender must have left (RFC 8915,
    /// section 5.6). The reference forgets the four octets of the lengths in one of the
    /// checks; here they count, which no valid packet notices.
    pub fn parse(body: &'a [u8], algorithm: Algorithm) -> Option<Self> {
        let ([a, b, c, d], rest) = body.split_first_chunk::<LENGTHS>()?;
        let nonce_length = usize::from(u16::from_be_bytes([*a, *b]));
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        if nonce_length < 1 || length < TAG_LENGTH {
            return None;
        }
        let padded = length.next_multiple_of(4);
        let (nonce, rest_after) = rest.split_at_checked(nonce_length.next_multiple_of(4))?;
        if rest_after.len() < padded || rest.len() < algorithm.nonce_length() + padded {
            return None;
        }
        Some(Self {
            nonce: nonce.get(..nonce_length)?,
            ciphertext: rest_after.get(..length)?,
        })
    }

    /// Decrypts into `scratch` and returns the plaintext; `None` when it is not authentic.
    pub fn open<'s>(
        &self,
        key: &AeadKey,
        associated_data: &[u8],
        scratch: &'s mut [u8; MAX_PACKET_LENGTH],
    ) -> Option<&'s [u8]> {
        let buffer = scratch.get_mut(..self.ciphertext.len())?;
        buffer.copy_from_slice(self.ciphertext);
        let at = key.open(self.nonce, associated_data, buffer).ok()?;
        buffer.get(at)
    }
}

/// Length of an authenticator with our own nonce, for a plaintext of this length.
pub(crate) const fn authenticator_length(algorithm: Algorithm, plaintext: usize) -> usize {
    EXTENSION_HEADER_LENGTH
        + LENGTHS
        + algorithm.nonce_length()
        + (plaintext + TAG_LENGTH).next_multiple_of(4)
}

/// Appends a field to the packet of `used` octets in `buffer` and returns the new length;
/// `None` when it does not fit.
pub(crate) fn append(buffer: &mut [u8], used: usize, kind: u16, body: &[u8]) -> Option<usize> {
    let mut writer = MessageWriter::new(buffer.get_mut(used..)?);
    writer.extension(kind, body).ok()?;
    Some(used + writer.length())
}

/// What an authenticator to be appended is made of.
pub(crate) struct Sealing<'a> {
    /// Key of the direction.
    pub(crate) key: &'a AeadKey,
    /// Nonce of the length that the algorithm sends.
    pub(crate) nonce: &'a [u8],
    /// Octets of plaintext.
    pub(crate) plaintext: usize,
}

impl Sealing<'_> {
    /// Appends the field to the packet of `used` octets so that it ends at `end`, filling
    /// what the ciphertext leaves with zeros; `write` puts the plaintext in place. Returns
    /// `end`; `None` when it does not fit.
    pub(crate) fn append(
        &self,
        buffer: &mut [u8],
        used: usize,
        end: usize,
        write: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<usize> {
        let algorithm = self.key.algorithm();
        let length = end.checked_sub(used)?;
        if length < authenticator_length(algorithm, self.plaintext) {
            return None;
        }
        let (packet, rest) = buffer.split_at_mut_checked(used)?;
        let mut writer = MessageWriter::new(rest.get_mut(..length)?);
        let body_length = length - EXTENSION_HEADER_LENGTH;
        let body = writer
            .reserve_extension(NTS_AUTHENTICATOR, body_length)
            .ok()?;
        let (lengths, body) = body.split_first_chunk_mut::<LENGTHS>()?;
        let ciphertext = self.plaintext + TAG_LENGTH;
        let [a, b] = u16::try_from(self.nonce.len()).ok()?.to_be_bytes();
        let [c, d] = u16::try_from(ciphertext).ok()?.to_be_bytes();
        *lengths = [a, b, c, d];
        let (nonce, body) = body.split_at_mut_checked(self.nonce.len())?;
        nonce.copy_from_slice(self.nonce);
        let sealed = body.get_mut(..ciphertext)?;
        let offset = algorithm.plaintext_offset();
        write(sealed.get_mut(offset..offset + self.plaintext)?)?;
        self.key.seal(self.nonce, packet, sealed).ok()?;
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn authenticator_lengths() {
        let siv = Algorithm::AesSivCmac256;
        let body = |nonce: u16, ciphertext: u16, octets: usize| {
            let mut body = nonce.to_be_bytes().to_vec();
            body.extend_from_slice(&ciphertext.to_be_bytes());
            body.resize(octets, 0);
            body
        };
        let fits = |body: &[u8]| Authenticator::parse(body, siv).is_some();
        assert!(fits(&body(16, 16, 36)));
        assert!(fits(&body(1, 16, 36)));
        assert!(!fits(&body(1, 16, 32)));
        assert!(!fits(&body(0, 16, 36)));
        assert!(!fits(&body(16, 15, 36)));
        assert!(!fits(&body(17, 16, 36)));
        assert!(fits(&body(17, 16, 40)));
        assert!(!fits(&body(0xffff, 0xffff, 1000)));
        assert!(!fits(&[]));
        let gcm = Algorithm::Aes128GcmSiv;
        assert!(Authenticator::parse(&body(12, 16, 32), gcm).is_some());
        assert!(Authenticator::parse(&body(12, 16, 28), gcm).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        /// What is sealed opens again, whatever the room left for padding; and no body makes
        /// the parser panic.
        #[test]
        fn round_trip(
            siv: bool,
            front in prop::collection::vec(any::<u8>(), 0..200),
            plaintext in prop::collection::vec(any::<u8>(), 0..300),
            extra in 0..20usize,
            junk in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let algorithm = if siv { Algorithm::AesSivCmac256 } else { Algorithm::Aes128GcmSiv };
            let key = AeadKey::new(algorithm, &[3; 32][..algorithm.key_length()]).unwrap();
            let mut buffer = [0xee; MAX_PACKET_LENGTH];
            buffer[..front.len()].copy_from_slice(&front);
            let sealing = Sealing {
                key: &key,
                nonce: &[4; 16][..algorithm.nonce_length()],
                plaintext: plaintext.len(),
            };
            let shortest = front.len() + authenticator_length(algorithm, plaintext.len());
            let write = |part: &mut [u8]| {
                part.copy_from_slice(&plaintext);
                Some(())
            };
            let too_short = sealing.append(&mut buffer, front.len(), shortest - 4, write);
            prop_assert_eq!(too_short, None);
            let end = shortest + 4 * extra;
            prop_assert_eq!(sealing.append(&mut buffer, front.len(), end, write), Some(end));
            let (packet, field) = buffer[..end].split_at(front.len());
            let (field, rest) = ntp_wire::Extension::parse(field, 16).unwrap();
            prop_assert!(rest.is_empty() && field.kind == NTS_AUTHENTICATOR);
            let authenticator = Authenticator::parse(field.body, algorithm).unwrap();
            let mut scratch = [0; MAX_PACKET_LENGTH];
            prop_assert_eq!(authenticator.open(&key, packet, &mut scratch), Some(&plaintext[..]));
            let _ = Authenticator::parse(&junk, algorithm);
        }
    }
}
