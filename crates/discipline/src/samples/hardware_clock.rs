//! Tracker of a hardware clock: PHC reference clocks and hardware timestamps (discipline
//! chapter, section 17.9).
//!
//! A *reading* brackets a device time by two readings of the system's clock.
//! [`HardwareClock::process`] makes one sample of a set of readings,
//! [`HardwareClock::accumulate`] feeds it to the tracker, and [`HardwareClock::cook`] then
//! converts device times to cooked time.

use std::collections::VecDeque;

use super::quantile::QuantileEstimator;
use super::robust_line::RobustLine;
use super::sample::ClockChange;
use crate::time::{CookedTime, RawTime};

/// Most samples that are tracked.
const MAX_SAMPLES: usize = 16;
/// Fewest samples of a conversion.
const MIN_SAMPLES: usize = 2;
/// Tolerance of the slope.
const TOLERANCE: f64 = 1e-10;
/// Largest difference of the rate from 1.
const MAX_RATE_ERROR: f64 = 2.0 / 3.0;
/// Delay quantiles between which readings are averaged.
const QUANTILES: [f64; 2] = [0.1, 0.2];
/// Smallest step of the quantile estimators, seconds.
const QUANTILE_STEP_S: f64 = 1e-9;
/// How many steps their step may be negative.
const QUANTILE_NEGATIVE_LIMIT: f64 = 1000.0;
/// Readings count as between the quantiles when they miss them by this, seconds.
const QUANTILE_MARGIN_S: f64 = 0.5e-9;

/// A reading of the device's clock, nanoseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceTime(i64);

impl DeviceTime {
    /// From whole nanoseconds.
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Whole nanoseconds.
    pub const fn as_ns(self) -> i64 {
        self.0
    }

    /// `self − earlier` in seconds.
    pub fn since(self, earlier: Self) -> f64 {
        match self.0.checked_sub(earlier.0) {
            Some(ns) => ns as f64 / 1e9,
            None => (self.0 as f64 - earlier.0 as f64) / 1e9,
        }
    }

    fn plus(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1e9).round() as i64))
    }
}

/// A device time between two system times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// System time before.
    pub before: RawTime,
    /// Device time.
    pub device: DeviceTime,
    /// System time after.
    pub after: RawTime,
}

/// How good a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadingQuality {
    /// Only good as a sign of life.
    Reachable,
    /// The fastest reading, of a delay out of the ordinary.
    Fastest,
    /// The mean of readings with an ordinary small delay.
    Good,
}

/// One device time with the system time it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardwareSample {
    /// Device time.
    pub device: DeviceTime,
    /// System time.
    pub local: RawTime,
    /// Error bound, seconds.
    pub error_s: f64,
    /// How good it is.
    pub quality: ReadingQuality,
}

/// Tracks one hardware clock.
#[derive(Clone, Debug)]
pub struct HardwareClock {
    precision_s: f64,
    clock_precision_s: f64,
    min_separation_s: f64,
    min_samples: usize,
    max_samples: usize,
    quantiles: [QuantileEstimator; 2],
    first_delay_s: Option<f64>,
    /// Earlier samples as (device, local without frequency corrections) seconds relative
    /// to the newest, oldest first; the newest itself is (0, 0).
    points: VecDeque<(f64, f64)>,
    newest: Option<(DeviceTime, CookedTime)>,
    conversion: Option<Conversion>,
}

/// device − `device` = (cooked − `local`)·`rate`
#[derive(Clone, Copy, Debug, PartialEq)]
struct Conversion {
    device: DeviceTime,
    local: CookedTime,
    rate: f64,
}

impl HardwareClock {
    /// A tracker for readings expected every `spacing_s` seconds (2^dpoll) with the
    /// device's precision in seconds.
    pub fn new(spacing_s: f64, precision_s: f64) -> Self {
        let quantile = |probability| {
            QuantileEstimator::new(probability, QUANTILE_STEP_S, QUANTILE_NEGATIVE_LIMIT)
        };
        Self {
            precision_s,
            clock_precision_s: precision_s,
            min_separation_s: spacing_s / 2.0,
            min_samples: MIN_SAMPLES,
            max_samples: MAX_SAMPLES,
            quantiles: QUANTILES.map(quantile),
            first_delay_s: None,
            points: VecDeque::with_capacity(MAX_SAMPLES),
            newest: None,
            conversion: None,
        }
    }

