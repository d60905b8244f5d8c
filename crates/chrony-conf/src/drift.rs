//! The drift file (configuration chapter, section 7.2; discipline chapter, section 12.1).

use std::path::Path;

use crate::diagnostics::Message;
use crate::files::Reader;
use crate::numbers;
use crate::text;

/// Smallest skew, ppm: 10⁻¹² of a second per second.
const SKEW_MIN_PPM: f64 = 1e-6;

/// Saved frequency of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Frequency error, ppm; positive = the clock is fast.
    pub frequency_ppm: f64,
    /// Bound of the error, ppm.
    pub skew_ppm: f64,
}

impl Drift {
    /// The skew to be applied: at least 10⁻⁶ ppm.
    pub fn effective_skew_ppm(&self) -> f64 {
        self.skew_ppm.max(SKEW_MIN_PPM)
    }
}

/// Reads the first two numbers.
///
/// The reference takes `nan` and `inf` here and goes on with a frequency that is no number;
/// such files are refused like any other that is not valid.
pub fn parse(content: &[u8]) -> Option<Drift> {
    let head = text::from_bytes(content.get(..content.len().min(512)).unwrap_or(content));
    let words = crate::lexer::split(&head);
    let frequency_ppm = numbers::whole_double(words.first()?.text)?;
    let (skew_ppm, _) = numbers::double_prefix(words.get(1)?.text)?;
    (frequency_ppm.is_finite() && skew_ppm.is_finite()).then_some(Drift {
        frequency_ppm,
        skew_ppm,
    })
}

/// The content of the file, line feed included.
pub fn format(drift: &Drift) -> String {
    format!("{:20.6} {:20.6}\n", drift.frequency_ppm, drift.skew_ppm)
}

/// Reads the file at start, with the message for the log; a missing file is silent.
pub fn load(path: &Path, reader: &dyn Reader) -> (Option<Drift>, Option<Message>) {
    let Ok(content) = reader.read(path) else {
        return (None, None);
    };
    let name = text::from_path(path);
    let drift = parse(&content);
    let message = match &drift {
        Some(drift) => Message::info(format!(
            "Frequency {:.3} +/- {:.3} ppm read from {name}",
            drift.frequency_ppm, drift.skew_ppm
        )),
        None => Message::warning(format!(
            "Could not read valid frequency and skew from driftfile {name}"
        )),
    };
    (drift, Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checked with the reference's binary, but for the numbers that are none.
    #[test]
    fn two_numbers_are_read() {
        let read =
            |text: &str| parse(text.as_bytes()).map(|drift| (drift.frequency_ppm, drift.skew_ppm));
        assert_eq!(read("     12.500000    0.250000\n"), Some((12.5, 0.25)));
        assert_eq!(read("1.0 2.0x"), Some((1.0, 2.0)));
        assert_eq!(read("1.0\n-1 more"), Some((1.0, -1.0)));
        for text in ["", "1", "abc", "1.0,2\n", "nan 1", "1 inf"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_written_form_is_fixed() {
        let drift = Drift {
            frequency_ppm: -12.5,
            skew_ppm: 1e6,
        };
        assert_eq!(
            format(&drift),
            "          -12.500000       1000000.000000\n"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(content in proptest::collection::vec(any::<u8>(), 0..80)) {
            parse(&content);
        }

        #[test]
        fn what_is_written_reads_back(frequency_ppm in -1e5..1e5f64, skew_ppm in 0.0..1e6f64) {
            let read = parse(format(&Drift { frequency_ppm, skew_ppm }).as_bytes()).expect("written");
            prop_assert!((read.frequency_ppm - frequency_ppm).abs() <= 5.1e-7);
            prop_assert!((read.skew_ppm - skew_ppm).abs() <= 5.1e-7);
        }
    }
}
