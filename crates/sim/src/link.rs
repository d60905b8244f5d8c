//! Links between simulated machines.

use engine::random::RandomSource;

use crate::clock::TrueTime;
use crate::random::{exponential, normal};

/// What is added to the fixed delay of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Jitter {
    /// Nothing.
    #[default]
    None,
    /// Exponentially distributed with this mean, seconds.
    Exponential(f64),
    /// Uniform between 0 and this, seconds.
    Uniform(f64),
    /// The magnitude of a normal distribution with this standard deviation, seconds.
    HalfNormal(f64),
}

impl Jitter {
    /// Draws the additional delay of one packet, seconds.
    pub fn draw(self, random: &mut dyn RandomSource) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Exponential(mean_s) => mean_s * exponential(random),
            Self::Uniform(most_s) => most_s * random.uniform(),
            Self::HalfNormal(deviation_s) => deviation_s * normal(random).abs(),
        }
    }
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Fixed delay, seconds.
    pub delay_s: f64,
    /// Random additional delay.
    pub jitter: Jitter,
    /// Probability that a packet is lost.
    pub loss: f64,
}

impl Path {
    /// A path without loss.
    pub const fn new(delay_s: f64, jitter: Jitter) -> Self {
        Self {
            delay_s,
            jitter,
            loss: 0.0,
        }
    }

    /// The delay of one packet, seconds; `None` when it is lost.
    pub fn draw(&self, random: &mut dyn RandomSource) -> Option<f64> {
        let delay_s = self.delay_s + self.jitter.draw(random);
        (random.uniform() >= self.loss).then_some(delay_s)
    }
}

/// A link between two machines: a path each way (different ones make it asymmetric) and
/// times when nothing passes.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// From the first machine to the second.
    pub forth: Path,
    /// From the second machine to the first.
    pub back: Path,
    /// Outages: from (included) to (excluded).
    pub outages: Vec<(TrueTime, TrueTime)>,
}

impl Link {
    /// The same path both ways, no outage.
    pub const fn symmetric(path: Path) -> Self {
        Self {
            forth: path,
            back: path,
            outages: Vec::new(),
        }
    }

    /// Whether packets sent at `now` are lost in an outage.
    pub fn is_down(&self, now: TrueTime) -> bool {
        self.outages
            .iter()
            .any(|(from, to)| (*from..*to).contains(&now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::random::SeededRandom;

    #[test]
    fn loss_and_outages() {
        let mut random = SeededRandom::new(5);
        let path = Path {
            loss: 0.25,
            ..Path::new(0.001, Jitter::Uniform(0.001))
        };
        let delays: Vec<_> = (0..10_000).filter_map(|_| path.draw(&mut random)).collect();
        assert!((7300..7700).contains(&delays.len()));
        assert!(delays.iter().all(|delay| (0.001..0.002).contains(delay)));
        let mut link = Link::symmetric(path);
        link.outages.push((TrueTime(10), TrueTime(20)));
        assert!(!link.is_down(TrueTime(9)) && link.is_down(TrueTime(10)));
        assert!(link.is_down(TrueTime(19)) && !link.is_down(TrueTime(20)));
    }
}
