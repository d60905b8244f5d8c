//! The Wald-Wolfowitz runs test that bounds the window of a regression
//! (discipline chapter, section 4.3).

/// For each count of runs C that the test can demand: the lowest number of residuals from
/// which at most C runs mean "not random" at the 5 % level (table of section 4.3).
const CRITICAL: [(u32, usize); 56] = [
    (0, 0),
    (2, 8),
    (3, 9),
    (4, 12),
    (5, 14),
    (6, 17),
    (7, 19),
    (8, 22),
    (9, 24),
    (10, 27),
    (11, 29),
    (12, 32),
    (13, 34),
    (14, 36),
    (15, 39),
    (16, 41),
    (17, 43),
    (18, 45),
    (19, 48),
    (20, 50),
    (21, 52),
    (22, 55),
    (23, 57),
    (24, 59),
    (25, 61),
    (26, 63),
    (27, 66),
    (28, 68),
    (29, 70),
    (30, 72),
    (31, 75),
    (32, 77),
    (33, 79),
    (34, 81),
    (35, 83),
    (36, 86),
    (37, 88),
    (38, 90),
    (39, 92),
    (40, 94),
    (41, 97),
    (42, 99),
    (43, 101),
    (44, 103),
    (45, 105),
    (46, 107),
    (47, 110),
    (48, 112),
    (49, 114),
    (50, 116),
    (51, 118),
    (52, 120),
    (53, 123),
    (54, 125),
    (55, 127),
    (56, 129),
];

/// C(N): with this many runs or fewer, `residuals` residuals are not random.
pub(crate) fn critical_runs(residuals: usize) -> u32 {
    let above = CRITICAL.partition_point(|&(_, lowest)| lowest <= residuals);
    CRITICAL[above.saturating_sub(1)].0
}

/// Runs in a series of residuals: 1 + the neighbouring pairs that are not both negative or
/// both positive (a zero breaks a run); 0 of an empty series.
pub(crate) fn count_runs(residuals: &[f64]) -> u32 {
    if residuals.is_empty() {
        return 0;
    }
    1 + residuals
        .windows(2)
        .filter(|pair| !same_side(pair[0], pair[1]))
        .count() as u32
}

fn same_side(a: f64, b: f64) -> bool {
    (a < 0.0 && b < 0.0) || (a > 0.0 && b > 0.0)
}

/// Whether the residuals look random.
pub(crate) fn looks_random(residuals: &[f64]) -> bool {
    count_runs(residuals) > critical_runs(residuals.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_with_zeros_breaking() {
        assert_eq!(count_runs(&[]), 0);
        assert_eq!(count_runs(&[1.0]), 1);
        assert_eq!(count_runs(&[1.0, 2.0, -1.0, -2.0, 3.0]), 3);
        assert_eq!(count_runs(&[0.0, 0.0, 1.0]), 3);
    }

    #[test]
    fn the_step_function_has_the_table_values() {
        let expected = [
            (0, 0),
            (7, 0),
            (8, 2),
            (9, 3),
            (11, 3),
            (12, 4),
            (64, 26),
            (128, 55),
            (129, 56),
        ];
        for (n, runs) in expected {
            assert_eq!(critical_runs(n), runs, "N = {n}");
        }
        assert_eq!(critical_runs(100_000), 56);
    }

    #[test]
    fn alternating_residuals_pass_and_a_bend_fails() {
        let alternating: Vec<f64> = (0..20)
            .map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        assert!(looks_random(&alternating));
        let bend: Vec<f64> = (0..20)
            .map(|i| if (5..15).contains(&i) { 1.0 } else { -1.0 })
            .collect();
        assert!(!looks_random(&bend));
    }
}
