//! Symmetric keys and MACs (ntp chapter, section 3.2; RFC 5905, section 7.3; RFC 8573).
//!
//! The MAC of the hash types is the hash of key and message one after the other, that of
//! the AES types is AES-CMAC. A [`Key`] keeps the state of the algorithm after the secret has
//! gone in, so that neither hashing the secret nor the AES key schedule is repeated for a
//! packet, and nothing is allocated.

use std::fmt;

use aes::{Aes128, Aes256};
use cmac::Cmac;
use digest::KeyInit as _;
use subtle::ConstantTimeEq as _;

use crate::packet::Mac;
use crate::{MAX_V4_MAC_LENGTH, MIN_MAC_LENGTH};

/// The longest digest of all types.
const MAX_DIGEST_LENGTH: usize = 64;
/// Length that digests are truncated to in version 4.
const V4_DIGEST_LENGTH: usize = MAX_V4_MAC_LENGTH - 4;
/// Keys shorter than this are worth a warning, bytes (80 bits).
pub const MIN_STRONG_SECRET_LENGTH: usize = 10;

/// Algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-224.
    Sha3_224,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
    /// Tiger.
    Tiger,
    /// Whirlpool.
    Whirlpool,
    /// AES-CMAC with a key of 128 bits.
    Aes128,
    /// AES-CMAC with a key of 256 bits.
    Aes256,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Tiger,
        Self::Whirlpool,
        Self::Aes128,
        Self::Aes256,
    ];

    /// The name in a key file (configuration chapter, section 7.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
            Self::Sha3_224 => "SHA3-224",
            Self::Sha3_256 => "SHA3-256",
            Self::Sha3_384 => "SHA3-384",
            Self::Sha3_512 => "SHA3-512",
            Self::Tiger => "TIGER",
            Self::Whirlpool => "WHIRLPOOL",
            Self::Aes128 => "AES128",
            Self::Aes256 => "AES256",
        }
    }

    /// By its name in a key file; upper case only.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Length of the untruncated digest, bytes.
    pub const fn digest_length(self) -> usize {
        match self {
            Self::Md5 | Self::Aes128 | Self::Aes256 => 16,
            Self::Sha1 => 20,
            Self::Tiger => 24,
            Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 | Self::Whirlpool => 64,
        }
    }

    /// The only length of the secret, bytes, where the algorithm has one.
    pub const fn secret_length(self) -> Option<usize> {
        match self {
            Self::Aes128 => Some(16),
            Self::Aes256 => Some(32),
            _ => None,
        }
    }

    /// The version that a source with such a key uses if none is configured: long digests
    /// are truncated in version 4, which old servers do not know (ntp chapter, section 3.2).
    pub const fn default_version(self) -> u8 {
        if self.digest_length() > V4_DIGEST_LENGTH {
            3
        } else {
            4
        }
    }
}

/// The secret is empty or has not the length that the algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSecretLength;

impl fmt::Display for InvalidSecretLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid length of key")
    }
}

impl std::error::Error for InvalidSecretLength {}

/// An algorithm's state after the secret. The large ones are boxed, when the key is loaded.
#[derive(Clone)]
enum Keyed {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(Box<sha2::Sha384>),
    Sha512(Box<sha2::Sha512>),
    Sha3_224(Box<sha3::Sha3_224>),
    Sha3_256(Box<sha3::Sha3_256>),
    Sha3_384(Box<sha3::Sha3_384>),
    Sha3_512(Box<sha3::Sha3_512>),
    Tiger(tiger::Tiger),
    Whirlpool(Box<whirlpool::Whirlpool>),
    Aes128(Box<Cmac<Aes128>>),
    Aes256(Box<Cmac<Aes256>>),
}

impl Keyed {
    fn new(kind: KeyKind, secret: &[u8]) -> Result<Self, InvalidSecretLength> {
        fn hash<H: digest::Digest>(secret: &[u8]) -> H {
            H::new_with_prefix(secret)
        }
        Ok(match kind {
            KeyKind::Md5 => Self::Md5(hash(secret)),
            KeyKind::Sha1 => Self::Sha1(hash(secret)),
            KeyKind::Sha256 => Self::Sha256(hash(secret)),
            KeyKind::Sha384 => Self::Sha384(Box::new(hash(secret))),
            KeyKind::Sha512 => Self::Sha512(Box::new(hash(secret))),
            KeyKind::Sha3_224 => Self::Sha3_224(Box::new(hash(secret))),
            KeyKind::Sha3_256 => Self::Sha3_256(Box::new(hash(secret))),
            KeyKind::Sha3_384 => Self::Sha3_384(Box::new(hash(secret))),
            KeyKind::Sha3_512 => Self::Sha3_512(Box::new(hash(secret))),
            KeyKind::Tiger => Self::Tiger(hash(secret)),
            KeyKind::Whirlpool => Self::Whirlpool(Box::new(hash(secret))),
            KeyKind::Aes128 => Self::Aes128(Box::new(
                Cmac::new_from_slice(secret).map_err(|_| InvalidSecretLength)?,
            )),
            KeyKind::Aes256 => Self::Aes256(Box::new(
                Cmac::new_from_slice(secret).map_err(|_| InvalidSecretLength)?,
            )),
        })
    }

