//! How accurate a client is: the grid over jitter and wander (issue and table in
//! `docs/accuracy.md`).

use discipline::samples::EstimatorKind;

use crate::clock::Oscillator;
use crate::link::{Jitter, Link, Path};
use crate::optimal::OptimalEstimator;
use crate::scenario::{ClientSetup, START, add_client, add_server};
use crate::world::World;

/// Length of a run, seconds.
pub const DURATION_S: f64 = 40_000.0;

/// What is left out at its beginning, seconds.
pub const SETTLING_S: f64 = 10_000.0;

/// How often the clock's error is looked at, seconds.
const SAMPLING_S: f64 = 10.0;

/// Fixed delay each way, seconds.
const DELAY_S: f64 = 1e-3;

/// One cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Mean of the exponential jitter each way, seconds.
    pub jitter_s: f64,
    /// Standard deviation of the frequency's random step a second, s/s.
    pub wander: f64,
    /// `minpoll` and `maxpoll`; `None` for the defaults.
    pub poll: Option<i8>,
    /// Which estimator steers the clock.
    pub estimator: EstimatorKind,
}

/// What a run (or the mean of several) shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// Mean square of the time error, s².
    pub time_square: f64,
    /// Mean square of the frequency error.
    pub frequency_square: f64,
    /// Mean interval between requests over the whole run, seconds.
    pub interval_s: f64,
}

impl Accuracy {
    /// Root mean square of the time error, seconds.
    pub fn time_error_s(&self) -> f64 {
        self.time_square.sqrt()
    }

    /// Root mean square of the frequency error, s/s.
    pub fn frequency_error(&self) -> f64 {
        self.frequency_square.sqrt()
    }

    /// The mean over several runs.
    pub fn mean(runs: &[Self]) -> Self {
        let count = runs.len().max(1) as f64;
        let mean = |value: fn(&Self) -> f64| runs.iter().map(value).sum::<f64>() / count;
        Self {
            time_square: mean(|run| run.time_square),
            frequency_square: mean(|run| run.frequency_square),
            interval_s: mean(|run| run.interval_s),
        }
    }
}

impl Cell {
    /// Simulates one client of one perfect server.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong.
    pub fn run(&self, seed: u64) -> Result<Accuracy, String> {
        let mut world = World::new(START, seed.wrapping_mul(0x9e37_79b9) ^ 0xacc);
        add_server(&mut world, 1, 0.0);
        let polls = self
            .poll
            .map(|poll| format!(" minpoll {poll} maxpoll {poll}"))
            .unwrap_or_default();
        let line = format!("server 192.0.2.1 iburst{polls}");
        let setup = ClientSetup {
            directives: &[&line],
            oscillator: Oscillator {
                offset_s: 0.01,
                frequency: 1e-5,
                wander: self.wander,
            },
            seed,
            estimator: self.estimator,
            ..ClientSetup::default()
        };
        let path = Path::new(DELAY_S, Jitter::Exponential(self.jitter_s));
        let client = add_client(&mut world, 1, &setup, &Link::symmetric(path))?;
        world.run_until(START.plus(SETTLING_S));
        let (mut time_square, mut frequency_square, mut count) = (0.0, 0.0, 0.0);
        let mut at_s = SETTLING_S;
        while at_s < DURATION_S {
            at_s += SAMPLING_S;
            world.run_until(START.plus(at_s));
            if let Some((time_error_s, rate_error)) = world.clock_error(client) {
                time_square += time_error_s * time_error_s;
                frequency_square += rate_error * rate_error;
                count += 1.0;
            }
        }
        let requests = world.client(client).map_or(0, |client| client.requests);
        Ok(Accuracy {
            time_square: time_square / count,
            frequency_square: frequency_square / count,
            interval_s: DURATION_S / requests.max(1) as f64,
        })
    }

    /// The bound for the interval that was used, seconds.
    pub fn bound_s(&self, interval_s: f64) -> f64 {
        OptimalEstimator::new(self.jitter_s, self.wander, interval_s).time_error_s()
    }
}
