//! Lines and words (configuration chapter, section 3.1).

use std::borrow::Cow;

use crate::text;

/// Most bytes a line can have, its line feed included.
pub const LINE_LENGTH_MAX: usize = 2047;

/// A word and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'l> {
    /// The word itself; never empty.
    pub text: &'l str,
    /// Byte offset in its line.
    pub start: usize,
}

/// White space as the C locale's `isspace` knows it.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0B | 0x0C | b'\r')
}

/// The words of a line; none for a blank line or a comment.
pub fn words(line: &str) -> Vec<Word<'_>> {
    let words = split(line);
    match words.first().and_then(|word| word.text.bytes().next()) {
        Some(b'!' | b';' | b'#' | b'%') => Vec::new(),
        _ => words,
    }
}

/// The words of a text, comments not looked for.
pub fn split(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    for (index, byte) in line.bytes().enumerate() {
        match (is_space(byte), start) {
            (true, Some(first)) => {
                words.push(Word {
                    text: line.get(first..index).unwrap_or(""),
                    start: first,
                });
                start = None;
            }
            (false, None) => start = Some(index),
            _ => {}
        }
    }
    if let Some(first) = start {
        words.push(Word {
            text: line.get(first..).unwrap_or(""),
            start: first,
        });
    }
    words
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'f> {
    /// The line's text up to a NUL byte, without line feed.
    pub text: Cow<'f, str>,
    /// Whether it is longer than [`LINE_LENGTH_MAX`].
    pub too_long: bool,
    /// Whether a line feed ended it.
    pub terminated: bool,
}

/// The lines of a file, or of an argument when `content` has no line feed.
pub fn lines(content: &[u8]) -> impl Iterator<Item = Line<'_>> {
    content.split_inclusive(|byte| *byte == b'\n').map(|bytes| {
        let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let end = body
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(body.len());
        Line {
            text: text::from_bytes(body.get(..end).unwrap_or(body)),
            too_long: bytes.len() > LINE_LENGTH_MAX,
            terminated: body.len() < bytes.len(),
        }
    })
}

/// Words joined by single spaces: the printed form of a line.
pub fn normalised(words: &[Word<'_>]) -> String {
    let mut joined = String::with_capacity(words.iter().map(|word| word.text.len() + 1).sum());
    for word in words {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word.text);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_place() {
        let found = words("  SERVER\t1.2.3.4   ibUrst  \r");
        let places: Vec<_> = found.iter().map(|word| (word.text, word.start)).collect();
        assert_eq!(places, [("SERVER", 2), ("1.2.3.4", 9), ("ibUrst", 19)]);
        assert_eq!(normalised(&found), "SERVER 1.2.3.4 ibUrst");
    }

    #[test]
    fn comments_are_whole_lines_only() {
        for comment in ["# a", "  ! b", "\t;c", "% d", "", " \x0b\x0c"] {
            assert!(words(comment).is_empty(), "{comment:?}");
        }
        assert_eq!(words("port 1 # x").len(), 4);
    }

    #[test]
    fn length_limit_counts_the_line_feed() {
        let longest = [vec![b'#'; LINE_LENGTH_MAX - 1], vec![b'\n']].concat();
        assert!(!lines(&longest).any(|line| line.too_long));
        let longer = [vec![b'#'; LINE_LENGTH_MAX], vec![b'\n']].concat();
        assert!(lines(&longer).any(|line| line.too_long));
        assert!(!lines(&vec![b'#'; LINE_LENGTH_MAX]).any(|line| line.too_long));
        assert!(lines(&vec![b'#'; LINE_LENGTH_MAX + 1]).any(|line| line.too_long));
    }

    #[test]
    fn nul_hides_the_rest_of_its_line() {
        let found: Vec<_> = lines(b"port 1\0 junk\nport 2")
            .map(|line| line.text.into_owned())
            .collect();
        assert_eq!(found, ["port 1", "port 2"]);
    }
}
