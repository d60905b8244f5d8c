//! The register of a source's last eight polls (discipline chapter, section 6).

/// Bits of the register, and where the count of updates stops.
pub const REGISTER_BITS: u8 = 8;

/// Reachability register, how many updates it has seen (at most 8), and how many in a row
/// left it zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reachability {
    register: u8,
    updates: u8,
    zero_updates: u32,
}

impl Reachability {
    /// From a dump: register and number of valid bits (cut to 8).
    pub fn restored(register: u8, updates: u8) -> Self {
        Self {
            register,
            updates: updates.min(REGISTER_BITS),
            zero_updates: 0,
        }
    }

    /// Shifts in the result of a poll: whether a valid synchronised response came (or a
    /// reference clock had a valid sample).
    pub fn update(&mut self, reached: bool) {
        self.register = self.register << 1 | u8::from(reached);
        self.updates = (self.updates + 1).min(REGISTER_BITS);
        self.zero_updates = if self.register == 0 {
            self.zero_updates.saturating_add(1)
        } else {
            0
        };
    }

    /// The source was taken offline: the register is cleared and one failed update counts.
    pub fn go_offline(&mut self) {
        self.register = 0;
        self.update(false);
    }

    /// Forgets everything, as for a new source.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The register, newest poll in the lowest bit.
    pub fn register(&self) -> u8 {
        self.register
    }

    /// Updates so far, at most 8.
    pub fn updates(&self) -> u8 {
        self.updates
    }

    /// Consecutive updates that left the register zero.
    pub fn zero_updates(&self) -> u32 {
        self.zero_updates
    }

    /// Whether any of the last eight polls reached the source.
    pub fn is_reachable(&self) -> bool {
        self.register != 0
    }

    /// Whether eight or more updates left nothing: an NTP source is then to be replaced.
    pub fn is_exhausted(&self) -> bool {
        self.register == 0 && self.updates >= REGISTER_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_misses_exhaust_it() {
        let mut reach = Reachability::default();
        assert!(!reach.is_reachable() && !reach.is_exhausted());
        reach.update(true);
        for _ in 0..7 {
            reach.update(false);
            assert!(reach.is_reachable());
        }
        reach.update(false);
        assert!(reach.is_exhausted());
        assert_eq!((reach.zero_updates(), reach.updates()), (1, 8));
        reach.update(true);
        assert_eq!((reach.register(), reach.zero_updates()), (1, 0));
    }

    #[test]
    fn offline_counts_as_one_failure() {
        let mut reach = Reachability::default();
        reach.update(true);
        reach.go_offline();
        assert_eq!(
            (reach.register(), reach.updates(), reach.zero_updates()),
            (0, 2, 1)
        );
    }
}
