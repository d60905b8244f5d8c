//! Marzullo's sweep with trust (discipline chapter, section 7.4, steps 6 and 8).

/// Correctness interval of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) trusted: bool,
}

impl Interval {
    fn contains(&self, low: f64, high: f64) -> bool {
        self.low <= low && high <= self.high
    }

    fn lies_in(&self, low: f64, high: f64) -> bool {
        low <= self.low && self.high <= high
    }
}

/// Result of the sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Intersection {
    /// D: most intervals open at once where the trusted depth is best.
    pub(crate) depth: usize,
    /// E: most trusted intervals open at once.
    pub(crate) trusted_depth: usize,
    low: f64,
    high: f64,
    trusted_low: f64,
    trusted_high: f64,
}

impl Intersection {
    /// Sweeps over the ends of all intervals.
    ///
    /// The low end found is from the first and the high end from the last place with the
    /// best depth, as in the reference, so the result may span a gap.
    pub(crate) fn of(intervals: &[Interval]) -> Self {
        let mut ends: Vec<(f64, bool, bool)> = Vec::with_capacity(2 * intervals.len());
        for interval in intervals {
            ends.push((interval.low, false, interval.trusted));
            ends.push((interval.high, true, interval.trusted));
        }
        // At equal position low ends come first.
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut best = Self::default();
        let (mut depth, mut trusted_depth) = (0, 0);
        for (position, is_high, trusted) in ends {
            if is_high {
                best.close(position, trusted_depth, depth);
                depth -= 1;
                trusted_depth -= usize::from(trusted);
            } else {
                depth += 1;
                trusted_depth += usize::from(trusted);
                best.open(position, trusted_depth, depth);
            }
        }
        best
    }

    fn open(&mut self, position: f64, trusted_depth: usize, depth: usize) {
        if (trusted_depth, depth) <= (self.trusted_depth, self.depth) {
            return;
        }
        if trusted_depth > self.trusted_depth {
            self.trusted_low = position;
        }
        self.trusted_depth = trusted_depth;
        self.depth = depth;
        self.low = position;
    }

    fn close(&mut self, position: f64, trusted_depth: usize, depth: usize) {
        if trusted_depth == self.trusted_depth {
            self.trusted_high = position;
            if depth == self.depth {
                self.high = position;
            }
        }
    }

    /// Whether an interval agrees with the majority.
    pub(crate) fn accepts(&self, interval: &Interval) -> bool {
        interval.contains(self.low, self.high) || interval.lies_in(self.low, self.high)
    }

    /// Whether an agreeing interval may be used: with trusted sources, an untrusted one
    /// must lie wholly inside the trusted interval.
    pub(crate) fn trusts(&self, interval: &Interval) -> bool {
        self.trusted_depth == 0
            || interval.trusted
            || interval.lies_in(self.trusted_low, self.trusted_high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(low: f64, high: f64) -> Interval {
        Interval {
            low,
            high,
            trusted: false,
        }
    }

    fn trusted(low: f64, high: f64) -> Interval {
        Interval {
            low,
            high,
            trusted: true,
        }
    }

    #[test]
    fn touching_ends_overlap() {
        let all = [interval(0.0, 1.0), interval(1.0, 2.0)];
        assert_eq!(Intersection::of(&all).depth, 2);
    }

    #[test]
    fn a_wide_interval_over_two_narrow_ones_keeps_all() {
        // Section 7.4, step 8: the observed case.
        let all = [
            interval(-0.1, 0.1),
            interval(-0.021, -0.019),
            interval(0.019, 0.021),
        ];
        let found = Intersection::of(&all);
        assert_eq!(found.depth, 2);
        assert!(all.iter().all(|one| found.accepts(one)));
    }

    #[test]
    fn the_majority_is_found() {
        let all = [interval(-1.0, 1.0), interval(0.5, 2.0), interval(5.0, 6.0)];
        let found = Intersection::of(&all);
        assert_eq!((found.depth, found.low, found.high), (2, 0.5, 1.0));
        assert!(found.accepts(&all[0]) && found.accepts(&all[1]) && !found.accepts(&all[2]));
    }

    #[test]
    fn one_trusted_interval_outweighs_a_crowd() {
        let all = [
            trusted(0.0, 1.0),
            interval(5.0, 6.0),
            interval(5.0, 6.0),
            interval(0.2, 0.8),
        ];
        let found = Intersection::of(&all);
        assert_eq!((found.trusted_depth, found.depth), (1, 2));
        assert!(found.accepts(&all[3]) && found.trusts(&all[3]));
        assert!(!found.accepts(&all[1]));
        let wide = interval(-1.0, 2.0);
        assert!(found.accepts(&wide) && !found.trusts(&wide));
    }
}
