//! Situations beyond what the Kalman bank takes for granted (exponential jitter, a frequency
//! that does a random walk): for comparing the estimators where the model is wrong.

use std::f64::consts::TAU;

use discipline::samples::EstimatorKind;

use crate::clock::Oscillator;
use crate::link::{Jitter, Link, Path};
use crate::scenario::{ClientSetup, START, add_client, add_server};
use crate::world::{NodeId, World};

/// Length of a run, seconds.
const DURATION_S: u32 = 40_000;

/// What is left out at its beginning, seconds.
const SETTLING_S: u32 = 10_000;

/// How often the clock's error is looked at and the world changed, seconds.
const STEP_S: u32 = 10;

/// Fixed delay each way, seconds.
const DELAY_S: f64 = 1e-3;

/// A situation.
#[derive(Clone, Copy, Debug)]
pub struct Beyond {
    /// What the table calls it.
    pub name: &'static str,
    /// Options of the `server` lines.
    pub options: &'static str,
    /// Offsets of the servers' clocks, seconds.
    pub servers_s: &'static [f64],
    /// Jitter each way.
    pub jitter: Jitter,
    /// Probability that a packet is lost.
    pub loss: f64,
    /// Standard deviation of the frequency's random step a second, s/s.
    pub wander: f64,
    /// What happens at a second.
    pub change: fn(&mut World, NodeId, u32),
}

fn nothing(_: &mut World, _: NodeId, _: u32) {}

const USUAL: Beyond = Beyond {
    name: "",
    options: "iburst",
    servers_s: &[0.0],
    jitter: Jitter::Exponential(1e-4),
    loss: 0.0,
    wander: 1e-9,
    change: nothing,
};

fn change_frequency(world: &mut World, client: NodeId, change: f64) {
    if let Some(client) = world.client(client) {
        client.clock.lock().change_frequency(change);
    }
}

/// A sine of 0.5 ppm over two hours.
fn warm_and_cold(world: &mut World, client: NodeId, second: u32) {
    let at = |second: f64| 0.5e-6 * (TAU * second / 7200.0).sin();
    let second = f64::from(second);
    change_frequency(world, client, at(second) - at(second - f64::from(STEP_S)));
}

/// 1 ppm up, then down, every 5000 s.
fn load_comes_and_goes(world: &mut World, client: NodeId, second: u32) {
    if second.is_multiple_of(5000) {
        let up = (second / 5000).is_multiple_of(2);
        change_frequency(world, client, if up { 1e-6 } else { -1e-6 });
    }
}

fn change_link(world: &mut World, client: NodeId, change: impl FnOnce(&mut Link)) {
    // The server is the first machine.
    if let Some(link) = world.link_mut(client, 0) {
        change(link);
    }
}

/// 5 ms longer both ways for the second half.
fn longer_route(world: &mut World, client: NodeId, second: u32) {
    if second == 20_000 {
        change_link(world, client, |link| {
            link.forth.delay_s += 5e-3;
            link.back.delay_s += 5e-3;
        });
    }
}

/// 5 ms shorter both ways for the second half.
fn shorter_route(world: &mut World, client: NodeId, second: u32) {
    let change_s = match second {
        STEP_S => 5e-3,
        20_000 => -5e-3,
        _ => return,
    };
    change_link(world, client, |link| {
        link.forth.delay_s += change_s;
        link.back.delay_s += change_s;
    });
}

/// A hundred times the jitter for 1000 s of every 5000 s.
fn congestion(world: &mut World, client: NodeId, second: u32) {
    let busy = second % 5000 < 1000;
    let jitter = Jitter::Exponential(if busy { 1e-2 } else { 1e-4 });
    change_link(world, client, |link| {
        link.forth.jitter = jitter;
        link.back.jitter = jitter;
    });
}

/// A hundred times the jitter in requests only for 1000 s of every 5000 s.
fn upload(world: &mut World, client: NodeId, second: u32) {
    let busy = second % 5000 < 1000;
    change_link(world, client, |link| {
        link.forth.jitter = Jitter::Exponential(if busy { 1e-2 } else { 1e-4 });
    });
}

