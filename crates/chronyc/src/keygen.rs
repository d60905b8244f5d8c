//! `keygen` (chronyc chapter, section 9.1).

use crate::client::{Client, Failed};
use crate::commands::split_word;
use crate::diagnosis::{suggestion, system_text};
use crate::document::to_json;
use crate::numbers::unsigned_prefix;
use crate::options::Format;
use crate::random;

/// Hash functions of new keys. The daemon also reads keys of TIGER and WHIRLPOOL, but nobody should
/// make new ones, and the reference's usual builds refuse to.
const HASHES: [&str; 9] = [
    "MD5", "SHA1", "SHA256", "SHA384", "SHA512", "SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512",
];
/// Ciphers (CMAC), and the bytes of their keys.
const CIPHERS: [(&str, usize); 2] = [("AES128", 16), ("AES256", 32)];
/// Limits of the length of other keys, bytes.
const MIN_KEY_LENGTH: u32 = 10;
const MAX_KEY_LENGTH: u32 = 512;

/// The words of the command.
#[derive(Debug, PartialEq, Eq)]
struct KeygenOptions<'a> {
    id: u32,
    kind: &'a str,
    bits: u32,
}

impl<'a> KeygenOptions<'a> {
    fn parse(arguments: &'a str) -> Option<Self> {
        let mut options = Self {
            id: 1,
            kind: "SHA1",
            bits: 160,
        };
        let (id, rest) = split_word(arguments);
        let (kind, rest) = split_word(rest);
        let (bits, rest) = split_word(rest);
        if !id.is_empty() {
            options.id = unsigned_prefix(id)?.0;
        }
        if !kind.is_empty() {
            options.kind = kind;
        }
        if !bits.is_empty() {
            options.bits = unsigned_prefix(bits)?.0;
        }
        rest.is_empty().then_some(options)
    }

    /// Length of the key in bytes; `None` for an unknown kind.
    fn length(&self) -> Option<usize> {
        if let Some((_, length)) = CIPHERS.iter().find(|(name, _)| *name == self.kind) {
            return Some(*length);
        }
        let length = self.bits.div_ceil(8).clamp(MIN_KEY_LENGTH, MAX_KEY_LENGTH);
        HASHES.contains(&self.kind).then_some(length as usize)
    }
}

/// `keygen`: prints a line for the key file.
pub(crate) fn keygen(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let Some(options) = KeygenOptions::parse(arguments) else {
        client.error("Invalid syntax for keygen command");
        return Err(Failed);
    };
    let Some(length) = options.length() else {
        client.error(&format!("Unknown hash function or cipher {}", options.kind));
        let kinds = HASHES.into_iter().chain(CIPHERS.map(|(name, _)| name));
        client.hint(&suggestion(options.kind, kinds));
        return Err(Failed);
    };
    let mut key = vec![0; length];
    if let Err(error) = random::fill(&mut key) {
        client.error(&format!(
            "Could not get random bytes : {}",
            system_text(&error)
        ));
        return Err(Failed);
    }
    let digits: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
    let line = format!("{} {} HEX:{digits}", options.id, options.kind);
    match client.format {
        Format::Json => client.document.record("key", to_json(&line)),
        Format::Text | Format::Csv => client.out.line(&line),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::KeygenOptions;

    #[test]
    fn lengths() {
        let length = |arguments: &str| KeygenOptions::parse(arguments).and_then(|o| o.length());
        assert_eq!(length(""), Some(20));
        assert_eq!(length("11 MD5 40"), Some(10));
        assert_eq!(length("12 SHA512 9999"), Some(512));
        assert_eq!(length("13 AES128 999"), Some(16));
        assert_eq!(length("16 SHA256 129"), Some(17));
        assert_eq!(length("15 sha1"), None);
        assert_eq!(KeygenOptions::parse("x"), None);
        assert_eq!(KeygenOptions::parse("1 SHA1 160 foo"), None);
    }
}