    /// Sets q, the precision of the system's clock in seconds, by which the delays of
    /// readings that are averaged may differ.
    #[must_use]
    pub fn with_clock_precision(mut self, clock_precision_s: f64) -> Self {
        self.clock_precision_s = clock_precision_s;
        self
    }

    /// Sets how many samples are tracked: old ones are dropped down to `min` when they do
    /// not fit, and beyond `max`.
    #[must_use]
    pub fn with_samples(mut self, min: usize, max: usize) -> Self {
        self.min_samples = min.max(MIN_SAMPLES);
        self.max_samples = max.max(self.min_samples);
        self
    }

    /// Makes one sample of a set of readings. `rate` is the current cooked/raw rate ratio,
    /// `cook` converts a raw to a cooked time, `random` gives numbers in [0, 1]. `None`
    /// without readings or when one has a negative delay.
    pub fn process(
        &mut self,
        readings: &[Reading],
        rate: f64,
        cook: impl Fn(RawTime) -> CookedTime,
        mut random: impl FnMut() -> f64,
    ) -> Option<HardwareSample> {
        let delay = |reading: &Reading| reading.after.since(reading.before) * rate;
        if readings.iter().any(|reading| delay(reading) < 0.0) {
            return None;
        }
        for reading in readings {
            self.learn_delay(delay(reading), &mut random);
        }
        let low = self.quantiles[0].quantile() - QUANTILE_MARGIN_S;
        let high =
            (self.quantiles[1].quantile() + QUANTILE_MARGIN_S).max(low + self.clock_precision_s);
        let ordinary = readings
            .iter()
            .filter(|reading| (low..=high).contains(&delay(reading)));
        if let Some(mean) = mean_reading(ordinary) {
            let error_s = (mean.delay_s * rate / 2.0).max(self.precision_s);
            let quality = ReadingQuality::Good;
            return Some(HardwareSample {
                device: mean.device,
                local: mean.local,
                error_s,
                quality,
            });
        }
        let fastest = readings
            .iter()
            .min_by(|a, b| delay(a).total_cmp(&delay(b)))?;
        let mean = mean_reading(std::iter::once(fastest))?;
        let error_s = (mean.delay_s * rate / 2.0).max(self.precision_s);
        let unexpected = self
            .cook(mean.device)
            .is_none_or(|predicted| cook(mean.local).since(predicted).abs() > error_s);
        let quality = if unexpected {
            ReadingQuality::Fastest
        } else {
            ReadingQuality::Reachable
        };
        Some(HardwareSample {
            device: mean.device,
            local: mean.local,
            error_s,
            quality,
        })
    }

    /// Whether a sample at this time would come early enough after the previous one not to
    /// be worth a set of readings.
    pub fn needs_sample(&self, now: CookedTime) -> bool {
        self.newest
            .is_none_or(|(_, local)| now.since(local).abs() >= self.min_separation_s)
    }

    /// Feeds a sample. `local_frequency` is the frequency correction in force: the
    /// uncompensated local clock's error, s/s, positive = fast.
    pub fn accumulate(
        &mut self,
        device: DeviceTime,
        local: CookedTime,
        error_s: f64,
        local_frequency: f64,
    ) {
        let compensation = 1.0 - local_frequency;
        if let Some((last_device, last_local)) = self.newest {
            let device_step = device.since(last_device);
            let local_step = local.since(last_local);
            if device_step <= 0.0 || local_step < self.min_separation_s {
                self.restart();
            } else {
                while self.points.len() >= self.max_samples {
                    self.points.pop_front();
                }
                for (device_s, local_s) in &mut self.points {
                    *device_s -= device_step;
                    *local_s -= local_step / compensation;
                }
            }
        }
        self.points.push_back((0.0, 0.0));
        self.newest = Some((device, local));
        self.fit(error_s, compensation);
    }

