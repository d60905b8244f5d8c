//! The clock of a simulated machine.
//!
//! True time is a whole number of nanoseconds ([`TrueTime`]). A clock keeps its error
//! (raw − true) in seconds as a float, which stays exact far below a nanosecond for the
//! errors that matter, and integrates it exactly between events: the oscillator's
//! frequency error does a random walk (Brownian motion with a given standard deviation a
//! second), whose frequency and phase increments over an interval are drawn together from
//! their joint normal distribution.

use discipline::reference::PendingLeap;
use discipline::time::{MonotonicTime, RawTime};
use engine::random::{RandomSource, SeededRandom};

use crate::random::normal;

/// True time: nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrueTime(pub i64);

impl TrueTime {
    /// `self + seconds`, rounded to the nanosecond.
    #[must_use]
    pub fn plus(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1e9).round() as i64))
    }

    /// `self − earlier`, seconds.
    pub fn since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e9
    }
}

/// How a simulated oscillator behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oscillator {
    /// Raw − true at the start, seconds.
    pub offset_s: f64,
    /// Relative frequency error at the start, s/s (positive: the clock is fast).
    pub frequency: f64,
    /// Standard deviation of the frequency's random step a second, s/s.
    pub wander: f64,
}

/// A clock with an oscillator, the kernel's frequency compensation and steps.
#[derive(Clone, Debug)]
pub struct SimClock {
    now: TrueTime,
    error_s: f64,
    frequency: f64,
    wander: f64,
    /// Sum of all steps, seconds.
    steps_s: f64,
    /// Compensation in force, ppm; positive slows the clock.
    compensation_ppm: f64,
    /// The leap second to be made, and at which raw time.
    leap: Option<(PendingLeap, RawTime)>,
    random: SeededRandom,
}

/// Nanoseconds in a day.
const DAY_NS: i64 = 86_400 * 1_000_000_000;

impl SimClock {
    /// A clock that starts at `now`.
    pub fn new(now: TrueTime, oscillator: Oscillator, seed: u64) -> Self {
        Self {
            now,
            error_s: oscillator.offset_s,
            frequency: oscillator.frequency,
            wander: oscillator.wander,
            steps_s: 0.0,
            compensation_ppm: 0.0,
            leap: None,
            random: SeededRandom::new(seed),
        }
    }

    /// Lets the clock run until `now`; earlier times change nothing.
    pub fn advance(&mut self, now: TrueTime) {
        if now <= self.now {
            return;
        }
        let elapsed_s = now.since(self.now);
        self.now = now;
        let (frequency_step, phase_step) = self.wander_step(elapsed_s);
        let free_running = self.frequency * elapsed_s + phase_step;
        let slowed = self.compensation_ppm * 1e-6 * (elapsed_s + free_running);
        self.error_s += free_running - slowed;
        self.frequency += frequency_step;
        if let Some((leap, at)) = self.leap
            && self.raw() >= at
        {
            self.leap = None;
            self.step(-f64::from(leap.seconds()));
        }
    }

    /// Orders a leap second at the end of the UTC day that the clock shows, as `adjtimex` does;
    /// [`PendingLeap::None`] cancels it.
    pub fn order_leap(&mut self, leap: PendingLeap) {
        let midnight_ns = (self.raw().as_ns().div_euclid(DAY_NS) + 1) * DAY_NS;
        let midnight = RawTime::from_ns(midnight_ns);
        self.leap = match leap {
            PendingLeap::None => None,
            PendingLeap::Insert => Some((leap, midnight)),
            PendingLeap::Delete => Some((leap, midnight.plus(-1.0))),
        };
    }

    /// Whether a leap second is ordered and not made yet.
    pub fn has_leap(&self) -> bool {
        self.leap.is_some()
    }

