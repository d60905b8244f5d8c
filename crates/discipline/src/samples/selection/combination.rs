//! Combining the fits of several sources (discipline chapter, section 8).

use super::super::estimator::Estimate;

/// Smallest root distance used as a weight, seconds.
const MIN_DISTANCE_S: f64 = 1e-9;

/// One fit with the root distance that weights its offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contribution {
    pub(crate) estimate: Estimate,
    pub(crate) root_distance_s: f64,
}

/// Combines the selected source's fit with those of others; the result belongs to the time
/// of the selected fit. Offsets are weighted by inverse distance, frequencies by inverse
/// variance.
///
/// The elapsed time added to the deviation of an offset is signed, as in the reference
/// (logged values agree only so): going back from the newest sample into the fitted span,
/// a fit does become more certain.
pub(crate) fn combine(selected: &Contribution, others: &[Contribution]) -> Estimate {
    let target = &selected.estimate;
    if others.is_empty() {
        return *target;
    }
    let (mut weights, mut offsets, mut squares) = (0.0, 0.0, 0.0);
    let (mut frequency_weights, mut frequencies, mut skew_weights) = (0.0, 0.0, 0.0);
    for Contribution {
        estimate,
        root_distance_s,
    } in std::iter::once(selected).chain(others)
    {
        let weight = 1.0 / root_distance_s.max(MIN_DISTANCE_S);
        let elapsed = target.time.since(estimate.time);
        let offset = estimate.offset_at(target.time);
        let sd = estimate.offset_sd_s + elapsed * estimate.frequency_sd;
        weights += weight;
        offsets += weight * offset;
        squares += weight * (sd.powi(2) + (offset - target.offset_s).powi(2));
        let frequency_weight = estimate.frequency_sd.powi(-2);
        frequency_weights += frequency_weight;
        frequencies += frequency_weight * estimate.frequency;
        skew_weights += estimate.skew.powi(-2);
    }
    let combined = Estimate {
        offset_s: offsets / weights,
        offset_sd_s: (squares / weights).sqrt(),
        frequency: frequencies / frequency_weights,
        frequency_sd: frequency_weights.powf(-0.5),
        skew: skew_weights.powf(-0.5),
        ..*target
    };
    if combined.is_finite() {
        combined
    } else {
        *target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::CookedTime;

    fn contribution(second: i64, offset_s: f64, frequency: f64, distance: f64) -> Contribution {
        Contribution {
            estimate: Estimate {
                time: CookedTime::from_parts(second, 0),
                offset_s,
                offset_sd_s: 1e-4,
                frequency,
                frequency_sd: 1e-6,
                skew: 2e-6,
                covariance_s: 0.0,
                sample_sd_s: 1e-4,
            },
            root_distance_s: distance,
        }
    }

    #[test]
    fn one_source_is_used_as_is() {
        let only = contribution(100, 0.5, 1e-5, 0.01);
        assert_eq!(combine(&only, &[]), only.estimate);
    }

    #[test]
    fn two_sources_by_hand() {
        let selected = contribution(100, 1e-3, 1e-5, 0.01);
        let other = contribution(90, 2e-3, 3e-5, 0.02);
        let result = combine(&selected, &[other]);
        // Weights 100 and 50; the other's offset at 100 s is 2.3 ms.
        assert!((result.offset_s - (100.0 * 1e-3 + 50.0 * 2.3e-3) / 150.0).abs() < 1e-12);
        let variance =
            (100.0 * 1e-8 + 50.0 * ((1e-4_f64 + 1e-5).powi(2) + 1.3e-3_f64.powi(2))) / 150.0;
        assert!((result.offset_sd_s - variance.sqrt()).abs() < 1e-12);
        assert!((result.frequency - 2e-5).abs() < 1e-15);
        assert!((result.frequency_sd - 1e-6 / 2.0_f64.sqrt()).abs() < 1e-15);
        assert!((result.skew - 2e-6 / 2.0_f64.sqrt()).abs() < 1e-15);
        assert_eq!(result.time, selected.estimate.time);
    }

    #[test]
    fn zero_distances_do_not_divide_by_zero() {
        let result = combine(
            &contribution(0, 1.0, 0.0, 0.0),
            &[contribution(0, 2.0, 0.0, 0.0)],
        );
        assert!((result.offset_s - 1.5).abs() < 1e-12);
    }
}