/// All situations.
pub fn situations() -> Vec<Beyond> {
    vec![
        Beyond {
            name: "jitter as assumed",
            ..USUAL
        },
        Beyond {
            name: "jitter uniform up to 1 ms",
            jitter: Jitter::Uniform(1e-3),
            ..USUAL
        },
        Beyond {
            name: "jitter half of a normal distribution, 100 µs",
            jitter: Jitter::HalfNormal(1e-4),
            ..USUAL
        },
        Beyond {
            name: "no jitter, no wander",
            jitter: Jitter::None,
            wander: 0.0,
            ..USUAL
        },
        Beyond {
            name: "no jitter, wander 1e-8",
            jitter: Jitter::None,
            wander: 1e-8,
            ..USUAL
        },
        Beyond {
            name: "no wander",
            wander: 0.0,
            ..USUAL
        },
        Beyond {
            name: "half of the packets lost each way",
            loss: 0.5,
            ..USUAL
        },
        Beyond {
            name: "frequency a sine, 0.5 ppm in 2 h",
            change: warm_and_cold,
            ..USUAL
        },
        Beyond {
            name: "the same, poll 4",
            options: "iburst minpoll 4 maxpoll 4",
            change: warm_and_cold,
            ..USUAL
        },
        Beyond {
            name: "frequency jumps by 1 ppm every 5000 s",
            change: load_comes_and_goes,
            ..USUAL
        },
        Beyond {
            name: "the same, poll 4",
            options: "iburst minpoll 4 maxpoll 4",
            change: load_comes_and_goes,
            ..USUAL
        },
        Beyond {
            name: "route 5 ms longer from 20 000 s on",
            change: longer_route,
            ..USUAL
        },
        Beyond {
            name: "route 5 ms shorter from 20 000 s on",
            change: shorter_route,
            ..USUAL
        },
        Beyond {
            name: "10 ms of jitter for 1000 s of every 5000 s",
            change: congestion,
            ..USUAL
        },
        Beyond {
            name: "the same, poll 4",
            options: "iburst minpoll 4 maxpoll 4",
            change: congestion,
            ..USUAL
        },
        Beyond {
            name: "the same in requests only, poll 4",
            options: "iburst minpoll 4 maxpoll 4",
            change: upload,
            ..USUAL
        },
        Beyond {
            name: "three servers, 0 and ±200 µs off",
            servers_s: &[0.0, 2e-4, -2e-4],
            ..USUAL
        },
        Beyond {
            name: "filter 4, poll 4",
            options: "iburst minpoll 4 maxpoll 4 filter 4",
            ..USUAL
        },
    ]
}

impl Beyond {
    /// Mean square of the clock's error over one run, s².
    ///
    /// # Errors
    ///
    /// When the configuration is wrong.
    pub fn run(&self, estimator: EstimatorKind, seed: u64) -> Result<f64, String> {
        let mut world = World::new(START, seed.wrapping_mul(0x9e37_79b9) ^ 0xbe_70);
        let mut lines = Vec::new();
        for (number, offset_s) in (1..).zip(self.servers_s) {
            add_server(&mut world, number, *offset_s);
            lines.push(format!("server 192.0.2.{number} {}", self.options));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let setup = ClientSetup {
            directives: &lines,
            oscillator: Oscillator {
                offset_s: 0.01,
                frequency: 1e-5,
                wander: self.wander,
            },
            seed,
            estimator,
            ..ClientSetup::default()
        };
        let path = Path {
            loss: self.loss,
            ..Path::new(DELAY_S, self.jitter)
        };
        let client = add_client(&mut world, 1, &setup, &Link::symmetric(path))?;
        let (mut square, mut count) = (0.0, 0.0);
        for second in (STEP_S..=DURATION_S).step_by(STEP_S as usize) {
            world.run_until(START.plus(f64::from(second)));
            (self.change)(&mut world, client, second);
            if second <= SETTLING_S {
                continue;
            }
            if let Some((error_s, _)) = world.clock_error(client) {
                square += error_s * error_s;
                count += 1.0;
            }
        }
        Ok(square / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_estimator_is_lost_anywhere() {
        for situation in situations() {
            for estimator in [EstimatorKind::Regression, EstimatorKind::Kalman] {
                let square = situation.run(estimator, 3);
                let error_s = square.expect("run").sqrt();
                assert!(
                    error_s < 5e-3,
                    "{} {estimator:?}: {error_s}",
                    situation.name
                );
            }
        }
    }
}