    fn fit(&mut self, error_s: f64, compensation: f64) {
        let Some((device, local)) = self.newest.filter(|_| self.points.len() >= MIN_SAMPLES) else {
            return;
        };
        let points: Vec<(f64, f64)> = self
            .points
            .iter()
            .map(|&(device_s, local_s)| (local_s, device_s))
            .collect();
        let Some(line) = RobustLine::fit(&points, TOLERANCE) else {
            self.restart();
            return;
        };
        let droppable = self.points.len().saturating_sub(self.min_samples);
        self.points.drain(..line.dropped.min(droppable));
        let rate = line.slope / compensation;
        let fits = line.intercept.abs() <= error_s && (rate - 1.0).abs() <= MAX_RATE_ERROR;
        if !fits {
            self.restart();
            return;
        }
        self.conversion = Some(Conversion {
            device: device.plus(line.intercept),
            local,
            rate,
        });
    }

    /// Cooked time of a device time; `None` while fewer than two samples are tracked.
    pub fn cook(&self, device: DeviceTime) -> Option<CookedTime> {
        let conversion = self.conversion?;
        Some(
            conversion
                .local
                .plus(device.since(conversion.device) / conversion.rate),
        )
    }

    /// The device time of the newest sample.
    pub fn newest(&self) -> Option<DeviceTime> {
        self.newest.map(|(device, _)| device)
    }

    /// Applies a change of the local clock (section 1.4).
    pub fn shift(&mut self, change: &ClockChange) {
        if let Some((_, local)) = &mut self.newest {
            *local = change.moved(*local);
        }
        if let Some(conversion) = &mut self.conversion {
            conversion.local = change.moved(conversion.local);
            conversion.rate /= 1.0 - change.frequency;
            if !(conversion.rate.is_finite() && conversion.rate != 0.0) {
                self.conversion = None;
            }
        }
    }

    /// Forgets the samples, not the delays: the system's clock was changed by somebody else,
    /// or a sample does not fit.
    pub fn restart(&mut self) {
        self.points.clear();
        self.newest = None;
        self.conversion = None;
    }

    /// Feeds a delay to the quantiles, which the first two delays initialise in order.
    fn learn_delay(&mut self, delay_s: f64, mut random: impl FnMut() -> f64) {
        let [lower, upper] = &mut self.quantiles;
        match self.first_delay_s {
            None => {
                self.first_delay_s = Some(delay_s);
                lower.start_at(delay_s);
                upper.start_at(delay_s);
            }
            Some(first) if first.is_finite() => {
                lower.start_at(first.min(delay_s));
                upper.start_at(first.max(delay_s));
                self.first_delay_s = Some(f64::INFINITY);
            }
            Some(_) => {
                lower.accumulate(delay_s, &mut random);
                upper.accumulate(delay_s, &mut random);
            }
        }
    }
}

struct MeanReading {
    device: DeviceTime,
    local: RawTime,
    delay_s: f64,
}

