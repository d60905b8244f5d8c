//! Numbers as the C library scans them (configuration chapter, section 3.2).
//!
//! Each function returns the value and how many bytes it took; what follows is the
//! caller's business. The rules are those of `scanf`, which differ from `strtod` in one
//! visible point: an exponent without digits (`1.0e`) is taken along.

/// Integer value and length of the longest prefix `[+-]digits`.
///
/// Values beyond 64 bits saturate, as `strtol` does.
pub fn integer_prefix(text: &str) -> Option<(i64, usize)> {
    let (magnitude, negative, length) = decimal_prefix(text)?;
    let value = match (negative, i64::try_from(magnitude)) {
        (false, Ok(value)) => value,
        (true, Ok(value)) => -value,
        (false, Err(_)) => i64::MAX,
        (true, Err(_)) => i64::MIN,
    };
    Some((value, length))
}

/// A 32-bit integer: values beyond wrap modulo 2³² (quirk of the reference).
pub fn wrapped_integer_prefix(text: &str) -> Option<(i32, usize)> {
    // Truncation is the point.
    integer_prefix(text).map(|(value, length)| (value as i32, length))
}

/// An unsigned integer; a minus sign negates modulo 2⁶⁴, larger values saturate.
pub fn unsigned_prefix(text: &str) -> Option<(u64, usize)> {
    let (magnitude, negative, length) = decimal_prefix(text)?;
    let value = match u64::try_from(magnitude) {
        Ok(value) if negative => value.wrapping_neg(),
        Ok(value) => value,
        Err(_) => u64::MAX,
    };
    Some((value, length))
}

/// An unsigned 32-bit integer, modulo 2³².
pub fn wrapped_unsigned_prefix(text: &str) -> Option<(u32, usize)> {
    // Truncation is the point.
    unsigned_prefix(text).map(|(value, length)| (value as u32, length))
}

/// The whole text as an integer; `None` also beyond 64 bits.
pub fn whole_integer(text: &str) -> Option<i64> {
    let (_, _, length) = decimal_prefix(text)?;
    if length != text.len() {
        return None;
    }
    text.parse().ok()
}

fn decimal_prefix(text: &str) -> Option<(u128, bool, usize)> {
    let bytes = text.as_bytes();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let digits = count(bytes, sign, u8::is_ascii_digit);
    if digits == 0 {
        return None;
    }
    let magnitude = text
        .get(sign..sign + digits)?
        .bytes()
        .fold(0u128, |value, digit| {
            value
                .saturating_mul(10)
                .saturating_add(u128::from(digit.wrapping_sub(b'0')))
        });
    Some((magnitude, bytes.first() == Some(&b'-'), sign + digits))
}

/// A floating number and its length: decimal, exponent, hexadecimal, `inf`, `nan`.
pub fn double_prefix(text: &str) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let negative = bytes.first() == Some(&b'-');
    let (magnitude, end) = match bytes.get(sign)?.to_ascii_lowercase() {
        b'i' => word_prefix(text, sign, "inf")
            .and_then(|end| match bytes.get(end).map(u8::to_ascii_lowercase) {
                // Once begun, the long form must be complete.
                Some(b'i') => word_prefix(text, sign, "infinity"),
                _ => Some(end),
            })
            .map(|end| (f64::INFINITY, end))?,
        b'n' => (f64::NAN, word_prefix(text, sign, "nan")?),
        b'0' if bytes
            .get(sign + 1)
            .is_some_and(|byte| byte.eq_ignore_ascii_case(&b'x')) =>
        {
            hexadecimal(bytes, sign + 2)?
        }
        _ => decimal(text, sign)?,
    };
    Some((if negative { -magnitude } else { magnitude }, end))
}

/// The whole text as a floating number.
pub fn whole_double(text: &str) -> Option<f64> {
    double_prefix(text)
        .filter(|(_, length)| *length == text.len())
        .map(|(value, _)| value)
}

fn word_prefix(text: &str, start: usize, word: &str) -> Option<usize> {
    let end = start + word.len();
    text.get(start..end)?
        .eq_ignore_ascii_case(word)
        .then_some(end)
}

fn count(bytes: &[u8], start: usize, accept: impl Fn(&u8) -> bool) -> usize {
    bytes
        .iter()
        .skip(start)
        .take_while(|byte| accept(byte))
        .count()
}

