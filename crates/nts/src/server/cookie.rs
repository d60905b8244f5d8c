//! Cookies: the session keys, encrypted with a server key (NTS chapter, section 8.2).
//!
//! ```text
//! key ID (4) | nonce (16 or 12) | AEAD(server key, nonce, no associated data, C2S ‖ S2C)
//! ```

use crate::aead::{AeadKey, Algorithm, MAX_KEY_LENGTH, MAX_NONCE_LENGTH, TAG_LENGTH};
use crate::random::Random;
use crate::server::keys::{ServerKey, ServerKeys};
use crate::session_keys::SessionKeys;

/// Octets of the key ID.
const ID_LENGTH: usize = 4;
/// Longest cookie of this server: keys of AEAD 15 under a key of AEAD 15.
pub const MAX_LENGTH: usize = ID_LENGTH + MAX_NONCE_LENGTH + 2 * MAX_KEY_LENGTH + TAG_LENGTH;

/// Why a cookie cannot be used; the answer is a NAK in all cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieError {
    /// Shorter than the parts that every cookie has.
    TooShort,
    /// None of the four keys has this ID (debug text `Unknown key <id>`).
    UnknownKey(u32),
    /// More than two keys of the longest algorithm, or not two keys of the same length.
    ContentLength,
    /// Made with another key or altered.
    NotAuthentic,
}

impl std::fmt::Display for CookieError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooShort => f.write_str("Too short cookie"),
            Self::UnknownKey(id) => write!(f, "Unknown key {id:08X}"),
            Self::ContentLength => f.write_str("Unexpected length of keys in cookie"),
            Self::NotAuthentic => f.write_str("Could not decrypt cookie"),
        }
    }
}

impl std::error::Error for CookieError {}

/// Length of the cookies that `key` makes for session keys of `algorithm`.
pub const fn length(key: Algorithm, algorithm: Algorithm) -> usize {
    ID_LENGTH + key.nonce_length() + 2 * algorithm.key_length() + TAG_LENGTH
}

/// Makes a cookie at the start of `out` and returns its length; `None` when `out` is too
/// short.
pub fn seal(
    key: &ServerKey,
    session: &SessionKeys,
    random: &mut dyn Random,
    out: &mut [u8],
) -> Option<usize> {
    let algorithm = key.algorithm();
    let length = length(algorithm, session.algorithm());
    let (id, rest) = out
        .get_mut(..length)?
        .split_first_chunk_mut::<ID_LENGTH>()?;
    *id = key.id().to_be_bytes();
    let (nonce, sealed) = rest.split_at_mut(algorithm.nonce_length());
    random.fill(nonce);
    let content = &mut sealed[algorithm.plaintext_offset()..];
    let (c2s, rest) = content.split_at_mut(session.c2s().len());
    c2s.copy_from_slice(session.c2s());
    rest[..session.s2c().len()].copy_from_slice(session.s2c());
    key.cipher().seal(nonce, &[], sealed).ok()?;
    Some(length)
}

/// Opens a cookie of whichever key it was made with.
///
/// # Errors
///
/// See [`CookieError`].
pub fn open(keys: &ServerKeys, cookie: &[u8]) -> Result<SessionKeys, CookieError> {
    let (id, rest) = cookie
        .split_first_chunk::<ID_LENGTH>()
        .filter(|(_, rest)| !rest.is_empty())
        .ok_or(CookieError::TooShort)?;
    let id = u32::from_be_bytes(*id);
    let key = keys.by_id(id).ok_or(CookieError::UnknownKey(id))?;
    let (nonce, sealed) = rest
        .split_at_checked(key.algorithm().nonce_length())
        .filter(|(_, sealed)| sealed.len() > TAG_LENGTH)
        .ok_or(CookieError::TooShort)?;
    open_content(key.cipher(), nonce, sealed)
}