    fn digest(&self, message: &[u8]) -> Digest {
        fn hash<H: digest::Digest + Clone>(state: &H, message: &[u8]) -> Digest {
            let mut state = state.clone();
            state.update(message);
            Digest::new(&state.finalize())
        }
        fn cmac<M: cmac::Mac + Clone>(state: &M, message: &[u8]) -> Digest {
            let mut state = state.clone();
            state.update(message);
            Digest::new(&state.finalize().into_bytes())
        }
        match self {
            Self::Md5(state) => hash(state, message),
            Self::Sha1(state) => hash(state, message),
            Self::Sha256(state) => hash(state, message),
            Self::Sha384(state) => hash(state.as_ref(), message),
            Self::Sha512(state) => hash(state.as_ref(), message),
            Self::Sha3_224(state) => hash(state.as_ref(), message),
            Self::Sha3_256(state) => hash(state.as_ref(), message),
            Self::Sha3_384(state) => hash(state.as_ref(), message),
            Self::Sha3_512(state) => hash(state.as_ref(), message),
            Self::Tiger(state) => hash(state, message),
            Self::Whirlpool(state) => hash(state.as_ref(), message),
            Self::Aes128(state) => cmac(state.as_ref(), message),
            Self::Aes256(state) => cmac(state.as_ref(), message),
        }
    }
}

/// The digest of a message, at full length.
#[derive(Clone, Copy, Debug)]
pub struct Digest {
    bytes: [u8; MAX_DIGEST_LENGTH],
    length: usize,
}

impl Digest {
    /// Keeps at most [`MAX_DIGEST_LENGTH`] bytes; no algorithm has more.
    fn new(digest: &[u8]) -> Self {
        let mut bytes = [0; MAX_DIGEST_LENGTH];
        let length = digest.len().min(MAX_DIGEST_LENGTH);
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = *from;
        }
        Self { bytes, length }
    }

    /// All of it.
    pub fn full(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// What is sent in a packet of this version: in version 4 at most 20 bytes.
    pub fn truncated(&self, version: u8) -> &[u8] {
        let limit = if version == 4 {
            V4_DIGEST_LENGTH
        } else {
            MAX_DIGEST_LENGTH
        };
        &self.bytes[..self.length.min(limit)]
    }
}

/// A symmetric key, ready for use. Its secret is not shown by `Debug`.
#[derive(Clone)]
pub struct Key {
    id: u32,
    kind: KeyKind,
    secret_length: usize,
    keyed: Keyed,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.id, self.kind.name())
    }
}

impl Key {
    /// Prepares a key.
    ///
    /// # Errors
    /// When the secret is empty, or not exactly 16 or 32 bytes for AES.
    pub fn new(id: u32, kind: KeyKind, secret: &[u8]) -> Result<Self, InvalidSecretLength> {
        if secret.is_empty() {
            return Err(InvalidSecretLength);
        }
        Ok(Self {
            id,
            kind,
            secret_length: secret.len(),
            keyed: Keyed::new(kind, secret)?,
        })
    }

    /// Its number, known to both sides.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Its algorithm.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Length of the secret in bits, as reported by `authdata`.
    pub const fn secret_bits(&self) -> usize {
        self.secret_length * 8
    }

    /// Whether the secret is shorter than 80 bits, worth a warning.
    pub const fn is_weak(&self) -> bool {
        self.secret_length < MIN_STRONG_SECRET_LENGTH
    }

    /// The digest of a message.
    pub fn digest(&self, message: &[u8]) -> Digest {
        self.keyed.digest(message)
    }

    /// Length of the MAC in packets of this version, key ID included.
    pub fn mac_length(&self, version: u8) -> usize {
        let digest = self.kind.digest_length();
        4 + if version == 4 {
            digest.min(V4_DIGEST_LENGTH)
        } else {
            digest
        }
    }

    /// Whether `mac` is this key's MAC of `message`: key ID, exactly the length that the
    /// version asks for, and the bytes, compared in constant time.
    pub fn verify(&self, message: &[u8], mac: &Mac<'_>, version: u8) -> bool {
        let limit = if version == 4 && mac.length() <= MAX_V4_MAC_LENGTH {
            V4_DIGEST_LENGTH
        } else {
            MAX_DIGEST_LENGTH
        };
        if mac.key_id != self.id
            || mac.length() < MIN_MAC_LENGTH
            || mac.digest.len() != self.kind.digest_length().min(limit)
        {
            return false;
        }
        let digest = self.digest(message);
        digest
            .full()
            .get(..mac.digest.len())
            .is_some_and(|expected| expected.ct_eq(mac.digest).into())
    }
}

