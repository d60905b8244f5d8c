//! A message as `printf` describes it, and whether a text could have been printed by it.

/// A piece of a format.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(String),
    /// `%s`: anything but nothing.
    Text,
    /// `%d`
    Integer,
    /// `%x`
    Hexadecimal,
    /// `%.Nf`, and `%f` with its six decimals.
    Decimals(usize),
}

/// A format.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    /// Takes a format apart.
    pub(crate) fn new(format: &str) -> Self {
        let mut pieces = Vec::new();
        let mut parts = format.split('%');
        let literal = |pieces: &mut Vec<Piece>, text: &str| {
            if !text.is_empty() {
                pieces.push(Piece::Literal(text.to_owned()));
            }
        };
        literal(&mut pieces, parts.next().unwrap_or_default());
        for part in parts {
            let end = part.find(|letter: char| letter.is_ascii_alphabetic());
            let (conversion, rest) = part.split_at(end.expect("a conversion") + 1);
            pieces.push(match conversion {
                "s" => Piece::Text,
                "d" => Piece::Integer,
                "x" => Piece::Hexadecimal,
                "f" => Piece::Decimals(6),
                other => {
                    let digits = other.trim_start_matches('.').trim_end_matches('f');
                    Piece::Decimals(digits.parse().expect("a number of decimals"))
                }
            });
            literal(&mut pieces, rest);
        }
        Self(pieces)
    }

    /// Whether a text has this form, to its end.
    pub(crate) fn matches(&self, text: &str) -> bool {
        fits(&self.0, text)
    }

    /// The longest piece without a conversion.
    pub(crate) fn longest_literal(&self) -> &str {
        let literals = self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text.trim()),
            _ => None,
        });
        literals.max_by_key(|text| text.len()).unwrap_or_default()
    }
}

fn fits(pieces: &[Piece], text: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return text.is_empty();
    };
    match first {
        Piece::Literal(literal) => text
            .strip_prefix(literal.as_str())
            .is_some_and(|left| fits(rest, left)),
        piece => text
            .char_indices()
            .map(|(index, letter)| index + letter.len_utf8())
            .any(|end| prints(piece, &text[..end]) && fits(rest, &text[end..])),
    }
}

/// Whether a conversion can print this.
fn prints(piece: &Piece, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match piece {
        Piece::Literal(literal) => literal == text,
        Piece::Text => true,
        Piece::Integer => digits(unsigned),
        Piece::Hexadecimal => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        Piece::Decimals(count) => unsigned.split_once('.').is_some_and(|(whole, fraction)| {
            digits(whole) && digits(fraction) && fraction.len() == *count
        }),
    }
}

#[test]
fn formats_and_texts() {
    let pattern = Pattern::new("Stratum of %s above maxstratum of %d");
    assert!(pattern.matches("Stratum of 192.0.2.1 (a of b) above maxstratum of 15"));
    assert!(!pattern.matches("Stratum of 192.0.2.1 above maxstratum of 15."));
    assert_eq!(pattern.longest_literal(), "above maxstratum of");
    let pattern = Pattern::new("%.3f and %f");
    assert!(pattern.matches("-1.250 and 0.500000"));
    for wrong in [
        "1.25 and 0.500000",
        "1.250 and 0.5",
        "nan and 0.500000",
        "1.250 and inf",
    ] {
        assert!(!pattern.matches(wrong), "{wrong}");
    }
}
