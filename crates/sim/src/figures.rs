//! The situations of the specification's reference figures (discipline chapter, section
//! 21): what the reference reached in each, and running ours through the same.

use discipline::samples::EstimatorKind;

use crate::clock::{Oscillator, TrueTime};
use crate::link::{Jitter, Link, Path};
use crate::refclock::{Signal, SimRefclock};
use crate::scenario::{ClientSetup, START, add_client, add_server};
use crate::world::{NodeId, World};

/// Fixed delay each way, seconds.
const DELAY_S: f64 = 1e-4;

/// Shortest time that a value must stay within a limit to count as converged, seconds.
const LEAST_STAY_S: u32 = 60;

/// Poll intervals that a value must stay within a limit.
const STAY_POLLS: u32 = 8;

/// Who the client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// So many servers with perfect clocks.
    Perfect(u8),
    /// Another engine with a perfect clock, which answers in interleaved mode.
    Interleaved,
    /// Nobody: a device is read that tells the time with normal noise of the first jitter.
    ReferenceClock,
}

/// What must come near zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// The time error, seconds.
    Time(f64),
    /// The frequency error, s/s.
    Frequency(f64),
}

/// A situation and what the reference reached in it.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What the table calls it.
    pub name: String,
    /// Options of the `server` lines, or the `refclock` line.
    pub options: String,
    /// More directives.
    pub directives: &'static [&'static str],
    /// Contents of the drift file `/drift`.
    pub drift: Option<&'static str>,
    /// Who is asked.
    pub servers: Servers,
    /// log2 of the polling interval that the time to stay converged is counted in.
    pub poll: i8,
    /// Mean of the exponential jitter of requests and responses, seconds.
    pub jitters_s: (f64, f64),
    /// Standard deviation of the frequency's random step a second, s/s.
    pub wander: f64,
    /// Clock − true time at the start, seconds.
    pub offset_s: f64,
    /// Frequency error at the start, s/s.
    pub frequency: f64,
    /// Length of a run, seconds. Errors are taken over its second half.
    pub duration_s: u32,
    /// Number of seeds that the reference's figure is over.
    pub seeds: u64,
    /// The reference's time error, seconds.
    pub time_error_s: f64,
    /// Its range between seeds, where known, seconds.
    pub range_s: Option<(f64, f64)>,
    /// The reference's frequency error, ppm, where known.
    pub frequency_error_ppm: Option<f64>,
    /// When the reference converged: limit, seconds (`None`: not in most runs).
    pub convergence: Vec<(Limit, Option<f64>)>,
}

/// What one run gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// Mean square of the time error over the second half, s².
    pub time_square: f64,
    /// Mean square of the frequency error.
    pub frequency_square: f64,
    /// Largest time error over the second half, seconds.
    pub largest_s: f64,
    /// For each limit of the figure the second of convergence.
    pub converged_s: Vec<Option<u32>>,
}

/// Looks for the first second from which a value stays within a limit.
#[derive(Clone, Copy, Debug)]
struct Watch {
    limit: Limit,
    stay_s: u32,
    inside_since: Option<u32>,
    converged: Option<u32>,
}

impl Watch {
    fn look(&mut self, second: u32, time_error_s: f64, frequency_error: f64) {
        if self.converged.is_some() {
            return;
        }
        let inside = match self.limit {
            Limit::Time(limit_s) => time_error_s.abs() <= limit_s,
            Limit::Frequency(limit) => frequency_error.abs() <= limit,
        };
        if !inside {
            self.inside_since = None;
            return;
        }
        let since = *self.inside_since.get_or_insert(second);
        if second - since >= self.stay_s {
            self.converged = Some(since);
        }
    }
}

impl Figure {
    /// Simulates one client.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong.
    pub fn run(&self, estimator: EstimatorKind, seed: u64) -> Result<Run, String> {
        let mut world = World::new(START, seed.wrapping_mul(0x9e37_79b9) ^ 0xf1_6e);
        let client = self.populate(&mut world, estimator, seed)?;
        Ok(self.observe(&mut world, client))
    }