    /// Increments of frequency and of the integrated frequency over an interval. For a
    /// Brownian motion with unit variance a second they have the covariance matrix
    /// ((t, t²/2), (t²/2, t³/3)).
    fn wander_step(&mut self, elapsed_s: f64) -> (f64, f64) {
        if self.wander == 0.0 {
            return (0.0, 0.0);
        }
        let first = normal(&mut self.random);
        let second = normal(&mut self.random);
        let root = elapsed_s.sqrt();
        let frequency = self.wander * root * first;
        let phase = self.wander * elapsed_s * root * (first / 2.0 + second / 12f64.sqrt());
        (frequency, phase)
    }

    /// The reading at the time of the last [`SimClock::advance`].
    pub fn raw(&self) -> RawTime {
        RawTime::from_ns(self.now.0).plus(self.error_s)
    }

    /// The monotonic clock at that time: it runs as the raw one but is never stepped.
    pub fn monotonic(&self) -> MonotonicTime {
        MonotonicTime::from_ns(self.now.0).plus(self.error_s - self.steps_s)
    }

    /// Raw − true, seconds.
    pub fn error_s(&self) -> f64 {
        self.error_s
    }

    /// Relative frequency error of the compensated clock, s/s.
    pub fn rate_error(&self) -> f64 {
        (1.0 + self.frequency) * (1.0 - self.compensation_ppm * 1e-6) - 1.0
    }

    /// Sets the compensation, ppm (positive slows the clock).
    pub fn set_compensation_ppm(&mut self, compensation_ppm: f64) {
        self.compensation_ppm = compensation_ppm;
    }

    /// Changes the reading by `change_s`.
    pub fn step(&mut self, change_s: f64) {
        self.error_s += change_s;
        self.steps_s += change_s;
    }

    /// Changes the oscillator's frequency error by `change`, s/s.
    pub fn change_frequency(&mut self, change: f64) {
        self.frequency += change;
    }

    /// The true time at which the monotonic clock will reach `at`, if the frequency does
    /// not change; at least now.
    pub fn when(&self, at: MonotonicTime) -> TrueTime {
        let remaining_s = at.since(self.monotonic());
        let true_s = remaining_s / (1.0 + self.rate_error());
        self.now.plus(true_s.max(0.0))
    }

    /// A uniform random number, for those who simulate the machine around the clock.
    pub fn random(&mut self) -> &mut dyn RandomSource {
        &mut self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(offset_s: f64, frequency: f64, wander: f64, seed: u64) -> SimClock {
        let oscillator = Oscillator {
            offset_s,
            frequency,
            wander,
        };
        SimClock::new(TrueTime(0), oscillator, seed)
    }

    #[test]
    fn frequency_and_compensation() {
        let mut clock = clock(0.5, 1e-4, 0.0, 1);
        clock.advance(TrueTime(1_000_000_000));
        assert!((clock.error_s() - 0.5001).abs() < 1e-15);
        clock.set_compensation_ppm(1e6 * (1.0 - 1.0 / 1.0001));
        clock.advance(TrueTime(1_001_000_000_000));
        assert!((clock.error_s() - 0.5001).abs() < 1e-12);
        clock.step(-0.5001);
        assert!(clock.raw().since(RawTime::from_ns(1_001_000_000_000)).abs() < 1e-9);
        assert_eq!(
            clock.when(clock.monotonic().plus(10.0)),
            TrueTime(1_011_000_000_000)
        );
    }

    #[test]
    fn wander_grows_as_a_random_walk() {
        let (count, elapsed_s, wander) = (2000, 100, 1e-8);
        let (mut frequency_squares, mut phase_squares) = (0.0, 0.0);
        for seed in 0..count {
            let mut clock = clock(0.0, 0.0, wander, seed);
            for second in 1..=elapsed_s {
                clock.advance(TrueTime(second * 1_000_000_000));
            }
            frequency_squares += clock.rate_error().powi(2);
            phase_squares += clock.error_s().powi(2);
        }
        let frequency = (frequency_squares / count as f64).sqrt();
        let phase = (phase_squares / count as f64).sqrt();
        assert!(
            (frequency / (wander * 10.0) - 1.0).abs() < 0.05,
            "{frequency}"
        );
        let expected = wander * (100f64.powi(3) / 3.0).sqrt();
        assert!((phase / expected - 1.0).abs() < 0.05, "{phase} {expected}");
    }
}
