//! Temperature compensation (discipline chapter, section 13).

use crate::journal::LogFile;
use crate::samples::text::padded_exponent;
use crate::time::MonotonicTime;

use super::state::Steering;

/// Compensations beyond this are not believed, ppm.
const SANITY_LIMIT_PPM: f64 = 10.0;
/// Interval of readings when none is configured, seconds.
const DEFAULT_INTERVAL_S: f64 = 1.0;

/// How the compensation follows from the temperature.
#[derive(Clone, Debug, PartialEq)]
pub enum TemperatureCurve {
    /// k0 + (T − T0)·k1 + (T − T0)²·k2.
    Quadratic {
        /// T0, in the sensor's unit.
        reference: f64,
        /// k0, ppm.
        k0_ppm: f64,
        /// k1, ppm per unit.
        k1_ppm: f64,
        /// k2, ppm per unit².
        k2_ppm: f64,
    },
    /// Linear between points (temperature, compensation in ppm), at least two.
    Points(Vec<(f64, f64)>),
}

impl TemperatureCurve {
    /// The compensation at a temperature, ppm.
    pub fn compensation_ppm(&self, temperature: f64) -> f64 {
        match self {
            Self::Quadratic {
                reference,
                k0_ppm,
                k1_ppm,
                k2_ppm,
            } => {
                let difference = temperature - reference;
                k0_ppm + difference * k1_ppm + difference * difference * k2_ppm
            }
            Self::Points(points) => interpolate(points, temperature),
        }
    }
}

/// Between the first point at or above the temperature and the one before it; beyond the
/// ends the line of the end pair goes on.
fn interpolate(points: &[(f64, f64)], temperature: f64) -> f64 {
    let upper = points
        .iter()
        .position(|&(at, _)| at >= temperature)
        .unwrap_or(points.len().saturating_sub(1))
        .max(1);
    match points.get(upper - 1..=upper) {
        Some(&[(from, low), (to, high)]) => low + (high - low) / (to - from) * (temperature - from),
        _ => points.first().map_or(0.0, |&(_, value)| value),
    }
}

/// Applies the compensation at intervals. The owner reads the sensor when
/// [`TemperatureCompensation::next_timeout`] is due and hands over what it read.
#[derive(Clone, Debug)]
pub struct TemperatureCompensation {
    curve: TemperatureCurve,
    interval_s: f64,
    sensor: String,
    due: MonotonicTime,
}

impl TemperatureCompensation {
    /// The first reading is due at once. `sensor` is the file's name for messages; an
    /// interval of 0 or below is 1 s.
    pub fn new(
        curve: TemperatureCurve,
        interval_s: f64,
        sensor: String,
        now: MonotonicTime,
    ) -> Self {
        let interval_s = if interval_s > 0.0 {
            interval_s
        } else {
            DEFAULT_INTERVAL_S
        };
        Self {
            curve,
            interval_s,
            sensor,
            due: now,
        }
    }

    /// When the sensor is to be read next.
    pub fn next_timeout(&self) -> MonotonicTime {
        self.due
    }

