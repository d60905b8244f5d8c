//! The key file (configuration chapter, section 7.1).

use std::fmt;
use std::path::Path;

use ntp_wire::{KeyKind, MIN_STRONG_SECRET_LENGTH};
use zeroize::Zeroizing;

use crate::diagnostics::Message;
use crate::files::{FileFacts, Reader};
use crate::lexer;
use crate::numbers;
use crate::text;

/// Most bytes of a line that are read at once; what follows counts as another line (quirk).
const LINE_BUFFER: usize = 2047;

/// A symmetric key. Its secret is wiped when it is dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Key ID; 0 can be loaded but not be used by a source.
    pub id: u32,
    /// Hash function or cipher.
    pub key_type: KeyKind,
    /// The secret.
    pub secret: Zeroizing<Vec<u8>>,
}

impl Key {
    /// Whether the key has less than 80 bits: `Key ID is too short` when a source uses it.
    pub fn is_weak(&self) -> bool {
        self.secret.len() < MIN_STRONG_SECRET_LENGTH
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Key({} {}, {} octets)",
            self.id,
            self.key_type.name(),
            self.secret.len()
        )
    }
}

/// The keys of a file and what is to be said about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// Keys in the order of the file. Of duplicates the last one is used ([`KeyFile::find`]).
    pub keys: Vec<Key>,
    /// Messages in order, among them `Loaded N symmetric keys`.
    pub messages: Vec<Message>,
}

impl KeyFile {
    /// The key with this ID; of duplicates the last one.
    pub fn find(&self, id: u32) -> Option<&Key> {
        self.keys.iter().rev().find(|key| key.id == id)
    }
}

/// Reads a key file with the check of its permissions.
///
/// `is_supported` says which types the build can compute.
pub fn load(path: &Path, reader: &dyn Reader, is_supported: &dyn Fn(KeyKind) -> bool) -> KeyFile {
    let name = text::from_path(path);
    let mut messages: Vec<Message> = reader
        .facts(path)
        .ok()
        .and_then(|facts| permission_warning(&name, facts))
        .into_iter()
        .collect();
    match reader.read(path) {
        Ok(content) => {
            let content = Zeroizing::new(content);
            let mut file = parse(&content, &name, is_supported);
            messages.append(&mut file.messages);
            KeyFile {
                keys: file.keys,
                messages,
            }
        }
        Err(_) => {
            messages.push(Message::warning(format!("Could not open keyfile {name}")));
            KeyFile {
                keys: Vec::new(),
                messages,
            }
        }
    }
}

/// The warning about a file with secrets that others can read or write.
pub fn permission_warning(name: &str, facts: FileFacts) -> Option<Message> {
    const OTHERS_READ: u32 = 0o004;
    const OTHERS_WRITE: u32 = 0o002;
    let kind = match facts.mode {
        _ if !facts.is_regular => return None,
        mode if mode & OTHERS_READ != 0 => "readable",
        mode if mode & OTHERS_WRITE != 0 => "writable",
        _ => return None,
    };
    Some(Message::warning(format!(
        "World-{kind} permissions on {name}"
    )))
}

/// Parses the content of a key file; `name` is for the messages.
pub fn parse(content: &[u8], name: &str, is_supported: &dyn Fn(KeyKind) -> bool) -> KeyFile {
    let mut file = KeyFile::default();
    let pieces = content
        .split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| line.chunks(LINE_BUFFER));
    for (index, piece) in pieces.enumerate() {
        let end = piece
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(piece.len());
        let line = text::from_bytes(piece.get(..end).unwrap_or(piece));
        let words: Vec<&str> = lexer::words(&line).iter().map(|word| word.text).collect();
        if words.is_empty() {
            continue;
        }
        match parse_key(&words, is_supported) {
            Ok(key) => file.keys.push(key),
            Err(KeyError::Syntax) => file.messages.push(Message::warning(format!(
                "Could not parse key at line {} in file {name}",
                index + 1
            ))),
            Err(KeyError::Key(problem)) => file.messages.push(Message::warning(problem)),
        }
    }
    file.messages.push(Message::info(format!(
        "Loaded {} symmetric keys",
        file.keys.len()
    )));
    let mut ids: Vec<u32> = file.keys.iter().map(|key| key.id).collect();
    ids.sort_unstable();
    for pair in ids.windows(2) {
        if let [first, second] = pair
            && first == second
        {
            file.messages
                .push(Message::warning(format!("Detected duplicate key {first}")));
        }
    }
    file
}

enum KeyError {
    Syntax,
    Key(String),
}

