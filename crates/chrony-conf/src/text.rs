//! Bytes as text without loss.
//!
//! chrony.conf has no declared encoding: bytes from 0x80 are ordinary characters
//! (configuration chapter, section 3.1). To work with `str` and still name files and
//! print messages byte for byte, each byte that is not part of valid UTF-8 is carried as
//! one character of the private range U+EF80–U+EFFF (the OPTU-8 convention); characters
//! of that range in the input are carried byte by byte, so that the mapping is lossless.

use std::borrow::Cow;
use std::path::PathBuf;

/// First character of the private range; byte 0x80 is carried as this character.
const CARRIER_FIRST: u32 = 0xEF80;
/// Last character of the private range, for byte 0xFF.
const CARRIER_LAST: u32 = 0xEFFF;

/// Text of a sequence of bytes; [`to_bytes`] gives the same bytes back.
pub fn from_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.is_ascii() {
        // Valid by the test above; the lossy conversion borrows.
        return String::from_utf8_lossy(bytes);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_carrier(character) {
                let mut buffer = [0; 4];
                character
                    .encode_utf8(&mut buffer)
                    .bytes()
                    .for_each(|byte| push_carried(&mut text, byte));
            } else {
                text.push(character);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_carried(&mut text, *byte));
    }
    Cow::Owned(text)
}

/// The bytes that [`from_bytes`] was given.
pub fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        if is_carrier(character) {
            // The range has 128 characters, so the low seven bits are the byte's.
            bytes.push(0x80 | (u32::from(character) - CARRIER_FIRST) as u8);
        } else {
            let mut buffer = [0; 4];
            bytes.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
    bytes
}

/// A file name as it was written in the configuration.
pub fn to_path(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(to_bytes(text)))
}

/// A file name as text for messages.
pub fn from_path(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    from_bytes(path.as_os_str().as_bytes()).into_owned()
}

fn is_carrier(character: char) -> bool {
    (CARRIER_FIRST..=CARRIER_LAST).contains(&u32::from(character))
}

fn push_carried(text: &mut String, byte: u8) {
    text.push(
        char::from_u32(CARRIER_FIRST + u32::from(byte & 0x7F))
            .unwrap_or(char::REPLACEMENT_CHARACTER),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ascii_and_utf8_stay_what_they_are() {
        assert_eq!(from_bytes("Zürich".as_bytes()), "Zürich");
        assert_eq!(from_bytes(b"plain"), "plain");
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(to_bytes(&from_bytes(&bytes)), bytes);
        }

        #[test]
        fn carriers_survive(text in "[\u{EF70}-\u{F010}a]{0,12}") {
            prop_assert_eq!(to_bytes(&from_bytes(text.as_bytes())), text.as_bytes());
        }
    }
}
