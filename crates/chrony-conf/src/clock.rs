//! Directives of the system clock with more than one argument (configuration chapter,
//! section 4.5), `broadcast`, `mailonchange` and `initstepslew`'s threshold.
//!
//! The directives with several numbers are scanned as one text by the reference: between
//! the numbers there may be only white space (or nothing), after the last one anything.

use crate::arguments::Arguments;
use crate::config::{
    Broadcast, ClockSettings, Estimator, LeapSecondMode, MakeStep, MaxChange, SmoothTime,
    TemperatureCompensation, TemperatureCurve,
};
use crate::diagnostics::{Fault, Reason};
use crate::lexer::Word;
use crate::logging::MailOnChange;
use crate::numbers;
use crate::sources::NTP_PORT;
use crate::text;

/// Words of `estimator`.
pub const ESTIMATORS: &[(&str, Estimator)] = &[
    ("regression", Estimator::Regression),
    ("kalman", Estimator::Kalman),
];

/// Words of `leapsecmode`.
pub const LEAP_MODES: &[(&str, LeapSecondMode)] = &[
    ("system", LeapSecondMode::System),
    ("step", LeapSecondMode::Step),
    ("slew", LeapSecondMode::Slew),
    ("ignore", LeapSecondMode::Ignore),
];

fn refused(word: Option<Word<'_>>, arguments: &Arguments<'_>, expected: &str) -> Fault {
    match word {
        Some(word) => {
            Fault::at(Reason::CouldNotParse, word.start, word.text.len()).expecting(expected)
        }
        None => arguments.missing(expected),
    }
}

/// A number; the next one may follow without white space (`1-1`).
fn scanned_double(arguments: &mut Arguments<'_>) -> Result<f64, Fault> {
    let word = arguments.next_word();
    match word.and_then(|word| numbers::double_prefix(word.text).map(|found| (word, found))) {
        Some((word, (value, length))) => {
            arguments.give_back(word, length);
            Ok(value)
        }
        None => Err(refused(word, arguments, "expected a number")),
    }
}

/// A number at the start of a word; the rest of the word is ignored.
pub fn leading_double(arguments: &mut Arguments<'_>) -> Result<f64, Fault> {
    let word = arguments.next_word();
    word.and_then(|word| numbers::double_prefix(word.text))
        .map(|(value, _)| value)
        .ok_or_else(|| refused(word, arguments, "expected a number"))
}

/// An integer; the next number may follow without white space.
fn scanned_integer(arguments: &mut Arguments<'_>) -> Result<i32, Fault> {
    let word = arguments.next_word();
    match word
        .and_then(|word| numbers::wrapped_integer_prefix(word.text).map(|found| (word, found)))
    {
        Some((word, (value, length))) => {
            arguments.give_back(word, length);
            Ok(value)
        }
        None => Err(refused(word, arguments, "expected an integer")),
    }
}

/// An integer at the start of a word; the rest of the word is ignored.
fn leading_integer(arguments: &mut Arguments<'_>) -> Result<i32, Fault> {
    let word = arguments.next_word();
    word.and_then(|word| numbers::wrapped_integer_prefix(word.text))
        .map(|(value, _)| value)
        .ok_or_else(|| refused(word, arguments, "expected an integer"))
}

fn end_of_line(arguments: &mut Arguments<'_>) -> Result<(), Fault> {
    match arguments.next_word() {
        Some(word) => Err(refused(
            Some(word),
            arguments,
            "nothing more is expected here",
        )),
        None => Ok(()),
    }
}

/// `makestep THR LIMIT`; with `restart` a positive limit becomes 0.
pub fn makestep(arguments: &mut Arguments<'_>, restart: bool) -> Result<MakeStep, Fault> {
    arguments.expect_count(2, 2)?;
    let threshold_s = scanned_double(arguments)?;
    let limit = leading_integer(arguments)?;
    Ok(MakeStep {
        threshold_s,
        limit: if restart { limit.min(0) } else { limit },
    })
}

/// `maxchange OFF START IGNORE`.
pub fn maxchange(arguments: &mut Arguments<'_>) -> Result<MaxChange, Fault> {
    arguments.expect_count(3, 3)?;
    Ok(MaxChange {
        offset_s: scanned_double(arguments)?,
        start: scanned_integer(arguments)?,
        ignore: leading_integer(arguments)?,
    })
}

/// `fallbackdrift MIN MAX`.
pub fn fallback_drift(arguments: &mut Arguments<'_>) -> Result<(i32, i32), Fault> {
    arguments.expect_count(2, 2)?;
    Ok((scanned_integer(arguments)?, leading_integer(arguments)?))
}

/// `smoothtime FREQ WANDER [leaponly]`.
pub fn smooth_time(arguments: &mut Arguments<'_>) -> Result<SmoothTime, Fault> {
    arguments.expect_count(2, 3)?;
    let max_frequency_ppm = scanned_double(arguments)?;
    let max_wander_ppm = leading_double(arguments)?;
    let leap_only = match arguments.word(2) {
        None => false,
        Some(word) if word.text.eq_ignore_ascii_case("leaponly") => true,
        Some(word) => {
            return Err(refused(Some(word), arguments, "expected leaponly").among(vec!["leaponly"]));
        }
    };
    Ok(SmoothTime {
        max_frequency_ppm,
        max_wander_ppm,
        leap_only,
    })
}

