//! The second estimator beside the regression, on the same samples.

use super::*;
use crate::journal::Journal;
use crate::samples::estimator::EstimatorKind;
use crate::samples::sample::Sample;
use crate::samples::statistics::SourceStatistics;
use crate::samples::testing::Random;

fn at(seconds: f64) -> CookedTime {
    CookedTime::from_parts(1_790_000_000, 0).plus(seconds)
}

fn statistics(estimator: EstimatorKind) -> SourceStatistics {
    SourceStatistics::new(StatisticsSettings {
        estimator,
        ..StatisticsSettings::default()
    })
}

fn accumulate(statistics: &mut SourceStatistics, seconds: f64, fast_s: f64, delay_s: f64) {
    let sample = Sample {
        time: at(seconds),
        offset_s: -fast_s,
        peer_delay_s: delay_s,
        peer_dispersion_s: 1e-7,
        root_delay_s: delay_s,
        root_dispersion_s: 1e-7,
    };
    statistics.accumulate(&sample, "test", &mut Journal::new());
}

/// RMS errors of the offset by (regression, filter) for a clock that is not corrected.
fn compare(poll_s: f64, jitter_s: f64, wander: f64, count: u32) -> (f64, f64) {
    let mut random = Random::new((1e12 * (jitter_s + wander)) as u64 + poll_s as u64);
    let mut regression = statistics(EstimatorKind::Regression);
    let mut filter = statistics(EstimatorKind::Kalman);
    let (mut truth, mut frequency) = (1e-3, 1e-5);
    let (mut regression_squares, mut filter_squares) = (0.0, 0.0);
    for i in 0..count {
        // Wander of a poll in eight steps.
        for _ in 0..8 {
            truth += frequency * poll_s / 8.0;
            frequency += wander * (poll_s / 8.0).sqrt() * random.normal();
        }
        let (there, back) = (
            random.exponential() * jitter_s,
            random.exponential() * jitter_s,
        );
        let measured = truth + (back - there) / 2.0;
        let time = f64::from(i) * poll_s;
        accumulate(&mut regression, time, measured, 2e-3 + there + back);
        accumulate(&mut filter, time, measured, 2e-3 + there + back);
        if i > count / 4 {
            regression_squares += (regression.predict(at(time)) - truth).powi(2);
            filter_squares += (filter.predict(at(time)) - truth).powi(2);
        }
    }
    (regression_squares.sqrt(), filter_squares.sqrt())
}

#[test]
fn it_is_better_than_the_regression_over_a_grid() {
    let (mut product, mut cells) = (1.0, 0);
    for jitter in [1e-6, 1e-5, 1e-4, 1e-3, 1e-2] {
        for wander in [1e-10, 1e-9, 1e-8, 1e-7] {
            let (regression, filter) = compare(64.0, jitter, wander, 600);
            let ratio = filter / regression;
            assert!(ratio < 1.05, "jitter {jitter:e} wander {wander:e}: {ratio}");
            product *= ratio;
            cells += 1;
        }
    }
    let mean = f64::powf(product, 1.0 / f64::from(cells));
    assert!(mean < 0.6, "{mean}");
}

#[test]
fn its_deviation_is_honest() {
    let mut random = Random::new(77);
    let mut filter = statistics(EstimatorKind::Kalman);
    let (mut score, mut judged) = (0.0, 0);
    let (mut truth, mut frequency) = (0.0, 1e-6);
    for i in 0..1500 {
        truth += frequency * 16.0;
        frequency += 1e-9 * 4.0 * random.normal();
        accumulate(
            &mut filter,
            f64::from(i) * 16.0,
            truth + 1e-5 * random.normal(),
            1e-3,
        );
        if i > 200 {
            let fit = filter.estimate();
            score += ((fit.offset_s - truth) / fit.offset_sd_s).powi(2);
            judged += 1;
        }
    }
    let score = score / f64::from(judged);
    assert!((0.5..2.0).contains(&score), "{score}");
}

#[test]
fn the_steady_state_is_that_of_the_riccati_equation() {
    let (tau, wander, noise) = (16.0, grid(MIN_WANDER, 4), grid(MIN_NOISE_S, 8));
    let mut filter = Filter::start(0.0, noise * noise);
    for _ in 0..2000 {
        filter.predict(tau, wander);
        filter.correct(0.0, noise * noise);
    }
    let before = filter.variance;
    filter.predict(tau, wander);
    filter.correct(0.0, noise * noise);
    for (one, other) in before.iter().zip(filter.variance) {
        assert!((one / other - 1.0).abs() < 1e-9);
    }
    // Offset and frequency are corrected, and better known than a single sample says.
    assert!(before[0] < noise * noise && before[1] > 0.0 && before[2] > 0.0);
}