/// Means of device time, local midpoint and delay; `None` of no readings.
fn mean_reading<'a>(readings: impl Iterator<Item = &'a Reading>) -> Option<MeanReading> {
    let mut readings = readings.peekable();
    let first = **readings.peek()?;
    let (mut count, mut device_s, mut local_s, mut delay_s) = (0.0, 0.0, 0.0, 0.0);
    for reading in readings {
        let delay = reading.after.since(reading.before);
        count += 1.0;
        device_s += reading.device.since(first.device);
        local_s += reading.before.since(first.before) + delay / 2.0;
        delay_s += delay;
    }
    Some(MeanReading {
        device: first.device.plus(device_s / count),
        local: first.before.plus(local_s / count),
        delay_s: delay_s / count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::testing::Random;

    /// Device time of a device that started at 0 and gains 50 ppm on cooked time.
    fn device_at(seconds: f64) -> DeviceTime {
        DeviceTime::from_ns((seconds * (1.0 + 50e-6) * 1e9).round() as i64)
    }

    fn local_at(seconds: f64) -> CookedTime {
        CookedTime::from_parts(1_790_000_000, 0).plus(seconds)
    }

    fn tracked() -> HardwareClock {
        let mut clock = HardwareClock::new(1.0, 1e-8);
        for i in 0..20 {
            let t = f64::from(i);
            clock.accumulate(device_at(t), local_at(t), 1e-6, 1e-5);
        }
        clock
    }

    #[test]
    fn device_times_are_converted() {
        let mut clock = HardwareClock::new(1.0, 1e-8);
        assert_eq!(clock.cook(device_at(1.0)), None);
        clock.accumulate(device_at(0.0), local_at(0.0), 1e-6, 0.0);
        assert_eq!(clock.cook(device_at(1.0)), None);
        let clock = tracked();
        let cooked = clock.cook(device_at(25.0)).expect("tracked");
        assert!(
            cooked.since(local_at(25.0)).abs() < 3e-9,
            "{}",
            cooked.since(local_at(25.0))
        );
    }

    #[test]
    fn a_change_of_the_clock_is_followed() {
        let mut clock = tracked();
        let change = ClockChange {
            when: local_at(20.0),
            frequency: 1e-4,
            offset_s: 0.5,
        };
        clock.shift(&change);
        // 5 s of old local time after the change are 5·(1 − δf) of the new one.
        let expected = local_at(20.0).plus(-0.5 + 5.0 * (1.0 - 1e-4));
        let cooked = clock.cook(device_at(25.0)).expect("tracked");
        assert!(
            cooked.since(expected).abs() < 5e-9,
            "{}",
            cooked.since(expected)
        );
    }

    #[test]
    fn jumps_restart_it() {
        let mut clock = tracked();
        clock.accumulate(device_at(10.0), local_at(21.0), 1e-6, 0.0);
        assert_eq!(clock.cook(device_at(22.0)), None);
        let mut clock = tracked();
        clock.accumulate(device_at(19.1), local_at(19.1), 1e-6, 0.0);
        assert_eq!(clock.cook(device_at(22.0)), None);
        let mut clock = tracked();
        assert!(clock.needs_sample(local_at(20.0)) && !clock.needs_sample(local_at(19.1)));
        clock.accumulate(device_at(20.5), local_at(20.0), 1e-6, 0.0);
        assert_eq!(clock.cook(device_at(22.0)), None);
    }

    #[test]
    fn readings_with_ordinary_delays_are_averaged() {
        let mut random = Random::new(9);
        let mut noise = Random::new(10);
        let mut clock = HardwareClock::new(1.0, 1e-8);
        let mut good = 0;
        for set in 0..200 {
            let readings: Vec<Reading> = (0..10)
                .map(|i| {
                    let before = RawTime::from_parts(1_790_000_000 + set, i * 10_000);
                    let delay = 1000 + (1000.0 * noise.exponential()) as i64;
                    let ns = set * 1_000_000_000 + i * 10_000 + delay / 2;
                    let after = RawTime::from_ns(before.as_ns() + delay);
                    Reading {
                        before,
                        device: DeviceTime::from_ns(ns),
                        after,
                    }
                })
                .collect();
            let sample = clock
                .process(&readings, 1.0, |raw| raw.cook(0.0), || random.uniform())
                .expect("a sample");
            let error = sample.device.as_ns() - (sample.local.as_ns() - 1_790_000_000_000_000_000);
            assert!(error.abs() <= 2, "{error}");
            assert!(sample.error_s >= 0.5e-6);
            good += u32::from(sample.quality == ReadingQuality::Good);
        }
        assert!(good > 60, "{good}");
    }

    #[test]
    fn a_negative_delay_rejects_the_set() {
        let mut clock = HardwareClock::new(1.0, 1e-8);
        let before = RawTime::from_parts(100, 0);
        let reading = Reading {
            before,
            device: DeviceTime::from_ns(0),
            after: before.minus(1e-6),
        };
        assert_eq!(
            clock.process(&[reading], 1.0, |raw| raw.cook(0.0), || 0.5),
            None
        );
        assert_eq!(clock.process(&[], 1.0, |raw| raw.cook(0.0), || 0.5), None);
    }
}
