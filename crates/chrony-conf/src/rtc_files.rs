//! Files about the real-time clock: `rtcfile` (configuration chapter, section 7.7) and
//! `hwclockfile` (section 4.8).

use std::path::Path;

use crate::diagnostics::Message;
use crate::files::Reader;
use crate::lexer;
use crate::numbers;
use crate::text;

/// Error of the real-time clock as a line over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcCoefficients {
    /// Whether the other values are usable.
    pub valid: bool,
    /// Time that the offset belongs to, seconds since 1970.
    pub reference_time_s: i64,
    /// Offset at that time, s; positive = the clock is fast.
    pub offset_s: f64,
    /// Rate of gain, ppm.
    pub rate_ppm: f64,
}

/// Parses the four numbers of `rtcfile`.
pub fn parse_coefficients(content: &[u8]) -> Option<RtcCoefficients> {
    let head = text::from_bytes(content.get(..content.len().min(512)).unwrap_or(content));
    let words = lexer::split(&head);
    let word = |index: usize| words.get(index).map(|word| word.text);
    let number =
        |index| numbers::whole_double(word(index)?).filter(|value: &f64| value.is_finite());
    Some(RtcCoefficients {
        valid: numbers::whole_integer(word(0)?)? == 1,
        // Whole seconds; the conversion saturates.
        reference_time_s: number(1)? as i64,
        offset_s: number(2)?,
        rate_ppm: number(3)?,
    })
}

/// The content of `rtcfile`, line feed included.
pub fn format_coefficients(coefficients: &RtcCoefficients) -> String {
    let RtcCoefficients {
        valid,
        reference_time_s,
        offset_s,
        rate_ppm,
    } = coefficients;
    format!(
        "{} {reference_time_s} {offset_s:.6} {rate_ppm:.3}\n",
        u8::from(*valid)
    )
}

/// Reads `rtcfile`; the message is the error of a file that is there but not usable.
pub fn load_coefficients(
    path: &Path,
    reader: &dyn Reader,
) -> Result<Option<RtcCoefficients>, Message> {
    let Ok(content) = reader.read(path) else {
        return Ok(None);
    };
    parse_coefficients(&content).map(Some).ok_or_else(|| {
        Message::warning(format!(
            "Could not read coefficients from {}",
            text::from_path(path)
        ))
    })
}

/// Whether the clock keeps UTC according to hwclock's adjtime file: its third line begins
/// with `UTC` or `LOCAL`.
pub fn parse_hwclock(content: &[u8]) -> Option<bool> {
    let third = lexer::lines(content).nth(2)?;
    match (
        third.text.starts_with("UTC"),
        third.text.starts_with("LOCAL"),
    ) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Reads `hwclockfile`; a missing file is ignored, another one is a warning.
pub fn load_hwclock(path: &Path, reader: &dyn Reader) -> Result<Option<bool>, Message> {
    let Ok(content) = reader.read(path) else {
        return Ok(None);
    };
    parse_hwclock(&content).map(Some).ok_or_else(|| {
        let name = text::from_path(path);
        Message::warning(format!("Could not read RTC LOCAL/UTC setting from {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn third_line_of_adjtime_decides() {
        assert_eq!(parse_hwclock(b"0.0 0 0.0\n0\nUTC\n"), Some(true));
        assert_eq!(parse_hwclock(b"0.0 0 0.0\n0\nLOCAL"), Some(false));
        assert_eq!(parse_hwclock(b"0.0 0 0.0\n0\n"), None);
    }

    #[test]
    fn coefficients_have_a_fixed_form() {
        let coefficients = RtcCoefficients {
            valid: true,
            reference_time_s: 1_700_000_000,
            offset_s: -0.25,
            rate_ppm: 12.3456,
        };
        assert_eq!(
            format_coefficients(&coefficients),
            "1 1700000000 -0.250000 12.346\n"
        );
        assert_eq!(parse_coefficients(b"1 2 3"), None);
        assert_eq!(parse_coefficients(b"1 2 nan 3"), None);
        assert_eq!(
            parse_coefficients(b"0 2 3 4\n").map(|read| read.valid),
            Some(false)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(content in proptest::collection::vec(any::<u8>(), 0..80)) {
            parse_hwclock(&content);
            if let Some(read) = parse_coefficients(&content) {
                let again = parse_coefficients(format_coefficients(&read).as_bytes());
                prop_assert_eq!(again.map(|again| again.valid), Some(read.valid));
            }
        }
    }
}
