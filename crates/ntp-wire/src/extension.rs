//! Extension fields (RFC 7822; ntp chapter, section 3.1).
//!
//! A field is a type (16 bits), a length including these four bytes (16 bits) and a body.
//! [`Extensions`] walks a sequence of them: the fields of a parsed packet, or the plaintext
//! of an NTS authenticator, where fields may be as short as four bytes.

use crate::{MIN_EXTENSION_LENGTH, NtpInterval, NtpShort28, NtpTimestamp, array_at};

/// Length of type and length.
pub const EXTENSION_HEADER_LENGTH: usize = 4;

/// NTS unique identifier (RFC 8915, section 5.3).
pub const NTS_UNIQUE_IDENTIFIER: u16 = 0x0104;
/// NTS cookie (RFC 8915, section 5.4).
pub const NTS_COOKIE: u16 = 0x0204;
/// NTS cookie placeholder (RFC 8915, section 5.5).
pub const NTS_COOKIE_PLACEHOLDER: u16 = 0x0304;
/// NTS authenticator and encrypted extension fields (RFC 8915, section 5.6).
pub const NTS_AUTHENTICATOR: u16 = 0x0404;
/// Network correction (`extfield 10A`).
pub const NETWORK_CORRECTION: u16 = 0x010a;
/// Monotonic timestamps and high-resolution root values (`extfield F323`).
pub const MONOTONIC_ROOT: u16 = 0xf323;
/// What the body of field F323 begins with.
const MONOTONIC_ROOT_MAGIC: u32 = 0xf5be_dd9a;

/// What should be an extension field is none: too short, its length not a multiple of
/// four, or beyond the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedExtension;

impl std::fmt::Display for MalformedExtension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed extension field")
    }
}

impl std::error::Error for MalformedExtension {}

/// One extension field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Field type.
    pub kind: u16,
    /// What follows type and length, padding included; a multiple of four bytes.
    pub body: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Reads the field at the start of `bytes` and returns it with what follows.
    /// `minimum` is the smallest total length, at least 4.
    ///
    /// # Errors
    /// When there is no field of that length.
    pub fn parse(bytes: &'a [u8], minimum: usize) -> Result<(Self, &'a [u8]), MalformedExtension> {
        let (head, _) = bytes
            .split_first_chunk::<EXTENSION_HEADER_LENGTH>()
            .ok_or(MalformedExtension)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length < minimum.max(EXTENSION_HEADER_LENGTH) || !length.is_multiple_of(4) {
            return Err(MalformedExtension);
        }
        let (field, rest) = bytes.split_at_checked(length).ok_or(MalformedExtension)?;
        let extension = Self {
            kind: u16::from_be_bytes([head[0], head[1]]),
            body: field.get(EXTENSION_HEADER_LENGTH..).unwrap_or_default(),
        };
        Ok((extension, rest))
    }

    /// Total length on the wire.
    pub const fn length(&self) -> usize {
        EXTENSION_HEADER_LENGTH + self.body.len()
    }

    /// Whether it is one of the four fields of NTS.
    pub const fn is_nts(&self) -> bool {
        matches!(
            self.kind,
            NTS_UNIQUE_IDENTIFIER | NTS_COOKIE | NTS_COOKIE_PLACEHOLDER | NTS_AUTHENTICATOR
        )
    }
}

/// Walks a sequence of fields without gaps. After an error it ends.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    minimum: usize,
}

