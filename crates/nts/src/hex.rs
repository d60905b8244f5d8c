//! Hexadecimal numbers in the files of NTS: written in upper case, read in any case.

use std::fmt::Write;

/// Appends `bytes` in upper-case hexadecimal.
pub(crate) fn push(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
}

/// The octets of a word of hexadecimal digits; `None` for an odd number of digits, any
/// other character, or an empty word.
pub(crate) fn parse(word: &str) -> Option<Vec<u8>> {
    if word.is_empty() || !word.len().is_multiple_of(2) {
        return None;
    }
    let digit = |octet: u8| char::from(octet).to_digit(16);
    word.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}
