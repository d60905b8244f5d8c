//! Points of temperature compensation and readings of the sensor (configuration chapter,
//! sections 4.5 and 7.3).

use std::path::Path;

use crate::diagnostics::Message;
use crate::files::{self, Reader};
use crate::lexer;
use crate::numbers;
use crate::text;

/// A point of the curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Temperature in the sensor's unit.
    pub temperature: f64,
    /// Compensation, ppm.
    pub compensation_ppm: f64,
}

/// Why a file of points was refused; both are fatal at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointsError {
    /// A line without two numbers.
    Unreadable,
    /// Fewer than two points.
    TooFew,
}

/// Parses the points; every line must have one. The ascending order is not checked.
pub fn parse(content: &[u8]) -> Result<Vec<Point>, PointsError> {
    let points = lexer::lines(content)
        .map(|line| {
            let words = lexer::split(&line.text);
            let temperature = numbers::whole_double(words.first()?.text)?;
            let (compensation_ppm, _) = numbers::double_prefix(words.get(1)?.text)?;
            Some(Point {
                temperature,
                compensation_ppm,
            })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(PointsError::Unreadable)?;
    if points.len() < 2 {
        Err(PointsError::TooFew)
    } else {
        Ok(points)
    }
}

/// Reads the file of points at start.
pub fn load(path: &Path, reader: &dyn Reader) -> Result<Vec<Point>, Message> {
    let name = text::from_path(path);
    let content = reader.read(path).map_err(|error| {
        Message::fatal(format!("Could not open {name} : {}", files::reason(&error)))
    })?;
    parse(&content).map_err(|error| {
        Message::fatal(match error {
            PointsError::Unreadable => format!("Could not read tempcomp point from {name}"),
            PointsError::TooFew => format!("Not enough points in {name}"),
        })
    })
}

/// Reads the sensor: the first number of its file. The message is the warning otherwise.
pub fn read_sensor(path: &Path, reader: &dyn Reader) -> Result<f64, Message> {
    let number = reader.read(path).ok().and_then(|content| {
        let head = text::from_bytes(content.get(..content.len().min(512)).unwrap_or(&content))
            .into_owned();
        numbers::double_prefix(lexer::split(&head).first()?.text).map(|(value, _)| value)
    });
    number.filter(|number| number.is_finite()).ok_or_else(|| {
        Message::warning(format!(
            "Could not read temperature from {}",
            text::from_path(path)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checked with the reference's binary.
    #[test]
    fn points_are_two_numbers_a_line() {
        assert_eq!(
            parse(b"20000 1.0\n21000 0.5 junk").map(|points| points.len()),
            Ok(2)
        );
        assert_eq!(
            parse(b"20000 1.0\n21000 0.5\n# c\n"),
            Err(PointsError::Unreadable)
        );
        assert_eq!(
            parse(b"20000x 1.0\n21000 1\n"),
            Err(PointsError::Unreadable)
        );
        assert_eq!(
            parse(b"20000 1.0\n\n21000 1\n"),
            Err(PointsError::Unreadable)
        );
        assert_eq!(parse(b"20000 1.0\n"), Err(PointsError::TooFew));
        assert_eq!(parse(b""), Err(PointsError::TooFew));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(content in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(parse(&content).map_or(true, |points| points.len() >= 2));
        }
    }
}