impl<'a> Extensions<'a> {
    /// Over fields of at least [`MIN_EXTENSION_LENGTH`] bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            minimum: MIN_EXTENSION_LENGTH,
        }
    }

    /// Over the plaintext of an NTS authenticator: fields of at least four bytes (nts
    /// chapter, section 6.1).
    pub const fn of_plaintext(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            minimum: EXTENSION_HEADER_LENGTH,
        }
    }

    /// What has not been walked yet.
    pub const fn remainder(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, MalformedExtension>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Extension::parse(self.rest, self.minimum) {
            Ok((extension, rest)) => {
                self.rest = rest;
                Some(Ok(extension))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// Field 010A: how much the network's transparent clocks delayed the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkCorrection {
    /// Correction of the request; zero in requests.
    pub correction: NtpInterval,
}

impl NetworkCorrection {
    /// Length of the body.
    pub const BODY_LENGTH: usize = 24;

    /// When the field has the type and exactly the length.
    pub fn from_extension(extension: &Extension<'_>) -> Option<Self> {
        let body: &[u8; Self::BODY_LENGTH] = extension.body.try_into().ok()?;
        (extension.kind == NETWORK_CORRECTION).then(|| Self {
            correction: NtpInterval::from_bits(u64::from_be_bytes(array_at(body, 0))),
        })
    }

    /// The body.
    pub fn to_body(self) -> [u8; Self::BODY_LENGTH] {
        let mut body = [0; Self::BODY_LENGTH];
        body[..8].copy_from_slice(&self.correction.to_bits().to_be_bytes());
        body
    }
}

/// Field F323: root values with more resolution, and a time scale without the sender's
/// corrections. All zero in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonotonicRoot {
    /// Root delay.
    pub root_delay: NtpShort28,
    /// Root dispersion.
    pub root_dispersion: NtpShort28,
    /// The receive timestamp on the sender's monotonic scale.
    pub monotonic_receive: NtpTimestamp,
    /// Names the scale: changes with every step of the sender's clock.
    pub epoch: u32,
}

impl MonotonicRoot {
    /// Length of the body.
    pub const BODY_LENGTH: usize = 24;

    /// When the field has the type, exactly the length, and the magic number.
    pub fn from_extension(extension: &Extension<'_>) -> Option<Self> {
        let body: &[u8; Self::BODY_LENGTH] = extension.body.try_into().ok()?;
        let word = |offset| u32::from_be_bytes(array_at(body, offset));
        (extension.kind == MONOTONIC_ROOT && word(0) == MONOTONIC_ROOT_MAGIC).then(|| Self {
            root_delay: NtpShort28::from_bits(word(4)),
            root_dispersion: NtpShort28::from_bits(word(8)),
            monotonic_receive: NtpTimestamp::from_bytes(array_at(body, 12)),
            epoch: word(20),
        })
    }

    /// The body.
    pub fn to_body(self) -> [u8; Self::BODY_LENGTH] {
        let mut body = [0; Self::BODY_LENGTH];
        let mut put =
            |offset: usize, value: &[u8]| body[offset..offset + value.len()].copy_from_slice(value);
        put(0, &MONOTONIC_ROOT_MAGIC.to_be_bytes());
        put(4, &self.root_delay.to_bits().to_be_bytes());
        put(8, &self.root_dispersion.to_bits().to_be_bytes());
        put(12, &self.monotonic_receive.to_bytes());
        put(20, &self.epoch.to_be_bytes());
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked() {
        let field = |length: u16, total: usize| {
            let mut bytes = vec![0; total];
            bytes[0] = 0x12;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes
        };
        assert!(Extension::parse(&field(16, 16), 16).is_ok());
        assert!(Extension::parse(&field(4, 4), 4).is_ok());
        for (length, total, minimum) in [(12, 28, 16), (18, 28, 16), (32, 28, 16), (0, 28, 0)] {
            let bytes = field(length, total);
            assert_eq!(Extension::parse(&bytes, minimum), Err(MalformedExtension));
        }
        assert_eq!(Extension::parse(&[0, 1, 0], 4), Err(MalformedExtension));
    }

    #[test]
    fn walking_ends_after_an_error() {
        let mut bytes = [0; 24];
        bytes[3] = 16;
        let mut fields = Extensions::new(&bytes);
        assert_eq!(fields.next().map(|field| field.is_ok()), Some(true));
        assert_eq!(fields.next(), Some(Err(MalformedExtension)));
        assert_eq!(fields.next(), None);
    }

    #[test]
    fn known_fields_survive() {
        let root = MonotonicRoot {
            root_delay: NtpShort28::from_bits(1),
            root_dispersion: NtpShort28::from_bits(2),
            monotonic_receive: NtpTimestamp::from_bits(3),
            epoch: 4,
        };
        let body = root.to_body();
        let mut field = Extension {
            kind: MONOTONIC_ROOT,
            body: &body,
        };
        assert_eq!(MonotonicRoot::from_extension(&field), Some(root));
        field.kind = NETWORK_CORRECTION;
        assert_eq!(MonotonicRoot::from_extension(&field), None);
        let mut wrong_magic = body;
        wrong_magic[3] ^= 1;
        let field = Extension {
            kind: MONOTONIC_ROOT,
            body: &wrong_magic,
        };
        assert_eq!(MonotonicRoot::from_extension(&field), None);

        let correction = NetworkCorrection {
            correction: NtpInterval::from_seconds(-1e-6),
        };
        let body = correction.to_body();
        let field = Extension {
            kind: NETWORK_CORRECTION,
            body: &body,
        };
        assert_eq!(NetworkCorrection::from_extension(&field), Some(correction));
    }
}
