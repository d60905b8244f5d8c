//! Extension fields of NTP packets as NTS needs them: a checked walk over a packet or over
//! decrypted fields, and the layout of the authenticator (NTS chapter, section 6.1; NTP
//! chapter, section 3).

use crate::aead::{AeadKey, Algorithm, TAG_LENGTH};

/// Octets of the NTP header.
pub const NTP_HEADER: usize = 48;
/// Longest NTP packet looked at (NTP chapter, section 3).
pub const MAX_PACKET: usize = 1140;
/// Octets of a field's header: type and length.
pub const FIELD_HEADER: usize = 4;
/// Longest cookie in a packet or a record.
pub const MAX_COOKIE: usize = 256;
/// Shortest field outside and shortest inside an authenticator.
const MIN_FIELD: usize = 16;
/// What follows the last field is a MAC when it has one of these lengths (RFC 7822).
const MAC_LENGTHS: [usize; 2] = [20, 24];
/// Octets of the two lengths at the start of an authenticator's body.
const LENGTHS: usize = 4;

/// Field types (RFC 8915, section 7.5).
pub mod kind {
    /// Unique identifier.
    pub const UNIQUE_IDENTIFIER: u16 = 0x0104;
    /// Cookie.
    pub const COOKIE: u16 = 0x0204;
    /// Cookie placeholder.
    pub const PLACEHOLDER: u16 = 0x0304;
    /// Authenticator and encrypted extension fields.
    pub const AUTHENTICATOR: u16 = 0x0404;
}

/// One extension field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Type.
    pub kind: u16,
    /// Body, without type and length.
    pub body: &'a [u8],
    /// The field with type and length.
    pub whole: &'a [u8],
    /// Where the field starts in the packet.
    pub start: usize,
    /// Whether nothing follows.
    pub last: bool,
}

/// Where fields are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Packet,
    Decrypted,
}

/// A walk over fields. Each item is a field, or `Err` once when the rest is not a field (in
/// a packet also when it is a MAC); nothing follows it.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    data: &'a [u8],
    next: usize,
    place: Place,
}

/// The data is not a sequence of extension fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFields;

impl<'a> Fields<'a> {
    /// The fields after the header of a version 4 packet without MAC.
    pub fn of_packet(packet: &'a [u8]) -> Self {
        Self {
            data: packet,
            next: NTP_HEADER,
            place: Place::Packet,
        }
    }

    /// The fields that an authenticator held: at least 4 octets each, no gaps.
    pub const fn of_plaintext(plaintext: &'a [u8]) -> Self {
        Self {
            data: plaintext,
            next: 0,
            place: Place::Decrypted,
        }
    }

    fn read(&self) -> Result<Field<'a>, NotFields> {
        let rest = self.data.get(self.next..).ok_or(NotFields)?;
        if self.place == Place::Packet && MAC_LENGTHS.contains(&rest.len()) {
            return Err(NotFields);
        }
        let ([a, b, c, d], _) = rest.split_first_chunk().ok_or(NotFields)?;
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let minimum = match self.place {
            Place::Packet => MIN_FIELD,
            Place::Decrypted => FIELD_HEADER,
        };
        if length < minimum || !length.is_multiple_of(4) {
            return Err(NotFields);
        }
        let whole = rest.get(..length).ok_or(NotFields)?;
        Ok(Field {
            kind: u16::from_be_bytes([*a, *b]),
            body: whole.get(FIELD_HEADER..).ok_or(NotFields)?,
            whole,
            start: self.next,
            last: length == rest.len(),
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, NotFields>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.data.len() {
            return None;
        }
        let field = self.read();
        self.next = match field {
            Ok(field) => self.next + field.whole.len(),
            Err(_) => self.data.len(),
        };
        Some(field)
    }
}

/// The header of a field of this length, itself included.
pub(crate) fn field_header(kind: u16, length: usize) -> [u8; FIELD_HEADER] {
    let [a, b] = kind.to_be_bytes();
    let [c, d] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    [a, b, c, d]
}

/// Appends a field to the packet of `used` octets in `buffer`, its body padded with zeros to
/// a multiple of 4, and returns the new length; `None` when it does not fit.
pub(crate) fn append(buffer: &mut [u8], used: usize, kind: u16, body: &[u8]) -> Option<usize> {
    let length = FIELD_HEADER + body.len().next_multiple_of(4);
    let end = used.checked_add(length)?;
    let field = buffer.get_mut(used..end)?;
    field.fill(0);
    field[..FIELD_HEADER].copy_from_slice(&field_header(kind, length));
    field[FIELD_HEADER..FIELD_HEADER + body.len()].copy_from_slice(body);
    Some(end)
}

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
        scratch: &'s mut [u8; MAX_PACKET],
    ) -> Option<&'s [u8]> {
        let buffer = scratch.get_mut(..self.ciphertext.len())?;
        buffer.copy_from_slice(self.ciphertext);
        let at = key.open(self.nonce, associated_data, buffer).ok()?;
        buffer.get(at)
    }
}

