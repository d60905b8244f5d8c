//! Tokens of dates (chronyc chapter, section 10.1 and the table of words in 10.2).

/// Relative units; the number is how many of them a word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Years(i64),
    Months(i64),
    Days(i64),
    Hours(i64),
    Minutes(i64),
    Seconds(i64),
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A number with a sign directly before it.
    Signed(i32),
    /// A number without sign, or an ordinal.
    Unsigned(i32),
    /// `am` (false) or `pm` (true).
    Meridian(bool),
    /// 1…12.
    Month(i64),
    /// 0 is Sunday.
    Day(i64),
    /// Minutes west of Greenwich.
    Zone(i64),
    /// A zone's daylight saving time; the minutes west are those of the zone without it.
    DaylightZone(i64),
    Dst,
    Unit(Unit),
    Ago,
    Character(char),
}

/// Letters of a word that count.
const MAX_WORD: usize = 19;

/// The tokens of a text; `None` if there is an unknown word.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        if first.is_ascii_whitespace() {
            rest = after;
        } else if first == '(' {
            rest = skip_comment(after);
        } else if first.is_ascii_digit() {
            let (number, after) = take_number(rest);
            tokens.push(Token::Unsigned(number));
            rest = after;
        } else if first == '+' || first == '-' {
            rest = after;
            // A sign that no digit follows is skipped.
            if after.starts_with(|next: char| next.is_ascii_digit()) {
                let (number, after) = take_number(after);
                let negative = first == '-';
                tokens.push(Token::Signed(if negative {
                    number.wrapping_neg()
                } else {
                    number
                }));
                rest = after;
            }
        } else if first.is_ascii_alphabetic() {
            let in_word = |letter: char| letter.is_ascii_alphabetic() || letter == '.';
            let end = rest.find(|letter| !in_word(letter)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let word: String = word.chars().take(MAX_WORD).collect();
            tokens.push(look_up(&word.to_ascii_lowercase())?);
            rest = after;
        } else {
            tokens.push(Token::Character(first));
            rest = after;
        }
    }
    Some(tokens)
}

/// What follows a comment whose opening parenthesis is behind. One that is not closed ends the text.
fn skip_comment(text: &str) -> &str {
    let mut depth = 1;
    for (position, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(position + 1..).unwrap_or_default();
        }
    }
    ""
}