    fn populate(
        &self,
        world: &mut World,
        estimator: EstimatorKind,
        seed: u64,
    ) -> Result<NodeId, String> {
        let addresses: Vec<String> = match self.servers {
            Servers::Perfect(count) => {
                let numbers = 1..=count;
                for number in numbers.clone() {
                    add_server(world, number, 0.0);
                }
                numbers.map(|number| format!("192.0.2.{number}")).collect()
            }
            Servers::Interleaved => {
                let setup = ClientSetup {
                    directives: &["local stratum 1", "allow"],
                    oscillator: Oscillator {
                        offset_s: 0.0,
                        frequency: 0.0,
                        wander: 0.0,
                    },
                    seed: seed ^ 0x5e,
                    ..ClientSetup::default()
                };
                let nobody = Link::symmetric(Path::new(DELAY_S, Jitter::None));
                add_client(world, 1, &setup, &nobody)?;
                vec!["198.51.100.1".to_owned()]
            }
            Servers::ReferenceClock => Vec::new(),
        };
        let sources = addresses
            .iter()
            .map(|address| format!("server {address} {}", self.options));
        let clock =
            (self.servers == Servers::ReferenceClock).then(|| format!("refclock {}", self.options));
        let lines: Vec<String> = sources
            .chain(clock)
            .chain(self.directives.iter().map(|line| (*line).to_owned()))
            .chain(self.drift.map(|_| "driftfile /drift".to_owned()))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let files: Vec<_> = self
            .drift
            .map(|text| ("/drift", text.as_bytes()))
            .into_iter()
            .collect();
        let setup = ClientSetup {
            directives: &lines,
            oscillator: Oscillator {
                offset_s: self.offset_s,
                frequency: self.frequency,
                wander: self.wander,
            },
            seed,
            estimator,
            files: &files,
            refclocks: &[SimRefclock::new(Signal::Time, self.jitters_s.0)],
            ..ClientSetup::default()
        };
        let path = |jitter_s| Path::new(DELAY_S, Jitter::Exponential(jitter_s));
        let link = Link {
            forth: path(self.jitters_s.0),
            back: path(self.jitters_s.1),
            outages: Vec::new(),
        };
        add_client(world, 2, &setup, &link)
    }

    fn observe(&self, world: &mut World, client: NodeId) -> Run {
        let stay_s = (f64::from(STAY_POLLS) * f64::from(self.poll).exp2()) as u32;
        let watch = |(limit, _): &(Limit, Option<f64>)| Watch {
            limit: *limit,
            stay_s: stay_s.max(LEAST_STAY_S),
            inside_since: None,
            converged: None,
        };
        let mut watches: Vec<Watch> = self.convergence.iter().map(watch).collect();
        let (mut time_square, mut frequency_square, mut largest_s, mut count) =
            (0.0, 0.0, 0.0f64, 0.0);
        for second in 1..=self.duration_s {
            let at = TrueTime(START.0 + i64::from(second) * 1_000_000_000);
            world.run_until(at);
            let Some((time_error_s, frequency_error)) = world.clock_error(client) else {
                continue;
            };
            for watch in &mut watches {
                watch.look(second, time_error_s, frequency_error);
            }
            if second > self.duration_s / 2 {
                time_square += time_error_s * time_error_s;
                frequency_square += frequency_error * frequency_error;
                largest_s = largest_s.max(time_error_s.abs());
                count += 1.0;
            }
        }
        Run {
            time_square: time_square / count,
            frequency_square: frequency_square / count,
            largest_s,
            converged_s: watches.iter().map(|watch| watch.converged).collect(),
        }
    }
}

/// Median over the runs of the second at which a limit was reached; `None` when it was not
/// in most runs.
pub fn median_convergence(runs: &[Run], limit: usize) -> Option<f64> {
    let seconds = runs
        .iter()
        .map(|run| run.converged_s.get(limit).copied().flatten());
    let mut seconds: Vec<f64> = seconds
        .map(|second| second.map_or(f64::INFINITY, f64::from))
        .collect();
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    let upper = *seconds.get(middle)?;
    let lower = *seconds.get((seconds.len() - 1) / 2)?;
    let median = (lower + upper) / 2.0;
    median.is_finite().then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_converges_when_it_stays() {
        let mut watch = Watch {
            limit: Limit::Time(1.0),
            stay_s: 3,
            inside_since: None,
            converged: None,
        };
        let errors = [5.0, 0.5, 0.5, 2.0, -0.9, 0.1, 0.2, 0.3, 7.0];
        for (second, error) in (1..).zip(errors) {
            watch.look(second, error, 0.0);
        }
        assert_eq!(watch.converged, Some(5));
    }

    #[test]
    fn medians_count_the_runs_that_never_converge() {
        let run = |converged| Run {
            time_square: 0.0,
            frequency_square: 0.0,
            largest_s: 0.0,
            converged_s: vec![converged],
        };
        let runs = [run(Some(10)), run(None), run(Some(20)), run(Some(40))];
        assert_eq!(median_convergence(&runs, 0), Some(30.0));
        assert_eq!(median_convergence(&runs[..2], 0), None);
    }
}