    /// Takes a reading, or `None` if there was no number in the sensor's file.
    pub fn handle_reading(&mut self, reading: Option<f64>, steering: &mut Steering<'_>) {
        self.due = steering.now.monotonic.plus(self.interval_s);
        let Some(temperature) = reading.filter(|reading| reading.is_finite()) else {
            let text = format!("Could not read temperature from {}", self.sensor);
            return steering.journal.warning(text);
        };
        let wanted_ppm = self.curve.compensation_ppm(temperature);
        if wanted_ppm.is_nan() || wanted_ppm.abs() > SANITY_LIMIT_PPM {
            let text = format!(
                "Temperature compensation of {wanted_ppm:.3} ppm exceeds sanity limit of \
                 {SANITY_LIMIT_PPM:.1}"
            );
            return steering.journal.warning(text);
        }
        let now = steering.now;
        let applied_ppm =
            steering
                .clock
                .set_temperature_compensation(now, wanted_ppm, steering.journal);
        let time = steering.clock.cooked(now.raw);
        steering.journal.line(LogFile::Tempcomp, || {
            format!(
                "{} {} {}",
                time.utc(),
                padded_exponent(temperature, 11, 4),
                padded_exponent(applied_ppm, 11, 4)
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Entry, Journal};
    use crate::reference::testing::{clock, messages, now};
    use proptest::prelude::*;

    #[test]
    fn both_curves() {
        let quadratic = TemperatureCurve::Quadratic {
            reference: 30.0,
            k0_ppm: 1.0,
            k1_ppm: 0.5,
            k2_ppm: -0.25,
        };
        assert_eq!(quadratic.compensation_ppm(34.0), 1.0 + 2.0 - 4.0);
        let points = TemperatureCurve::Points(vec![(20.0, 1.0), (30.0, 2.0), (40.0, 0.0)]);
        for (temperature, expected) in [
            (20.0, 1.0),
            (25.0, 1.5),
            (30.0, 2.0),
            (35.0, 1.0),
            (10.0, 0.0),
            (50.0, -2.0),
        ] {
            assert_eq!(points.compensation_ppm(temperature), expected);
        }
    }

    #[test]
    fn the_kernel_gets_the_compensation_and_reports_do_not() {
        let (mut clock, kernel) = clock(50.0);
        let mut journal = Journal::new();
        journal.enable(LogFile::Tempcomp, true);
        let mut room = TemperatureCompensation::new(
            TemperatureCurve::Points(vec![(0.0, 0.0), (10.0, 10.0)]),
            0.0,
            "/sensor".into(),
            now(0.0).monotonic,
        );
        let mut steering = Steering {
            clock: &mut clock,
            now: now(0.0),
            journal: &mut journal,
        };
        room.handle_reading(Some(4.0), &mut steering);
        assert_eq!(room.next_timeout(), now(1.0).monotonic);
        room.handle_reading(Some(11.0), &mut steering);
        room.handle_reading(None, &mut steering);
        assert!((clock.frequency_ppm() - 50.0).abs() < 1e-9);
        let expected = 50.0 * (1.0 - 4e-6) - 4.0;
        assert!((kernel.frequency_ppm() - expected).abs() < 1e-9);
        assert!(clock.pending().0.is_empty());
        let lines: Vec<_> = journal.drain().collect();
        assert!(
            matches!(&lines[0], Entry::Line { text, .. } if text.ends_with(" 4.0000e+00  4.0000e+00")),
            "{lines:?}"
        );
        let mut rest = Journal::new();
        for entry in lines {
            if let Entry::Message { text, .. } = entry {
                rest.warning(text);
            }
        }
        assert_eq!(
            messages(&mut rest),
            [
                "Temperature compensation of 11.000 ppm exceeds sanity limit of 10.0",
                "Could not read temperature from /sensor"
            ]
        );
    }

    proptest! {
        /// Equal temperatures, huge values and readings: the frequency stays a number and
        /// within the sanity limit of what it was.
        #[test]
        fn no_reading_moves_the_clock_far(
            points in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..5),
            readings in prop::collection::vec(prop::option::of(prop::num::f64::ANY), 1..10),
        ) {
            let (mut clock, kernel) = clock(50.0);
            let mut journal = Journal::new();
            let mut room = TemperatureCompensation::new(
                TemperatureCurve::Points(points),
                f64::NAN,
                "/sensor".into(),
                now(0.0).monotonic,
            );
            for reading in readings {
                let mut steering = Steering {
                    clock: &mut clock,
                    now: now(0.0),
                    journal: &mut journal,
                };
                room.handle_reading(reading, &mut steering);
                prop_assert!((kernel.frequency_ppm() - 50.0).abs() < SANITY_LIMIT_PPM + 1e-3);
                prop_assert!((clock.frequency_ppm() - 50.0).abs() < 1e-3);
            }
        }
    }
}