/// Length of an authenticator with our own nonce, for a plaintext of this length.
pub(crate) const fn authenticator_length(algorithm: Algorithm, plaintext: usize) -> usize {
    FIELD_HEADER + LENGTHS + algorithm.nonce_length() + (plaintext + TAG_LENGTH).next_multiple_of(4)
}

/// Appends an authenticator that ends the packet at `end`, filling what the ciphertext
/// leaves with zeros. `write` puts the plaintext (`plaintext` octets) in place; the nonce
/// has the algorithm's own length. Returns `end`, `None` when it does not fit.
pub(crate) fn append_authenticator(
    buffer: &mut [u8],
    used: usize,
    end: usize,
    key: &AeadKey,
    nonce: &[u8],
    plaintext: usize,
    write: impl FnOnce(&mut [u8]) -> Option<()>,
) -> Option<usize> {
    let algorithm = key.algorithm();
    let length = end.checked_sub(used)?;
    if length < authenticator_length(algorithm, plaintext) {
        return None;
    }
    let (packet, rest) = buffer.split_at_mut_checked(used)?;
    let field = rest.get_mut(..length)?;
    field.fill(0);
    let (header, body) = field.split_first_chunk_mut::<FIELD_HEADER>()?;
    *header = field_header(kind::AUTHENTICATOR, length);
    let (lengths, body) = body.split_first_chunk_mut::<LENGTHS>()?;
    let ciphertext = plaintext + TAG_LENGTH;
    let [a, b] = u16::try_from(nonce.len()).ok()?.to_be_bytes();
    let [c, d] = u16::try_from(ciphertext).ok()?.to_be_bytes();
    *lengths = [a, b, c, d];
    let (nonce_part, body) = body.split_at_mut_checked(nonce.len())?;
    nonce_part.copy_from_slice(nonce);
    let sealed = body.get_mut(..ciphertext)?;
    let offset = algorithm.plaintext_offset();
    write(sealed.get_mut(offset..offset + plaintext)?)?;
    key.seal(nonce, packet, sealed).ok()?;
    Some(end)
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

        #[test]
        fn fields_round_trip(bodies in prop::collection::vec(
            (any::<u16>(), prop::collection::vec(any::<u8>(), 24..60)), 0..8)) {
            let mut buffer = [0xff; MAX_PACKET];
            let mut used = NTP_HEADER;
            for (kind, body) in &bodies {
                used = append(&mut buffer, used, *kind, body).unwrap();
            }
            let fields: Result<Vec<_>, _> = Fields::of_packet(&buffer[..used]).collect();
            let fields = fields.unwrap();
            prop_assert_eq!(fields.len(), bodies.len());
            for (field, (kind, body)) in fields.iter().zip(&bodies) {
                prop_assert_eq!(field.kind, *kind);
                prop_assert_eq!(&field.body[..body.len()], &body[..]);
                prop_assert!(field.body[body.len()..].iter().all(|octet| *octet == 0));
            }
            prop_assert_eq!(fields.last().is_none_or(|field| field.last), true);
        }

        #[test]
        fn any_octets(data in prop::collection::vec(any::<u8>(), 0..200)) {
            for fields in [Fields::of_packet(&data), Fields::of_plaintext(&data)] {
                let mut end = fields.next;
                for field in fields.flatten() {
                    prop_assert_eq!(field.start, end);
                    end += field.whole.len();
                    for algorithm in [Algorithm::AesSivCmac256, Algorithm::Aes128GcmSiv] {
                        let _ = Authenticator::parse(field.body, algorithm);
                    }
                }
                prop_assert!(end <= data.len().max(NTP_HEADER));
            }
        }
    }
}