/// All keys of a key file, found by number.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    /// In the order of their numbers, each once.
    keys: Vec<Key>,
}

impl KeyRing {
    /// Of several keys with the same number the last one counts.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let mut keys: Vec<Key> = keys.into_iter().collect();
        // Stable: equal numbers keep their order, so reversing first puts the last in front.
        keys.reverse();
        keys.sort_by_key(Key::id);
        keys.dedup_by_key(|key| key.id);
        Self { keys }
    }

    /// The key with this number.
    pub fn get(&self, id: u32) -> Option<&Key> {
        let index = self.keys.binary_search_by_key(&id, Key::id).ok()?;
        self.keys.get(index)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn published_vectors() {
        // The hash of "abc", split into key and message; Tiger: NESSIE, set 1;
        // Whirlpool: ISO/IEC 10118-3.
        let of = |kind| hex(Key::new(1, kind, b"a").unwrap().digest(b"bc").full());
        assert_eq!(of(KeyKind::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            of(KeyKind::Sha1),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            of(KeyKind::Tiger),
            "2aab1484e8c158f2bfb8c5ff41b57a525129131c957b5f93"
        );
        assert!(of(KeyKind::Whirlpool).starts_with("4e2448a4c6f486bb16b6562c73b4020bf3043e3a"));
        // RFC 4493, section 4, example 2.
        let secret = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let message = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        let key = Key::new(1, KeyKind::Aes128, &secret).unwrap();
        assert_eq!(
            hex(key.digest(&message).full()),
            "070a16b46b4d4144f79bdd9dd04a287c"
        );
    }

    #[test]
    fn lengths_are_those_of_the_algorithms() {
        for kind in KeyKind::ALL {
            assert_eq!(KeyKind::from_name(kind.name()), Some(kind));
            let key = Key::new(1, kind, &vec![7; kind.secret_length().unwrap_or(20)]).unwrap();
            assert_eq!(key.digest(b"x").full().len(), kind.digest_length());
            assert_eq!(key.digest(b"x").truncated(4).len() + 4, key.mac_length(4));
            assert_eq!(key.digest(b"x").truncated(3).len() + 4, key.mac_length(3));
        }
        assert_eq!(KeyKind::from_name("md5"), None);
        assert_eq!(KeyKind::Tiger.default_version(), 3);
        assert_eq!(KeyKind::Sha1.default_version(), 4);
    }

    #[test]
    fn wrong_truncation_fails() {
        let key = Key::new(5, KeyKind::Sha256, b"0123456789").unwrap();
        let digest = key.digest(b"message");
        let check = |length: usize, version, key_id| {
            let mac = Mac {
                key_id,
                digest: &digest.full()[..length],
            };
            key.verify(b"message", &mac, version)
        };
        assert!(check(20, 4, 5));
        assert!(check(32, 4, 5));
        assert!(check(32, 3, 5));
        assert!(!check(20, 3, 5));
        assert!(!check(16, 4, 5));
        assert!(!check(16, 3, 5));
        assert!(!check(20, 4, 6));
        assert!(!check(0, 4, 5));
        assert!(!key.is_weak());
        assert_eq!(key.secret_bits(), 80);
        assert!(
            Key::new(5, KeyKind::Sha256, b"012345678")
                .unwrap()
                .is_weak()
        );
    }

    #[test]
    fn secrets_of_the_wrong_length() {
        assert!(Key::new(1, KeyKind::Md5, b"").is_err());
        assert!(Key::new(1, KeyKind::Aes128, &[0; 15]).is_err());
        assert!(Key::new(1, KeyKind::Aes256, &[0; 16]).is_err());
    }

    #[test]
    fn the_last_of_equal_numbers_counts() {
        let key = |id, kind| Key::new(id, kind, b"secret").unwrap();
        let ring = KeyRing::new([
            key(3, KeyKind::Md5),
            key(1, KeyKind::Sha1),
            key(3, KeyKind::Sha512),
        ]);
        assert_eq!(ring.len(), 2);
        assert!(!ring.is_empty());
        assert_eq!(ring.get(3).unwrap().kind(), KeyKind::Sha512);
        assert_eq!(ring.get(1).unwrap().kind(), KeyKind::Sha1);
        assert!(ring.get(2).is_none());
        assert_eq!(format!("{:?}", ring.get(1).unwrap()), "Key(1 SHA1)");
    }
}