/// `driftfile FILE [interval S]`; without `interval` the earlier one stays (quirk).
pub fn drift_file(clock: &mut ClockSettings, arguments: &mut Arguments<'_>) -> Result<(), Fault> {
    let Some(file) = arguments.next_word() else {
        return Err(arguments.missing("expected a file name"));
    };
    if let Some(word) = arguments.next_word() {
        if !word.text.eq_ignore_ascii_case("interval") {
            return Err(refused(Some(word), arguments, "expected interval").among(vec!["interval"]));
        }
        let interval_s = leading_integer(arguments)?;
        end_of_line(arguments)?;
        clock.drift_file_interval_s = interval_s;
    }
    clock.drift_file = Some(text::to_path(file.text));
    Ok(())
}

/// `tempcomp FILE S POINTS` or `tempcomp FILE S T0 k0 k1 k2`.
pub fn temperature(arguments: &mut Arguments<'_>) -> Result<TemperatureCompensation, Fault> {
    // One argument beyond the interval names a file, several are numbers.
    let few = arguments.remaining() <= 3;
    if few {
        arguments.expect_count(3, 3)?
    } else {
        arguments.expect_count(6, 6)?
    }
    let file = arguments
        .next_word()
        .ok_or_else(|| Fault::new(Reason::MissingArguments))?;
    let interval_s = leading_double(arguments)?;
    let curve = if few {
        let points = arguments
            .next_word()
            .ok_or_else(|| Fault::new(Reason::MissingArguments))?;
        TemperatureCurve::Points(text::to_path(points.text))
    } else {
        TemperatureCurve::Quadratic {
            reference: scanned_double(arguments)?,
            k0_ppm: scanned_double(arguments)?,
            k1_ppm: scanned_double(arguments)?,
            k2_ppm: leading_double(arguments)?,
        }
    };
    Ok(TemperatureCompensation {
        sensor_file: text::to_path(file.text),
        interval_s,
        curve,
    })
}

/// `mailonchange ADDRESS THR`.
pub fn mail_on_change(arguments: &mut Arguments<'_>) -> Result<MailOnChange, Fault> {
    arguments.expect_count(2, 2)?;
    let address = arguments
        .next_word()
        .ok_or_else(|| Fault::new(Reason::MissingArguments))?;
    Ok(MailOnChange {
        address: address.text.to_owned(),
        threshold_s: leading_double(arguments)?,
    })
}

/// `broadcast SECONDS ADDR [PORT]`; the port is taken modulo 2¹⁶.
pub fn broadcast(arguments: &mut Arguments<'_>) -> Result<Broadcast, Fault> {
    let interval_s = leading_integer(arguments)?;
    let word = arguments.next_word();
    let address = word
        .and_then(|word| word.text.parse().ok())
        .ok_or_else(|| refused(word, arguments, "expected an IPv4 or IPv6 address"))?;
    // Truncation is the reference's.
    let port = match arguments.remaining() {
        0 => NTP_PORT,
        _ => leading_integer(arguments)? as u16,
    };
    end_of_line(arguments)?;
    Ok(Broadcast {
        interval_s,
        address,
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer;

    fn read<T>(
        line: &str,
        parse: impl Fn(&mut Arguments<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        parse(&mut Arguments::new(&lexer::split(line)))
    }

    #[test]
    fn trailing_text_only_after_the_last_number() {
        let step = |line| read(line, |arguments| makestep(arguments, false));
        assert_eq!(
            step("1.0 3.9"),
            Ok(MakeStep {
                threshold_s: 1.0,
                limit: 3
            })
        );
        assert!(step("1x 3").is_err());
        assert_eq!(
            step("1-2 3"),
            Ok(MakeStep {
                threshold_s: 1.0,
                limit: -2
            })
        );
        assert_eq!(read("1 2x", fallback_drift), Ok((1, 2)));
        assert!(read("1 1x 2", maxchange).is_err());
    }

    #[test]
    fn restart_mode_removes_the_step_limit() {
        assert_eq!(
            read("1 3", |arguments| makestep(arguments, true)).map(|step| step.limit),
            Ok(0)
        );
        assert_eq!(
            read("1 -1", |arguments| makestep(arguments, true)).map(|step| step.limit),
            Ok(-1)
        );
    }

    #[test]
    fn earlier_drift_interval_stays() {
        let mut clock = ClockSettings::default();
        for line in ["/a interval 10", "/b"] {
            assert_eq!(
                drift_file(&mut clock, &mut Arguments::new(&lexer::split(line))),
                Ok(())
            );
        }
        assert_eq!(clock.drift_file_interval_s, 10);
        assert_eq!(
            clock.drift_file.as_deref(),
            Some(std::path::Path::new("/b"))
        );
    }

    #[test]
    fn broadcast_ports_wrap() {
        let sent = read("10x 1.2.3.4 99999", broadcast).expect("broadcast");
        assert_eq!((sent.interval_s, sent.port), (10, 34463));
    }
}
