//! The pair of keys that one key establishment gives to a client and a server, and how it
//! is exported from TLS (NTS chapter, section 2.1).

use zeroize::Zeroizing;

use crate::aead::{AeadKey, Algorithm, MAX_KEY_LENGTH};

/// Label of the TLS exporter (RFC 8915, section 5.1).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-network-time-security";

/// Who encrypts with a key. The discriminant is the last octet of the exporter context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// C2S: requests.
    ClientToServer = 0,
    /// S2C: responses.
    ServerToClient = 1,
}

/// The context given to the TLS exporter: NTPv4 (0), AEAD number, direction.
///
/// `exporter_aead` is the number of the negotiated algorithm, except that implementations
/// before the record 1024 put 15 there for AEAD 30 too (NTS chapter, section 2.1).
pub const fn exporter_context(exporter_aead: Algorithm, direction: Direction) -> [u8; 5] {
    let [high, low] = exporter_aead.number().to_be_bytes();
    [0, 0, high, low, direction as u8]
}

/// C2S and S2C keys of one algorithm. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKeys {
    algorithm: Algorithm,
    c2s: Zeroizing<[u8; MAX_KEY_LENGTH]>,
    s2c: Zeroizing<[u8; MAX_KEY_LENGTH]>,
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionKeys({:?}, secret)", self.algorithm)
    }
}

impl SessionKeys {
    /// From two keys; `None` unless both have the length of the algorithm.
    pub fn new(algorithm: Algorithm, c2s: &[u8], s2c: &[u8]) -> Option<Self> {
        let length = algorithm.key_length();
        if c2s.len() != length || s2c.len() != length {
            return None;
        }
        let mut keys = Self {
            algorithm,
            c2s: Zeroizing::new([0; MAX_KEY_LENGTH]),
            s2c: Zeroizing::new([0; MAX_KEY_LENGTH]),
        };
        keys.c2s[..length].copy_from_slice(c2s);
        keys.s2c[..length].copy_from_slice(s2c);
        Some(keys)
    }

    /// The algorithm of both keys.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key of requests.
    pub fn c2s(&self) -> &[u8] {
        &self.c2s[..self.algorithm.key_length()]
    }

    /// The key of responses.
    pub fn s2c(&self) -> &[u8] {
        &self.s2c[..self.algorithm.key_length()]
    }

    /// The expanded key of a direction.
    #[inline]
    pub fn expand(&self, direction: Direction) -> AeadKey {
        let key: &[u8; MAX_KEY_LENGTH] = match direction {
            Direction::ClientToServer => &self.c2s,
            Direction::ServerToClient => &self.s2c,
        };
        match self.algorithm {
            Algorithm::AesSivCmac256 => AeadKey::siv_cmac(key),
            Algorithm::Aes128GcmSiv => {
                let key = Zeroizing::new(std::array::from_fn(|place| key[place]));
                AeadKey::gcm_siv(&key)
            }
        }
    }

    /// Exports a pair for `algorithm` from a finished TLS handshake.
    ///
    /// # Errors
    ///
    /// Those of rustls; none after a handshake.
    pub(crate) fn export<Data>(
        connection: &rustls::ConnectionCommon<Data>,
        algorithm: Algorithm,
        exporter_aead: Algorithm,
    ) -> Result<Self, rustls::Error> {
        let length = algorithm.key_length();
        let export = |direction| {
            let mut key = Zeroizing::new([0; MAX_KEY_LENGTH]);
            let context = exporter_context(exporter_aead, direction);
            connection.export_keying_material(
                &mut key[..length],
                EXPORTER_LABEL,
                Some(&context),
            )?;
            Ok::<_, rustls::Error>(key)
        };
        Ok(Self {
            algorithm,
            c2s: export(Direction::ClientToServer)?,
            s2c: export(Direction::ServerToClient)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha384};

    use super::*;
    use crate::testing::{hex, rows};

    /// HMAC with SHA-384 (RFC 2104).
    fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
        let mut block = [0; 128];
        block[..key.len()].copy_from_slice(key);
        let inner = Sha384::new()
            .chain_update(block.map(|byte: u8| byte ^ 0x36))
            .chain_update(data)
            .finalize();
        let outer = Sha384::new().chain_update(block.map(|byte| byte ^ 0x5c));
        outer.chain_update(inner).finalize().to_vec()
    }

    /// HKDF-Expand-Label of TLS 1.3 for at most one block (RFC 8446, section 7.1).
    fn expand_label(secret: &[u8], label: &[u8], context: &[u8], length: usize) -> Vec<u8> {
        let mut info = (length as u16).to_be_bytes().to_vec();
        info.push(label.len() as u8 + 6);
        info.extend_from_slice(b"tls13 ");
        info.extend_from_slice(label);
        info.push(context.len() as u8);
        info.extend_from_slice(context);
        info.push(1);
        hmac(secret, &info)[..length].to_vec()
    }

    /// The golden exporter secrets give the golden keys with our label and contexts.
    #[test]
    fn golden_exporter() {
        let rows = rows("exporter.tsv");
        assert_eq!(rows.len(), 10);
        for row in rows {
            let aead = Algorithm::from_number(row[1].parse().unwrap()).unwrap();
            let context = hex(&row[5]);
            let direction = match context[4] {
                0 => Direction::ClientToServer,
                _ => Direction::ServerToClient,
            };
            let exporter_aead = if aead == Algorithm::Aes128GcmSiv && row[2] == "no" {
                Algorithm::AesSivCmac256
            } else {
                aead
            };
            assert_eq!(exporter_context(exporter_aead, direction).to_vec(), context);
            let secret = hex(&row[4]);
            let derived = expand_label(&secret, EXPORTER_LABEL, &Sha384::digest(b""), 48);
            let key = expand_label(
                &derived,
                b"exporter",
                &Sha384::digest(&context),
                aead.key_length(),
            );
            assert_eq!(key, hex(&row[6]), "{}", row[0]);
        }
    }

    #[test]
    fn lengths_must_fit() {
        assert!(SessionKeys::new(Algorithm::AesSivCmac256, &[0; 32], &[0; 16]).is_none());
        assert!(SessionKeys::new(Algorithm::Aes128GcmSiv, &[0; 32], &[0; 32]).is_none());
        let keys = SessionKeys::new(Algorithm::Aes128GcmSiv, &[1; 16], &[2; 16]).unwrap();
        assert_eq!((keys.c2s(), keys.s2c()), (&[1; 16][..], &[2; 16][..]));
        assert_eq!(format!("{keys:?}"), "SessionKeys(Aes128GcmSiv, secret)");
    }
}
