//! The two authenticated ciphers of NTS (NTS chapter, section 2): expanded keys that seal
//! and open in place, without allocation, through a shared reference.

pub(crate) mod siv;
#[cfg(test)]
mod tests;

use std::ops::Range;

use aes::Aes128Enc;
use aes_gcm_siv::{AesGcmSiv, KeyInit, aead::AeadInPlace};

use siv::SivKey;

/// Octets that both algorithms add to a plaintext.
pub const TAG_LENGTH: usize = 16;
/// Longest key of a supported algorithm (NTS chapter, section 1).
pub const MAX_KEY_LENGTH: usize = 32;
/// Longest nonce sent.
pub const MAX_NONCE_LENGTH: usize = 16;

/// A supported algorithm. The discriminant is its number in IANA's AEAD registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Algorithm {
    /// AEAD_AES_SIV_CMAC_256 (RFC 5297), mandatory for NTS.
    AesSivCmac256 = 15,
    /// AEAD_AES_128_GCM_SIV (RFC 8452): shorter cookies, faster.
    Aes128GcmSiv = 30,
}

impl Algorithm {
    /// The algorithm with this IANA number; `None` for all others.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            15 => Some(Self::AesSivCmac256),
            30 => Some(Self::Aes128GcmSiv),
            _ => None,
        }
    }

    /// The algorithm whose keys have this length: a cookie says no more than that.
    pub const fn from_key_length(length: usize) -> Option<Self> {
        match length {
            32 => Some(Self::AesSivCmac256),
            16 => Some(Self::Aes128GcmSiv),
            _ => None,
        }
    }

    /// IANA number.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Octets in a key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::AesSivCmac256 => 32,
            Self::Aes128GcmSiv => 16,
        }
    }

    /// Octets in a nonce as sent.
    pub const fn nonce_length(self) -> usize {
        match self {
            Self::AesSivCmac256 => 16,
            Self::Aes128GcmSiv => 12,
        }
    }

    /// Where the plaintext lies in a sealed buffer: RFC 5297 puts the tag in front of the
    /// ciphertext, RFC 8452 behind it.
    pub const fn plaintext_offset(self) -> usize {
        match self {
            Self::AesSivCmac256 => TAG_LENGTH,
            Self::Aes128GcmSiv => 0,
        }
    }
}

/// The tag does not fit: wrong key, nonce, associated data or ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAuthentic;

impl std::fmt::Display for NotAuthentic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("authentication failed")
    }
}

impl std::error::Error for NotAuthentic {}

#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation per request on the server's path"
)]
enum Expanded {
    Siv(SivKey),
    GcmSiv(AesGcmSiv<Aes128Enc>),
}

/// An expanded key, usable by several threads at once.
#[derive(Clone)]
pub struct AeadKey(Expanded);

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AeadKey({:?}, secret)", self.algorithm())
    }
}

impl AeadKey {
    /// Expands a key; `None` when its length is not that of the algorithm.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::AesSivCmac256 => Self::siv_cmac(key.try_into().ok()?),
            Algorithm::Aes128GcmSiv => Self::gcm_siv(key.try_into().ok()?),
        })
    }

    /// Expands a key of AEAD 15.
    #[inline]
    pub fn siv_cmac(key: &[u8; 32]) -> Self {
        Self(Expanded::Siv(SivKey::new(key)))
    }

    /// Expands a key of AEAD 30.
    #[inline]
    pub fn gcm_siv(key: &[u8; 16]) -> Self {
        Self(Expanded::GcmSiv(AesGcmSiv::new(key.into())))
    }

    /// The algorithm of the key.
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Expanded::Siv(_) => Algorithm::AesSivCmac256,
            Expanded::GcmSiv(_) => Algorithm::Aes128GcmSiv,
        }
    }

    /// Encrypts in place. `buffer` has room for plaintext and tag, with the plaintext at
    /// [`Algorithm::plaintext_offset`].
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`] when the buffer is shorter than a tag or the nonce has a length the
    /// algorithm does not take.
    pub fn seal(
        &self,
        nonce: &[u8],
        associated_data: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        match &self.0 {
            Expanded::Siv(key) => {
                let (tag, data) = buffer
                    .split_first_chunk_mut::<TAG_LENGTH>()
                    .ok_or(NotAuthentic)?;
                *tag = key.seal(&[associated_data, nonce], data);
            }
            Expanded::GcmSiv(key) => {
                let (data, tag) = buffer
                    .split_last_chunk_mut::<TAG_LENGTH>()
                    .ok_or(NotAuthentic)?;
                let nonce: &[u8; 12] = nonce.try_into().map_err(|_| NotAuthentic)?;
                *tag = key
                    .encrypt_in_place_detached(nonce.into(), associated_data, data)
                    .map_err(|_| NotAuthentic)?
                    .into();
            }
        }
        Ok(())
    }

    /// Decrypts in place and says where in `buffer` the plaintext is. AEAD 15 accepts any
    /// nonce of at least one octet, AEAD 30 only 12 octets.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`]; the content of the buffer is then of no use.
    pub fn open(
        &self,
        nonce: &[u8],
        associated_data: &[u8],
        buffer: &mut [u8],
    ) -> Result<Range<usize>, NotAuthentic> {
        let length = buffer.len();
        match &self.0 {
            Expanded::Siv(key) => {
                let (tag, data) = buffer
                    .split_first_chunk_mut::<TAG_LENGTH>()
                    .ok_or(NotAuthentic)?;
                if nonce.is_empty() {
                    return Err(NotAuthentic);
                }
                key.open(&[associated_data, nonce], data, tag)?;
                Ok(TAG_LENGTH..length)
            }
            Expanded::GcmSiv(key) => {
                let (data, tag) = buffer
                    .split_last_chunk_mut::<TAG_LENGTH>()
                    .ok_or(NotAuthentic)?;
                let nonce: &[u8; 12] = nonce.try_into().map_err(|_| NotAuthentic)?;
                let tag: &[u8; TAG_LENGTH] = tag;
                key.decrypt_in_place_detached(nonce.into(), associated_data, data, tag.into())
                    .map_err(|_| NotAuthentic)?;
                Ok(0..length - TAG_LENGTH)
            }
        }
    }
}

/// The algorithms of the directive `ntsaeads`, in its order (NTS chapter, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AeadList(Vec<Algorithm>);

impl AeadList {
    /// Most algorithms a client offers.
    const MAX_OFFERED: usize = 4;

    /// From the numbers of the directive; unsupported ones are left out, an empty list is
    /// allowed.
    pub fn from_numbers(numbers: &[u32]) -> Self {
        Self(
            numbers
                .iter()
                .filter_map(|number| Algorithm::from_number(u16::try_from(*number).ok()?))
                .collect(),
        )
    }

    /// Whether the list has this algorithm.
    pub fn contains(&self, algorithm: Algorithm) -> bool {
        self.0.contains(&algorithm)
    }

    /// What a client offers: the first four.
    pub fn offered(&self) -> &[Algorithm] {
        &self.0[..self.0.len().min(Self::MAX_OFFERED)]
    }
}

impl Default for AeadList {
    /// `30 15`.
    fn default() -> Self {
        Self(vec![Algorithm::Aes128GcmSiv, Algorithm::AesSivCmac256])
    }
}
