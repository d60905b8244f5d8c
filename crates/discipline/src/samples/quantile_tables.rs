//! Tabulated quantiles of Student's t and of the chi-square distribution.

/// 99.95 % one-sided quantile of Student's t for 1 … 40 degrees of freedom
/// (discipline chapter, section 4.3).
const STUDENT_T: [f64; 40] = [
    636.6, 31.6, 12.92, 8.61, 6.869, 5.959, 5.408, 5.041, 4.781, 4.587, 4.437, 4.318, 4.221, 4.140,
    4.073, 4.015, 3.965, 3.922, 3.883, 3.850, 3.819, 3.792, 3.768, 3.745, 3.725, 3.707, 3.690,
    3.674, 3.659, 3.646, 3.633, 3.622, 3.611, 3.601, 3.591, 3.582, 3.574, 3.566, 3.558, 3.551,
];

/// The quantile beyond the table (section 4.3).
const STUDENT_T_BEYOND: f64 = 3.5;

/// 99.95 % one-sided quantile of Student's t.
pub(crate) fn student_t(degrees_of_freedom: usize) -> f64 {
    let index = degrees_of_freedom.max(1) - 1;
    STUDENT_T.get(index).copied().unwrap_or(STUDENT_T_BEYOND)
}

/// 90 % quantile of the chi-square distribution for 1 … 64 degrees of freedom, three
/// decimals (section 3).
const CHI_SQUARE: [f64; 64] = [
    2.706, 4.605, 6.251, 7.779, 9.236, 10.645, 12.017, 13.362, 14.684, 15.987, 17.275, 18.549,
    19.812, 21.064, 22.307, 23.542, 24.769, 25.989, 27.204, 28.412, 29.615, 30.813, 32.007, 33.196,
    34.382, 35.563, 36.741, 37.916, 39.087, 40.256, 41.422, 42.585, 43.745, 44.903, 46.059, 47.212,
    48.363, 49.513, 50.660, 51.805, 52.949, 54.090, 55.230, 56.369, 57.505, 58.641, 59.774, 60.907,
    62.038, 63.167, 64.295, 65.422, 66.548, 67.673, 68.796, 69.919, 71.040, 72.160, 73.279, 74.397,
    75.514, 76.630, 77.745, 78.860,
];

/// Growth per degree of freedom beyond the table (section 3).
const CHI_SQUARE_SLOPE: f64 = 1.2;

/// 90 % quantile of the chi-square distribution.
pub(crate) fn chi_square(degrees_of_freedom: usize) -> f64 {
    let index = degrees_of_freedom.max(1) - 1;
    CHI_SQUARE
        .get(index)
        .copied()
        .unwrap_or(CHI_SQUARE_SLOPE * degrees_of_freedom as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles() {
        assert_eq!(student_t(0), 636.6);
        assert_eq!(student_t(1), 636.6);
        assert_eq!(student_t(40), 3.551);
        assert_eq!(student_t(41), 3.5);
        // Published tables: 2.706, 15.987 and 63.167 for 1, 10 and 50.
        assert_eq!(
            (chi_square(1), chi_square(10), chi_square(50)),
            (2.706, 15.987, 63.167)
        );
        assert_eq!(chi_square(100), 120.0);
    }

    #[test]
    fn both_tables_are_monotonic() {
        for dof in 1..64 {
            assert!(student_t(dof) >= student_t(dof + 1));
            assert!(chi_square(dof) < chi_square(dof + 1), "{dof}");
        }
    }
}