fn decimal(text: &str, start: usize) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let whole = count(bytes, start, u8::is_ascii_digit);
    let mut end = start + whole;
    let mut digits = whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = count(bytes, end + 1, u8::is_ascii_digit);
        digits += fraction;
        end += 1 + fraction;
    }
    if digits == 0 {
        return None;
    }
    let (value_end, end) = exponent(bytes, end, b'e');
    // Rust's parser takes all of these forms but `1.`-less ones alike and rounds correctly.
    text.get(start..value_end)?
        .parse()
        .ok()
        .map(|value| (value, end))
}

/// End of the number with a complete exponent, and end of what is taken along.
fn exponent(bytes: &[u8], start: usize, letter: u8) -> (usize, usize) {
    if !bytes
        .get(start)
        .is_some_and(|byte| byte.eq_ignore_ascii_case(&letter))
    {
        return (start, start);
    }
    let sign = usize::from(matches!(bytes.get(start + 1), Some(b'+' | b'-')));
    let digits = count(bytes, start + 1 + sign, u8::is_ascii_digit);
    let end = start + 1 + sign + digits;
    if digits == 0 {
        (start, end)
    } else {
        (end, end)
    }
}

fn hexadecimal(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let mut value = 0.0f64;
    let mut scale = 0i32;
    let mut digits = 0usize;
    let mut fraction = false;
    let mut end = start;
    while let Some(byte) = bytes.get(end) {
        match (char::from(*byte).to_digit(16), *byte) {
            (Some(digit), _) => {
                value = value * 16.0 + f64::from(digit);
                scale = scale.saturating_sub(if fraction { 4 } else { 0 });
                digits += 1;
            }
            (None, b'.') if !fraction => fraction = true,
            _ => break,
        }
        end += 1;
    }
    if digits == 0 {
        return None;
    }
    let (value_end, taken) = exponent(bytes, end, b'p');
    let power = bytes
        .get(end + 1..value_end)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(integer_prefix)
        .map_or(0, |(power, _)| power.clamp(-100_000, 100_000) as i32);
    Some((value * 2f64.powi(scale.saturating_add(power)), taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checked with the reference's binary: what follows the number is the next option.
    #[test]
    fn doubles_are_scanned_as_by_scanf() {
        let cases = [
            ("1.0x", Some((1.0, 3))),
            ("1,5", Some((1.0, 1))),
            (".5", Some((0.5, 2))),
            ("1.e5", Some((1e5, 4))),
            ("1.0e", Some((1.0, 4))),
            ("1e+x", Some((1.0, 3))),
            ("0x1p-3", Some((0.125, 6))),
            ("0x1pburst", Some((1.0, 4))),
            ("-0x.8", Some((-0.5, 5))),
            ("1e400", Some((f64::INFINITY, 5))),
            ("inf", Some((f64::INFINITY, 3))),
            ("-INFINITYburst", Some((f64::NEG_INFINITY, 9))),
            ("infi", None),
            ("0x", None),
            ("0xg", None),
            (".", None),
            ("-", None),
            ("x", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(double_prefix(text), expected, "{text}");
        }
        assert!(
            double_prefix("nanburst").is_some_and(|(value, length)| value.is_nan() && length == 3)
        );
    }

    #[test]
    fn integers_wrap_and_saturate() {
        assert_eq!(wrapped_integer_prefix("4294967419"), Some((123, 10)));
        assert_eq!(wrapped_unsigned_prefix("-1"), Some((u32::MAX, 2)));
        assert_eq!(wrapped_unsigned_prefix("4294967297"), Some((1, 10)));
        assert_eq!(integer_prefix("99999999999999999999"), Some((i64::MAX, 20)));
        assert_eq!(whole_integer("99999999999999999999"), None);
        assert_eq!(whole_integer("+012"), Some(12));
        assert_eq!(whole_integer("1x"), None);
        assert_eq!(integer_prefix("+"), None);
    }

    proptest! {
        #[test]
        fn lengths_stay_inside(text in "\\PC{0,12}") {
            for length in [
                double_prefix(&text).map(|found| found.1),
                integer_prefix(&text).map(|found| found.1),
                unsigned_prefix(&text).map(|found| found.1),
            ].into_iter().flatten() {
                prop_assert!(text.is_char_boundary(length));
            }
        }

        #[test]
        fn printed_doubles_read_back(value in any::<f64>().prop_filter("number", |value| value.is_finite())) {
            prop_assert_eq!(whole_double(&format!("{value:e}")), Some(value));
        }
    }
}
