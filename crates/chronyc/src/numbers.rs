//! Numbers as C's scanning functions read them: the longest prefix of a word that is one
//! (chronyc chapter, section 5.1).

/// A decimal integer with optional sign at the start of `text`, and what follows it. Values beyond
/// 64 bits stick at the limit.
pub(crate) fn integer_prefix(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, rest) = split_digits(unsigned, 10)?;
    let magnitude = digits.parse::<i128>().unwrap_or(i128::MAX / 2);
    let value = if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    let limited = value.clamp(i64::MIN.into(), i64::MAX.into());
    Some((limited as i64, rest))
}

/// As [`integer_prefix`], reduced to the low 32 bits as C's `int` is.
pub(crate) fn int_prefix(text: &str) -> Option<(i32, &str)> {
    integer_prefix(text).map(|(value, rest)| (value as i32, rest))
}

/// As [`integer_prefix`], reduced to the low 32 bits without sign.
pub(crate) fn unsigned_prefix(text: &str) -> Option<(u32, &str)> {
    integer_prefix(text).map(|(value, rest)| (value as u32, rest))
}

/// Splits off the leading digits of the given base; `None` if there is none.
fn split_digits(text: &str, base: u32) -> Option<(&str, &str)> {
    let end = text
        .find(|character: char| !character.is_digit(base))
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A floating-point number at the start of `text` as `strtod` takes it (decimal, hexadecimal,
/// infinity, NaN), and what follows it.
pub(crate) fn float_prefix(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (magnitude, rest) = special_prefix(unsigned)
        .or_else(|| hexadecimal_prefix(unsigned))
        .or_else(|| decimal_prefix(unsigned))?;
    let value = if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    Some((value, rest))
}

fn special_prefix(text: &str) -> Option<(f64, &str)> {
    for (word, value) in [
        ("infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ] {
        if let Some((start, rest)) = text.split_at_checked(word.len())
            && start.eq_ignore_ascii_case(word)
        {
            return Some((value, rest));
        }
    }
    None
}

fn decimal_prefix(text: &str) -> Option<(f64, &str)> {
    let mantissa = mantissa_length(text, 10)?;
    let (_, after) = text.split_at(mantissa);
    let rest = exponent_prefix(after, ['e', 'E']).map_or(after, |(_, rest)| rest);
    let (number, rest) = text.split_at(text.len() - rest.len());
    // Rust reads every form accepted here.
    number.parse().ok().map(|value| (value, rest))
}

/// Length of digits with at most one point; `None` without a digit.
fn mantissa_length(text: &str, base: u32) -> Option<usize> {
    let (mut digits, mut points) = (0, 0);
    for character in text.chars() {
        match character {
            '.' if points == 0 => points = 1,
            digit if digit.is_digit(base) => digits += 1,
            _ => break,
        }
    }
    (digits > 0).then_some(digits + points)
}

/// An exponent introduced by one of `letters`, and what follows it.
fn exponent_prefix(text: &str, letters: [char; 2]) -> Option<(i64, &str)> {
    let exponent = text.strip_prefix(letters)?;
    exponent
        .starts_with(|first: char| first.is_ascii_digit() || first == '+' || first == '-')
        .then(|| integer_prefix(exponent))
        .flatten()
}

fn hexadecimal_prefix(text: &str) -> Option<(f64, &str)> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    let length = mantissa_length(digits, 16)?;
    let (mantissa, after) = digits.split_at(length);
    let mut value = 0.0;
    let mut scale = 1.0;
    let mut fraction = false;
    for character in mantissa.chars() {
        match character.to_digit(16) {
            None => fraction = true,
            Some(digit) => {
                value = value * 16.0 + f64::from(digit);
                scale *= if fraction { 16.0 } else { 1.0 };
            }
        }
    }
    let (exponent, rest) = exponent_prefix(after, ['p', 'P']).unwrap_or((0, after));
    let exponent = exponent.clamp(-5000, 5000) as i32;
    Some((value / scale * 2f64.powi(exponent), rest))
}

#[cfg(test)]
mod tests {
    use super::{float_prefix, int_prefix, integer_prefix};

    #[test]
    fn integers() {
        assert_eq!(integer_prefix("  -12abc"), Some((-12, "abc")));
        assert_eq!(integer_prefix("+7"), Some((7, "")));
        assert_eq!(integer_prefix("x"), None);
        assert_eq!(integer_prefix("-"), None);
        assert_eq!(integer_prefix("99999999999999999999"), Some((i64::MAX, "")));
        assert_eq!(int_prefix("2147483648"), Some((i32::MIN, "")));
        assert_eq!(int_prefix("2.9 foo"), Some((2, ".9 foo")));
    }

    #[test]
    fn floats() {
        assert_eq!(float_prefix("1e-4x"), Some((1e-4, "x")));
        assert_eq!(float_prefix("192.0.2.1 10.0"), Some((192.0, ".2.1 10.0")));
        assert_eq!(float_prefix(".5e"), Some((0.5, "e")));
        assert_eq!(float_prefix("-0x1p-3"), Some((-0.125, "")));
        assert_eq!(float_prefix("0x"), Some((0.0, "x")));
        assert_eq!(float_prefix("-Inf"), Some((f64::NEG_INFINITY, "")));
        assert!(float_prefix("nan").is_some_and(|(value, _)| value.is_nan()));
        assert_eq!(float_prefix("."), None);
        assert_eq!(float_prefix("abc"), None);
    }
}