/// A number of 32 bits that wraps around, and what follows it.
fn take_number(text: &str) -> (i32, &str) {
    let end = text
        .find(|digit: char| !digit.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    let number = digits.bytes().fold(0i32, |number, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(i32::from(digit - b'0'))
    });
    (number, after)
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
/// Further abbreviations.
const MONTHS_AND_DAYS: [(&str, Token); 5] = [
    ("sept", Token::Month(9)),
    ("tues", Token::Day(2)),
    ("wednes", Token::Day(3)),
    ("thur", Token::Day(4)),
    ("thurs", Token::Day(4)),
];

/// Hours west, and the names.
const ZONES_WEST: [(i64, &[&str]); 13] = [
    (0, &["gmt", "ut", "utc", "wet"]),
    (1, &["wat"]),
    (2, &["at"]),
    (4, &["ast"]),
    (5, &["est"]),
    (6, &["cst"]),
    (7, &["mst"]),
    (8, &["pst"]),
    (9, &["yst"]),
    (10, &["hst", "cat", "ahst"]),
    (11, &["nt"]),
    (12, &["idlw"]),
    (0, &["z"]),
];
/// Hours east, and the names.
const ZONES_EAST: [(i64, &[&str]); 11] = [
    (1, &["cet", "met", "mewt", "swt", "fwt"]),
    (2, &["eet"]),
    (3, &["bt"]),
    (4, &["zp4"]),
    (5, &["zp5"]),
    (6, &["zp6"]),
    (7, &["wast"]),
    (8, &["cct"]),
    (9, &["jst"]),
    (10, &["east", "gst"]),
    (12, &["nzt", "nzst", "idle"]),
];
/// Hours west of the zone without daylight saving time, and the names with it.
const DAYLIGHT_ZONES: [(i64, &[&str]); 12] = [
    (0, &["bst"]),
    (4, &["adt"]),
    (5, &["edt"]),
    (6, &["cdt"]),
    (7, &["mdt"]),
    (8, &["pdt"]),
    (9, &["ydt"]),
    (10, &["hdt"]),
    (-1, &["mest", "mesz", "sst", "fst"]),
    (-7, &["wadt"]),
    (-10, &["eadt"]),
    (-12, &["nzdt"]),
];
const UNITS: [(&str, Unit); 10] = [
    ("year", Unit::Years(1)),
    ("month", Unit::Months(1)),
    ("fortnight", Unit::Days(14)),
    ("week", Unit::Days(7)),
    ("day", Unit::Days(1)),
    ("hour", Unit::Hours(1)),
    ("minute", Unit::Minutes(1)),
    ("min", Unit::Minutes(1)),
    ("second", Unit::Seconds(1)),
    ("sec", Unit::Seconds(1)),
];
const RELATIVE_WORDS: [(&str, Token); 18] = [
    ("tomorrow", Token::Unit(Unit::Minutes(1440))),
    ("yesterday", Token::Unit(Unit::Minutes(-1440))),
    ("today", Token::Unit(Unit::Minutes(0))),
    ("now", Token::Unit(Unit::Minutes(0))),
    ("this", Token::Unit(Unit::Minutes(0))),
    ("last", Token::Unsigned(-1)),
    ("next", Token::Unsigned(1)),
    ("first", Token::Unsigned(1)),
    ("third", Token::Unsigned(3)),
    ("fourth", Token::Unsigned(4)),
    ("fifth", Token::Unsigned(5)),
    ("sixth", Token::Unsigned(6)),
    ("seventh", Token::Unsigned(7)),
    ("eighth", Token::Unsigned(8)),
    ("ninth", Token::Unsigned(9)),
    ("tenth", Token::Unsigned(10)),
    ("eleventh", Token::Unsigned(11)),
    ("twelfth", Token::Unsigned(12)),
];

/// The token of a word in lower case, by the kinds of words in their order.
fn look_up(word: &str) -> Option<Token> {
    match word {
        "am" | "a.m." => return Some(Token::Meridian(false)),
        "pm" | "p.m." => return Some(Token::Meridian(true)),
        "ago" => return Some(Token::Ago),
        _ => {}
    }
    month_or_day(word)
        .or_else(|| zone(word))
        .or_else(|| (word == "dst").then_some(Token::Dst))
        .or_else(|| unit(word))
        .or_else(|| find(&RELATIVE_WORDS, word))
        .or_else(|| military_zone(word))
        .or_else(|| zone(&word.replace('.', "")))
}

fn find<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, meaning)| *meaning)
}

fn month_or_day(word: &str) -> Option<Token> {
    /// Letters of an abbreviation, which may have a dot after them.
    const ABBREVIATION: usize = 3;
    if let Some(token) = find(&MONTHS_AND_DAYS, word) {
        return Some(token);
    }
    let abbreviation = word.strip_suffix('.').unwrap_or(word);
    let position = |names: &[&str]| {
        let is_meant = |name: &&str| {
            **name == *word || abbreviation.len() == ABBREVIATION && name.starts_with(abbreviation)
        };
        names
            .iter()
            .position(is_meant)
            .and_then(|index| i64::try_from(index).ok())
    };
    let month = position(&MONTHS).map(|index| Token::Month(index + 1));
    month.or_else(|| position(&DAYS).map(Token::Day))
}

fn zone(word: &str) -> Option<Token> {
    let among = |zones: &[(i64, &[&str])]| {
        zones
            .iter()
            .find(|(_, names)| names.contains(&word))
            .map(|(hours, _)| *hours * 60)
    };
    among(&ZONES_WEST)
        .map(Token::Zone)
        .or_else(|| among(&ZONES_EAST).map(|east| Token::Zone(-east)))
        .or_else(|| among(&DAYLIGHT_ZONES).map(Token::DaylightZone))
}

fn unit(word: &str) -> Option<Token> {
    let singular = word.strip_suffix('s').unwrap_or(word);
    find(&UNITS, word)
        .or_else(|| find(&UNITS, singular))
        .map(Token::Unit)
}

/// Single letters, whose sign is opposite to the usual military convention. There is no J.
fn military_zone(word: &str) -> Option<Token> {
    let &[letter] = word.as_bytes() else {
        return None;
    };
    let hours_west = match letter {
        b'a'..=b'i' => i64::from(letter - b'a') + 1,
        b'k'..=b'm' => i64::from(letter - b'k') + 10,
        b'n'..=b'y' => -(i64::from(letter - b'n') + 1),
        b'z' => 0,
        _ => return None,
    };
    Some(Token::Zone(hours_west * 60))
}