fn open_content(cipher: &AeadKey, nonce: &[u8], sealed: &[u8]) -> Result<SessionKeys, CookieError> {
    let mut buffer = zeroize::Zeroizing::new([0; 2 * MAX_KEY_LENGTH + TAG_LENGTH]);
    let buffer = buffer
        .get_mut(..sealed.len())
        .ok_or(CookieError::ContentLength)?;
    buffer.copy_from_slice(sealed);
    let at = cipher
        .open(nonce, &[], buffer)
        .map_err(|_| CookieError::NotAuthentic)?;
    let content = &buffer[at];
    let (c2s, s2c) = content.split_at(content.len() / 2);
    Algorithm::from_key_length(c2s.len())
        .and_then(|algorithm| SessionKeys::new(algorithm, c2s, s2c))
        .ok_or(CookieError::ContentLength)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server::key_file::KeyFile;
    use crate::testing::{counting, hex, rows, text};

    fn keys(name: &str) -> ServerKeys {
        KeyFile::parse(&text(name)).unwrap().keys
    }

    /// Every hand-made cookie: opened, made again from its parts, or refused. The rows of
    /// AEAD 30 for server S1 say `no response` because that build lacks the algorithm; this
    /// one has both.
    #[test]
    fn golden_cookies() {
        let rows = rows("cookies.tsv");
        assert!(rows.len() >= 26);
        for row in rows {
            let keys = keys(if row[0] == "S1" {
                "ntskeys_15"
            } else {
                "ntskeys_30"
            });
            let cookie = hex(&row[8]);
            let opened = open(&keys, &cookie);
            if row[4].starts_with("keys of") {
                assert_eq!(opened, Err(CookieError::ContentLength), "{row:?}");
                assert_eq!(row[10], "NTS NAK");
                continue;
            }
            let session = opened.unwrap();
            assert_eq!(session.algorithm().number().to_string(), row[4]);
            assert_eq!(
                (session.c2s(), session.s2c()),
                (&*hex(&row[5]), &*hex(&row[6]))
            );
            assert_eq!(cookie.len().to_string(), row[9]);
            let key = keys
                .by_id(u32::from_str_radix(&row[1], 16).unwrap())
                .unwrap();
            assert_eq!(key.bytes(), hex(&row[3]));
            let nonce = hex(&row[7]);
            let mut out = [0; MAX_LENGTH];
            let mut fixed = |bytes: &mut [u8]| bytes.copy_from_slice(&nonce);
            let length = seal(key, &session, &mut fixed, &mut out).unwrap();
            assert_eq!(out[..length], cookie);
        }
    }

    #[test]
    fn golden_cookies_of_key_establishment() {
        let mut opened = 0;
        for row in rows("ke_server.tsv") {
            if row[10] == "-" {
                continue;
            }
            let keys = match row[0].as_str() {
                "S3" | "S6" => keys("ntskeys_30"),
                _ => keys("ntskeys_15"),
            };
            let response = hex(&row[8]);
            for record in crate::ke::record::Records::new(&response) {
                if record.kind == 5 {
                    let session = open(&keys, record.body).unwrap();
                    assert_eq!(session.c2s(), hex(&row[10]));
                    assert_eq!(session.s2c(), hex(&row[11]));
                    opened += 1;
                }
            }
        }
        assert!(opened >= 8 * 30, "{opened}");
    }

    #[test]
    fn short_and_foreign_cookies() {
        let keys = keys("ntskeys_30");
        let id = 0xa500_0002u32.to_be_bytes();
        assert_eq!(open(&keys, &id), Err(CookieError::TooShort));
        assert_eq!(open(&keys, b"abc"), Err(CookieError::TooShort));
        let mut cookie = id.to_vec();
        cookie.resize(4 + 12 + 16, 0);
        assert_eq!(open(&keys, &cookie), Err(CookieError::TooShort));
        cookie.push(0);
        assert_eq!(open(&keys, &cookie), Err(CookieError::NotAuthentic));
        cookie.resize(256, 0);
        assert_eq!(open(&keys, &cookie), Err(CookieError::ContentLength));
        cookie[0] = 0;
        assert_eq!(open(&keys, &cookie), Err(CookieError::UnknownKey(2)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A cookie opens to what went in until the third rotation, altered never.
        #[test]
        fn life_of_a_cookie(seed: u8, siv: bool, place: prop::sample::Index, bit in 0..8u8) {
            let mut random = counting(seed);
            let algorithm = if siv { Algorithm::AesSivCmac256 } else { Algorithm::Aes128GcmSiv };
            let mut raw = [0; 64];
            random.fill(&mut raw);
            let (c2s, s2c) = raw[..2 * algorithm.key_length()].split_at(algorithm.key_length());
            let session = SessionKeys::new(algorithm, c2s, s2c).unwrap();
            let mut keys = ServerKeys::generate(&mut random);
            let mut cookie = [0; MAX_LENGTH];
            let length = seal(keys.current(), &session, &mut random, &mut cookie).unwrap();
            prop_assert_eq!(length, super::length(Algorithm::Aes128GcmSiv, algorithm));
            let mut altered = cookie[..length].to_vec();
            altered[place.index(length)] ^= 1 << bit;
            prop_assert!(open(&keys, &altered).is_err());
            for _ in 0..3 {
                prop_assert_eq!(open(&keys, &cookie[..length]), Ok(session.clone()));
                keys = keys.rotated(&mut random);
            }
            prop_assert!(matches!(
                open(&keys, &cookie[..length]),
                Err(CookieError::UnknownKey(_))
            ));
        }

        #[test]
        fn any_cookie(cookie in prop::collection::vec(any::<u8>(), 0..300), known: bool) {
            let keys = keys("ntskeys_15");
            let mut cookie = cookie;
            if known && cookie.len() >= 4 {
                cookie[..4].copy_from_slice(&0xa500_0001u32.to_be_bytes());
            }
            prop_assert!(open(&keys, &cookie).is_err());
        }
    }
}