#[test]
fn an_outlier_is_survived_and_a_jump_followed() {
    let mut random = Random::new(8);
    let mut filter = statistics(EstimatorKind::Kalman);
    let mut time = 0.0;
    let mut feed = |filter: &mut SourceStatistics, offset: f64| {
        time += 16.0;
        accumulate(filter, time, offset + 1e-5 * random.normal(), 1e-3);
    };
    for _ in 0..60 {
        feed(&mut filter, 0.0);
    }
    feed(&mut filter, 0.01);
    feed(&mut filter, 0.0);
    feed(&mut filter, 0.0);
    assert!(
        filter.estimate().offset_s.abs() < 3e-4,
        "{:e}",
        filter.estimate().offset_s
    );
    for _ in 0..4 {
        feed(&mut filter, 5.0);
    }
    // The bank has started again; the regression steers, from the fourth sample on.
    assert!(
        (filter.estimate().offset_s - filter.regression().estimate().offset_s).abs() < 1e-12,
        "{:e}",
        filter.estimate().offset_s
    );
    for _ in 0..8 {
        feed(&mut filter, 5.0);
    }
    assert!(
        (filter.estimate().offset_s - 5.0).abs() < 1e-3,
        "{:e}",
        filter.estimate().offset_s
    );
}

#[test]
fn reports_keep_the_quantities_of_the_reference() {
    let mut random = Random::new(12);
    let mut regression = statistics(EstimatorKind::Regression);
    let mut filter = statistics(EstimatorKind::Kalman);
    for i in 0..20 {
        let offset = 1e-4 * random.normal();
        accumulate(&mut regression, f64::from(i) * 64.0, offset, 1e-3);
        accumulate(&mut filter, f64::from(i) * 64.0, offset, 1e-3);
    }
    assert_eq!(filter.report(at(1300.0)), regression.report(at(1300.0)));
    assert_ne!(filter.estimate(), regression.estimate());
    assert_eq!(
        filter.estimate().sample_sd_s,
        regression.estimate().sample_sd_s
    );
}

#[test]
fn changes_of_the_clock_are_followed() {
    let mut filter = statistics(EstimatorKind::Kalman);
    for i in 0..20 {
        let time = f64::from(i) * 64.0;
        accumulate(&mut filter, time, 0.5 + 1e-5 * time, 1e-3);
    }
    let now = at(1300.0);
    let change = ClockChange {
        when: now,
        frequency: filter.estimate().frequency,
        offset_s: filter.predict(now),
    };
    filter.shift(&change);
    assert!(filter.predict(now.minus(change.offset_s)).abs() < 3e-9);
    assert!(filter.estimate().frequency.abs() < 1e-15);
    filter.correct_offset(0.25);
    assert!((filter.predict(now.minus(change.offset_s)) - 0.25).abs() < 3e-9);
}

#[test]
fn any_frequency_that_can_be_corrected_is_found() {
    let mut filter = statistics(EstimatorKind::Kalman);
    for i in 0..10 {
        let time = f64::from(i) * 64.0;
        accumulate(&mut filter, time, 0.05 * time, 1e-3);
    }
    let estimate = filter.estimate();
    assert!((estimate.frequency - 0.05).abs() < 1e-7, "{estimate:?}");
}

#[test]
fn a_shorter_delay_changes_what_older_samples_are_worth() {
    let late = |filter: &mut SourceStatistics| {
        for i in 0..9 {
            // 10 ms wrong, as 20 ms more in one direction make them.
            let noise = 1e-6 * f64::from(i % 3);
            accumulate(
                filter,
                f64::from(i) * 64.0,
                0.01 + noise,
                0.021 + 2.0 * noise,
            );
        }
    };
    let mut filter = statistics(EstimatorKind::Kalman);
    late(&mut filter);
    assert!((filter.estimate().offset_s - 0.01).abs() < 1e-4);
    accumulate(&mut filter, 576.0, 0.0, 0.001);
    let estimate = filter.estimate();
    assert!(estimate.offset_s.abs() < 1e-3, "{estimate:?}");
    // The old ones are no more than hints of the frequency.
    assert!(estimate.frequency_sd > 5e-6, "{estimate:?}");
}

#[test]
fn a_restored_dump_is_as_good_as_the_samples_were() {
    let mut before = statistics(EstimatorKind::Kalman);
    let mut random = Random::new(21);
    for i in 0..12 {
        let noise = 1e-4 * random.normal();
        accumulate(&mut before, f64::from(i) * 64.0, noise, 1e-3);
    }
    let samples: Vec<_> = before.samples().iter().copied().collect();
    let mut after = statistics(EstimatorKind::Kalman);
    after.restore(&samples, 0);
    // Selection would refuse the source for its jitter, were the 4 s of the start still there.
    let expected = before.estimate().sample_sd_s;
    assert!(expected < 1e-3);
    assert_eq!(after.estimate().sample_sd_s, expected);
    assert_eq!(after.estimate().offset_s, before.estimate().offset_s);
}