fn parse_key(words: &[&str], is_supported: &dyn Fn(KeyKind) -> bool) -> Result<Key, KeyError> {
    let (id, type_name, secret) = match words {
        [id, secret] => (id, "MD5", secret),
        [id, type_name, secret] => (id, *type_name, secret),
        _ => return Err(KeyError::Syntax),
    };
    let (id, _) = numbers::wrapped_unsigned_prefix(id).ok_or(KeyError::Syntax)?;
    let secret =
        decode(secret).ok_or_else(|| KeyError::Key(format!("Could not decode key {id}")))?;
    let key_type = KeyKind::from_name(type_name)
        .ok_or_else(|| KeyError::Key(format!("Invalid type in key {id}")))?;
    if !is_supported(key_type) {
        let kind = if key_type.secret_length().is_some() {
            "cipher"
        } else {
            "hash function"
        };
        return Err(KeyError::Key(format!("Unsupported {kind} in key {id}")));
    }
    match key_type.secret_length() {
        Some(octets) if octets != secret.len() => Err(KeyError::Key(format!(
            "Invalid length of {type_name} key {id} (expected {} bits)",
            8 * octets
        ))),
        _ => Ok(Key {
            id,
            key_type,
            secret,
        }),
    }
}

/// Decodes `HEX:…`, `ASCII:…` or plain text; an empty key is refused.
fn decode(word: &str) -> Option<Zeroizing<Vec<u8>>> {
    let secret = match (word.strip_prefix("HEX:"), word.strip_prefix("ASCII:")) {
        (Some(digits), _) => decode_hex(digits.as_bytes())?,
        (None, plain) => text::to_bytes(plain.unwrap_or(word)),
    };
    Some(Zeroizing::new(secret)).filter(|secret| !secret.is_empty())
}

/// Pairs of hexadecimal digits; a sign may stand for the first one of a pair (quirk).
fn decode_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    digits
        .chunks(2)
        .map(|pair| match *pair {
            [b'+', low] => digit(low),
            [b'-', low] => digit(low).map(u8::wrapping_neg),
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(file: &KeyFile) -> Vec<&str> {
        file.messages
            .iter()
            .map(|message| message.text.as_str())
            .collect()
    }

    /// The answers of the reference's 4.3 release to the same file.
    #[test]
    fn messages_are_those_of_the_reference() {
        let content = b"12 FOO HEX:X\n13 TIGER HEX:X\n14 AES128 HEX:\n15 MD5 HEX:+A\n16 MD5 HEX:-1\n\
            17 MD5 HEX: A\n18 MD5  abc\n 19\tSHA1\tabcdefghijkl\r\n20x abcdefghijkl\n+21 abcdefghijkl\n\
            -22 abcdefghijkl\n23 MD5 HEX:0x11\n24 MD5 HEX:0x\n# c\n! c\n% c\n; c\n\n\
            25 RMD128 abcdefghijklm\n26 MD5 ASCII:HEX:11\n22\n4294967274 abcdefghijkl";
        let file = parse(content, "k1", &|_| true);
        assert_eq!(
            texts(&file),
            [
                "Could not decode key 12",
                "Could not decode key 13",
                "Could not decode key 14",
                "Could not parse key at line 6 in file k1",
                "Could not decode key 23",
                "Could not decode key 24",
                "Invalid type in key 25",
                "Could not parse key at line 21 in file k1",
                "Loaded 9 symmetric keys",
                "Detected duplicate key 4294967274",
            ]
        );
        assert_eq!(
            file.find(16).map(|key| key.secret.to_vec()),
            Some(vec![0xFF])
        );
        assert_eq!(
            file.find(26).map(|key| key.secret.to_vec()),
            Some(b"HEX:11".to_vec())
        );
        assert_eq!(
            file.find(19).map(|key| (key.key_type, key.is_weak())),
            Some((KeyKind::Sha1, false))
        );
    }

    #[test]
    fn long_lines_are_several_lines() {
        let long = [
            b"# ".as_slice(),
            &[b'x'; LINE_BUFFER - 3],
            b"y 7 abc\n8 abc\n",
        ]
        .concat();
        let file = parse(&long, "k", &|_| true);
        assert_eq!(
            file.keys.iter().map(|key| key.id).collect::<Vec<_>>(),
            [7, 8]
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let file = parse(b"1 MD5 ASCII:geheim\n", "k", &|_| true);
        assert!(!format!("{file:?}").contains("geheim"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let file = parse(&content, "k", &|_| true);
            prop_assert!(file.keys.iter().all(|key| !key.secret.is_empty()));
        }

        #[test]
        fn written_keys_read_back(
            id in 1u32..,
            kind in 0usize..9,
            secret in proptest::collection::vec(any::<u8>(), 1..40),
        ) {
            let key_type = KeyKind::ALL[kind];
            let digits: String = secret.iter().map(|byte| format!("{byte:02X}")).collect();
            let line = format!("{id} {} HEX:{digits}", key_type.name());
            let file = parse(line.as_bytes(), "k", &|_| true);
            prop_assert_eq!(file.keys, vec![Key { id, key_type, secret: Zeroizing::new(secret) }]);
        }
    }
}
