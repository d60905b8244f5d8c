//! The file `ntskeys` (NTS chapter, section 8.3): text in, keys out, and back.

use std::fmt::Write;

use crate::aead::Algorithm;
use crate::hex;
use crate::server::keys::{ServerKey, ServerKeys};

/// Name of the file in `ntsdumpdir`.
pub const FILE_NAME: &str = "ntskeys";

/// What is wrong with a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFileError {
    /// The first line is neither `NKS1` nor `NKS0`.
    Identifier,
    /// The second line has no age, or for `NKS0` no supported AEAD number.
    Age,
    /// This line (counted from 1) is not an ID, a key and, for `NKS1`, the number of a
    /// supported AEAD whose keys have that length.
    Key(usize),
    /// The IDs of the four keys are not consecutive modulo 4.
    Order,
}

impl std::fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identifier => f.write_str("line 1 is not NKS1"),
            Self::Age => f.write_str("line 2 is not the age of the keys in seconds"),
            Self::Key(line) => write!(
                f,
                "line {line} is not a key: expected an ID of 8 hexadecimal digits, the key, and 15 or 30"
            ),
            Self::Order => f.write_str("the IDs of the keys are not consecutive modulo 4"),
        }
    }
}

impl std::error::Error for KeyFileError {}

/// The content of a key file.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// The four keys.
    pub keys: ServerKeys,
    /// Seconds since the last rotation; not negative.
    pub age_s: f64,
}

impl KeyFile {
    /// Reads a file. Lines after the fourth key are ignored.
    ///
    /// # Errors
    ///
    /// The first thing wrong; nothing of such a file may be used.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let (identifier, rest) = text.split_once('\n').ok_or(KeyFileError::Identifier)?;
        let with_aead = match identifier {
            "NKS1" => true,
            "NKS0" => false,
            _ => return Err(KeyFileError::Identifier),
        };
        let mut lines = rest.lines();
        let (common, age_s) = parse_age(lines.next(), with_aead)?;
        let mut key = |line: usize| {
            lines
                .next()
                .and_then(|text| parse_key(text, common))
                .ok_or(KeyFileError::Key(line))
        };
        let keys = [key(3)?, key(4)?, key(5)?, key(6)?];
        let keys = ServerKeys::from_oldest_to_next(keys).ok_or(KeyFileError::Order)?;
        Ok(Self { keys, age_s })
    }

    /// Writes the file in the present format.
    pub fn to_text(&self) -> String {
        let mut text = format!("NKS1\n{:.1}\n", self.age_s);
        for key in self.keys.oldest_to_next() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{:08X} ", key.id());
            hex::push(&mut text, key.bytes());
            let _ = writeln!(text, " {}", key.algorithm().number());
        }
        text
    }
}

/// Line 2: the age, in `NKS0` after the algorithm of all keys.
fn parse_age(
    line: Option<&str>,
    with_aead: bool,
) -> Result<(Option<Algorithm>, f64), KeyFileError> {
    let words: Vec<&str> = line.unwrap_or_default().split_ascii_whitespace().collect();
    let (common, age) = match (with_aead, words.as_slice()) {
        (true, [age]) => (None, age),
        (false, [aead, age]) => (Some(parse_aead(aead).ok_or(KeyFileError::Age)?), age),
        _ => return Err(KeyFileError::Age),
    };
    let age: f64 = age.parse().map_err(|_| KeyFileError::Age)?;
    if !age.is_finite() {
        return Err(KeyFileError::Age);
    }
    Ok((common, age.max(0.0)))
}

fn parse_aead(word: &str) -> Option<Algorithm> {
    Algorithm::from_number(word.parse().ok()?)
}

/// A line with ID, key and, unless all keys have a common algorithm, its number.
fn parse_key(line: &str, common: Option<Algorithm>) -> Option<ServerKey> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (id, key, algorithm) = match (words.as_slice(), common) {
        ([id, key, aead], None) => (id, key, parse_aead(aead)?),
        ([id, key], Some(algorithm)) => (id, key, algorithm),
        _ => return None,
    };
    if id.starts_with('+') {
        return None;
    }
    let id = u32::from_str_radix(id, 16).ok()?;
    ServerKey::new(id, algorithm, &hex::parse(key)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{counting, text};

    /// Both golden files are read and written back octet by octet.
    #[test]
    fn golden_files() {
        for (name, aead) in [("ntskeys_15", 15), ("ntskeys_30", 30)] {
            let golden = text(name);
            let file = KeyFile::parse(&golden).unwrap();
            assert_eq!(file.age_s, 100.0);
            assert_eq!(file.keys.current().id(), 0xa500_0002);
            assert_eq!(file.keys.current().algorithm().number(), aead);
            assert_eq!(file.to_text(), golden);
        }
    }

    #[test]
    fn old_format() {
        let old = text("ntskeys_15")
            .replace("NKS1\n100.0", "NKS0\n15 -3")
            .replace(" 15\n", "\n");
        let file = KeyFile::parse(&old).unwrap();
        assert_eq!(file.age_s, 0.0);
        assert_eq!(file.to_text(), text("ntskeys_15").replace("100.0", "0.0"));
    }

    #[test]
    fn damage_is_named() {
        let good = text("ntskeys_30");
        let error = |text: &str| KeyFile::parse(text).unwrap_err();
        assert_eq!(error(""), KeyFileError::Identifier);
        assert_eq!(error("NKS2\n"), KeyFileError::Identifier);
        assert_eq!(
            error(&good.replace("NKS1\n", "NKS1\r\n")),
            KeyFileError::Identifier
        );
        assert_eq!(error(&good.replace("100.0", "inf")), KeyFileError::Age);
        assert_eq!(error(&good.replace("100.0", "30 1")), KeyFileError::Age);
        assert_eq!(
            error(&good.replacen(" 30\n", " 15\n", 1)),
            KeyFileError::Key(3)
        );
        assert_eq!(
            error(&good.replacen(" 30\n", " 31\n", 1)),
            KeyFileError::Key(3)
        );
        assert_eq!(
            error(&good.replace("A5000001", "A5000003")),
            KeyFileError::Order
        );
        let lines: Vec<&str> = good.lines().collect();
        assert_eq!(error(&lines[..5].join("\n")), KeyFileError::Key(6));
        let lower = good.to_lowercase().replace("nks1", "NKS1") + "more\n";
        assert_eq!(KeyFile::parse(&lower).unwrap().to_text(), good);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn round_trip(seed: u8, rotations in 0..6usize, age in 0u32..100_000_000) {
            let mut random = counting(seed);
            let mut keys = ServerKeys::generate(&mut random);
            for _ in 0..rotations {
                keys = keys.rotated(&mut random);
            }
            let file = KeyFile { keys, age_s: f64::from(age) / 10.0 };
            let again = KeyFile::parse(&file.to_text()).unwrap();
            prop_assert_eq!(again.to_text(), file.to_text());
            prop_assert_eq!(again.keys.current().id(), file.keys.current().id());
        }

        #[test]
        fn any_text(text in ".{0,200}") {
            let _ = KeyFile::parse(&text);
        }
    }
}
