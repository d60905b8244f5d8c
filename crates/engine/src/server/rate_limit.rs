//! How often a client is answered (ntp chapter, section 6.4; control-protocol chapter,
//! section 6.3).

use chrony_conf::limits::RateLimit as Limit;

use crate::random::RandomSource;

/// log2 of the ticks in a second; times are kept in 1/16 s.
const TICKS_LOG2: i32 = 4;
/// Tokens are counted in 16 bits.
const MAX_TOKENS: u32 = u16::MAX as u32;
/// A client is taken to insist when its rate after unanswered requests exceeds the normal one
/// by more than this, in quarter steps of log2: more than twice as fast.
const INSISTING_RATE: i32 = 4;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is answered.
    Pass,
    /// It is answered with KoD RATE.
    KissOfDeath,
    /// It is not answered.
    Drop,
}

/// The arithmetic of one of the `ratelimit` directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    interval_log2: i8,
    /// log2 of the ticks that a token takes; negative: of the tokens in a tick.
    shift: i32,
    cost: u32,
    capacity: u32,
    leak_bits: u32,
    kod_bits: u32,
}

impl RateLimit {
    /// From the directive; `None` when it was not given.
    pub fn new(limit: &Limit) -> Option<Self> {
        if !limit.enabled {
            return None;
        }
        // Clamped, so the conversions below are exact.
        let limit = limit.effective();
        let burst = limit.burst as u32;
        let exponent = TICKS_LOG2 + limit.interval;
        let (shift, cost, capacity) = if exponent >= 0 {
            let shift = (0..exponent)
                .find(|shift| burst << (exponent - shift) <= MAX_TOKENS)
                .unwrap_or(exponent);
            let cost = 1 << (exponent - shift);
            (shift, cost, cost * burst)
        } else {
            (exponent, 1, burst.max(1 << -exponent))
        };
        Some(Self {
            interval_log2: limit.interval as i8,
            shift,
            cost,
            capacity,
            leak_bits: limit.leak as u32,
            kod_bits: limit.kod as u32,
        })
    }

    /// The minimum interval, log2 of seconds: the least poll value that responses carry.
    pub const fn interval_log2(&self) -> i8 {
        self.interval_log2
    }

    /// The content of a full bucket.
    pub const fn full_bucket(&self) -> u16 {
        // At most 2¹⁶ − 1 by construction.
        self.capacity as u16
    }

    /// Tokens gained between two ticks; `later` is not before `earlier`.
    fn gain(&self, earlier: u32, later: u32) -> u32 {
        if self.shift >= 0 {
            // The ticks wrap around at 2³²: so does their shifted count.
            let shift = self.shift as u32;
            (later >> shift).wrapping_sub(earlier >> shift) & (u32::MAX >> shift)
        } else {
            let per_tick_log2 = -self.shift as u32;
            later
                .wrapping_sub(earlier)
                .saturating_mul(1 << per_tick_log2)
        }
    }

    /// Fills the bucket for the time since the previous request.
    pub(super) fn refill(&self, tokens: &mut u16, earlier: u32, later: u32) {
        let filled = u32::from(*tokens)
            .saturating_add(self.gain(earlier, later))
            .min(self.capacity);
        *tokens = filled as u16;
    }

    /// Decides about a request. `insists`: the client asks faster when it is not answered,
    /// see [`insists`].
    pub(super) fn decide(
        &self,
        tokens: &mut u16,
        insists: bool,
        random: &mut dyn RandomSource,
    ) -> Decision {
        if let Some(rest) = u32::from(*tokens).checked_sub(self.cost) {
            *tokens = rest as u16;
            return Decision::Pass;
        }
        if one_in(self.leak_bits, random) != insists {
            *tokens = 0;
            return Decision::Pass;
        }
        if self.kod_bits > 0 && one_in(self.kod_bits, random) {
            return Decision::KissOfDeath;
        }
        Decision::Drop
    }
}

/// Whether a client's rate after dropped requests (1/4 log2 of 1/s) shows that it does not
/// slow down. `None` is unknown.
pub(super) fn insists(normal_rate: Option<i8>, timeout_rate: Option<i8>) -> bool {
    match (normal_rate, timeout_rate) {
        (Some(normal), Some(timeout)) => i32::from(timeout) > i32::from(normal) + INSISTING_RATE,
        // While the normal rate is unknown nothing can be compared.
        _ => false,
    }
}

/// True with probability 2^−bits.
fn one_in(bits: u32, random: &mut dyn RandomSource) -> bool {
    random.next_u32() & ((1 << bits) - 1) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn limit(interval: i32, burst: i32, leak: i32, kod: i32) -> RateLimit {
        RateLimit::new(&Limit {
            enabled: true,
            interval,
            burst,
            leak,
            kod,
        })
        .unwrap()
    }

    #[test]
    fn buckets_of_the_specification() {
        // Defaults: cost 128, capacity 1024, one token for each tick.
        let defaults = limit(3, 8, 2, 0);
        assert_eq!(
            (defaults.shift, defaults.cost, defaults.capacity),
            (0, 128, 1024)
        );
        // Long intervals: tokens take several ticks.
        let long = limit(12, 255, 2, 0);
        assert_eq!((long.shift, long.cost), (8, 256));
        assert!(long.capacity <= MAX_TOKENS && long.cost * 2 * 255 > MAX_TOKENS);
        // Short ones: several tokens in a tick.
        let short = limit(-19, 8, 2, 0);
        assert_eq!((short.shift, short.cost, short.capacity), (-15, 1, 1 << 15));
        assert_eq!(limit(-4, 8, 2, 0).capacity, 8);
        assert_eq!(limit(99, 999, 9, 9), limit(12, 255, 4, 4));
        assert!(RateLimit::new(&Limit::NTP).is_none());
    }

    #[test]
    fn gain_counts_boundaries_and_wraps() {
        let long = limit(12, 255, 2, 0);
        assert_eq!(long.gain(255, 256), 1);
        assert_eq!(long.gain(256, 511), 0);
        assert_eq!(long.gain(u32::MAX, 0), 1);
        let mut tokens = 0;
        limit(-19, 8, 2, 0).refill(&mut tokens, 5, 6);
        assert_eq!(tokens, 1 << 15);
        limit(3, 8, 2, 0).refill(&mut tokens, 0, u32::MAX);
        assert_eq!(tokens, 1024);
    }

    #[test]
    fn decisions_have_their_probabilities() {
        let limit = limit(3, 1, 2, 1);
        let mut random = SeededRandom::new(1);
        for (insists, pass, kod) in [(false, 0.25, 0.375), (true, 0.75, 0.125)] {
            let mut counts = [0; 3];
            for _ in 0..10_000 {
                match limit.decide(&mut 0, insists, &mut random) {
                    Decision::Pass => counts[0] += 1,
                    Decision::KissOfDeath => counts[1] += 1,
                    Decision::Drop => counts[2] += 1,
                }
            }
            assert!(
                (f64::from(counts[0]) / 1e4 - pass).abs() < 0.02,
                "{counts:?}"
            );
            assert!(
                (f64::from(counts[1]) / 1e4 - kod).abs() < 0.02,
                "{counts:?}"
            );
        }
        let mut tokens = 130;
        assert_eq!(
            limit.decide(&mut tokens, false, &mut random),
            Decision::Pass
        );
        assert_eq!(tokens, 2);
    }

    #[test]
    fn insisting_is_more_than_twice_as_fast() {
        assert!(!insists(Some(0), Some(4)) && insists(Some(0), Some(5)));
        assert!(!insists(Some(0), None) && !insists(None, Some(20)));
    }
}
