//! Shell patterns of `include` (configuration chapter, section 3.4).

use std::path::{Path, PathBuf};

use crate::files::Reader;
use crate::text;

/// A directory of the pattern could not be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchError;

/// Whether a name has wildcard characters, or a backslash, which takes their meaning away.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// The files that match a pattern, sorted bytewise.
pub fn expand(pattern: &str, reader: &dyn Reader) -> Result<Vec<PathBuf>, SearchError> {
    let bytes = text::to_bytes(pattern);
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    let mut searched = false;
    for component in bytes.split_inclusive(|byte| *byte == b'/') {
        let name = component.strip_suffix(b"/").unwrap_or(component);
        let separator = component.get(name.len()..).unwrap_or(&[]);
        let mut next = Vec::new();
        for prefix in found {
            let names = if has_wildcard(name) {
                matching_names(&prefix, name, reader)?
            } else {
                vec![unescaped(name)]
            };
            for name in names {
                next.push([prefix.as_slice(), &name, separator].concat());
            }
        }
        found = next;
        searched |= has_wildcard(name);
        // What is missing after a wildcard is no match.
        if searched && !has_wildcard(name) {
            found.retain(|path| exists(path, reader));
        }
    }
    if !searched {
        found.retain(|path| exists(path, reader));
    }
    found.sort();
    Ok(found.iter().map(|path| to_path(path)).collect())
}

fn to_path(bytes: &[u8]) -> PathBuf {
    text::to_path(&text::from_bytes(bytes))
}

fn exists(path: &[u8], reader: &dyn Reader) -> bool {
    reader.facts(&to_path(path)).is_ok()
}

fn has_wildcard(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' {
            *bytes.next().unwrap_or(byte)
        } else {
            *byte
        });
    }
    plain
}

fn matching_names(
    directory: &[u8],
    pattern: &[u8],
    reader: &dyn Reader,
) -> Result<Vec<Vec<u8>>, SearchError> {
    let path = if directory.is_empty() {
        PathBuf::from(".")
    } else {
        to_path(directory)
    };
    let names = match reader.list(&path) {
        Ok(names) => names,
        // What is no directory matches nothing; anything else is an error.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(_) => return Err(SearchError),
    };
    Ok(names
        .iter()
        .map(|name| path_bytes(name))
        .filter(|name| matches(pattern, name))
        .collect())
}

fn path_bytes(path: &Path) -> Vec<u8> {
    text::to_bytes(&text::from_path(path))
}

/// Whether a name matches; a leading dot only matches a dot that is written.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    // Where to go back to: after the last star, and the name it has taken so far.
    let mut retry: Option<(&[u8], &[u8])> = None;
    let (mut pattern, mut name) = (pattern, name);
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, name));
                pattern = rest;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some((byte, name_rest))) => {
                if let Some(rest) = match_one(pattern, *byte) {
                    (pattern, name) = (rest, name_rest);
                    continue;
                }
            }
            _ => {}
        }
        match retry {
            Some((rest, taken)) => match taken.split_first() {
                Some((_, taken)) => {
                    retry = Some((rest, taken));
                    (pattern, name) = (rest, taken);
                }
                None => return false,
            },
            None => return false,
        }
    }
}

/// Matches one byte; returns the rest of the pattern.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => match bracket(rest, byte) {
            Some((true, rest)) => Some(rest),
            Some((false, _)) => None,
            // Without closing bracket it is an ordinary character.
            None => (byte == b'[').then_some(rest),
        },
        [b'\\', escaped, rest @ ..] => (*escaped == byte).then_some(rest),
        [plain, rest @ ..] => (*plain == byte).then_some(rest),
        [] => None,
    }
}

/// Evaluates `[...]` after its opening bracket: whether the byte is in it, and what follows.
fn bracket(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut inside = false;
    let mut first = true;
    loop {
        rest = match rest {
            [b']', after @ ..] if !first => return Some((inside != negated, after)),
            [b'[', b':', class @ ..] if class_end(class).is_some() => {
                let (name, after) = class.split_at(class_end(class)?);
                inside |= in_class(name, byte);
                after.get(2..)?
            }
            [low, b'-', high, after @ ..] if *high != b']' => {
                inside |= (*low..=*high).contains(&byte);
                after
            }
            [b'\\', plain, after @ ..] | [plain, after @ ..] => {
                inside |= *plain == byte;
                after
            }
            [] => return None,
        };
        first = false;
    }
}

/// Where the name of a class such as `[:alpha:]` ends.
fn class_end(text: &[u8]) -> Option<usize> {
    let length = text
        .iter()
        .take_while(|byte| byte.is_ascii_lowercase())
        .count();
    text.get(length..)?.starts_with(b":]").then_some(length)
}

/// Whether a byte is of a class of the C locale.
fn in_class(name: &[u8], byte: u8) -> bool {
    match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => crate::lexer::is_space(byte),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".a.conf", false),
            (".*", ".a.conf", true),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("\\*", "*", true),
            ("[[:alpha:]_]?", "a1", true),
            ("[![:digit:]]", "7", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_pattern_ends(pattern in "[ab*?\\[\\]!\\\\-]{0,12}", name in "[ab]{0,12}") {
            matches(pattern.as_bytes(), name.as_bytes());
        }

        #[test]
        fn a_star_matches_every_visible_name(name in "[a-z]{1,12}") {
            prop_assert!(matches(b"*", name.as_bytes()));
        }
    }
}
