//! Statistics of one source: the specification's numbers, known lines, adversarial samples.

use proptest::prelude::*;

use super::*;
use crate::journal::Entry;
use crate::samples::testing::Random;

const START_S: i64 = 1_790_000_000;

fn at(seconds: f64) -> CookedTime {
    CookedTime::from_parts(START_S, 0).plus(seconds)
}

fn sample(seconds: f64, fast_s: f64, delay_s: f64, dispersion_s: f64) -> Sample {
    Sample {
        time: at(seconds),
        offset_s: -fast_s,
        peer_delay_s: delay_s,
        peer_dispersion_s: dispersion_s,
        root_delay_s: delay_s + 0.01,
        root_dispersion_s: dispersion_s + 0.001,
    }
}

fn accumulate(statistics: &mut SourceStatistics, sample: Sample) {
    statistics.accumulate(&sample, "192.0.2.1", &mut Journal::new());
}

fn close(found: f64, expected: f64, relative: f64) {
    assert!(
        (found / expected - 1.0).abs() < relative,
        "{found:e}, expected {expected:e}"
    );
}

fn check_vector() -> SourceStatistics {
    let mut statistics = SourceStatistics::new(StatisticsSettings {
        precision_s: 1.01e-7,
        ..StatisticsSettings::default()
    });
    for (time, offset, delay, dispersion) in [
        (0.302744781, 9.994154e-2, 3.895770e-4, 9.993333e-7),
        (16.425799624, 1.015854e-1, 3.340950e-4, 8.884573e-7),
        (32.619262126, 1.033092e-1, 3.708800e-4, 9.619713e-7),
    ] {
        accumulate(&mut statistics, sample(time, offset, delay, dispersion));
    }
    statistics
}

#[test]
fn the_check_vector_of_the_specification() {
    // Section 4.3.
    let statistics = check_vector();
    let fit = statistics.estimate();
    close(fit.offset_s, 1.032904e-1, 1e-6);
    close(fit.frequency, 1.0448e-4, 1e-4);
    close(fit.frequency_sd, 1.775e-6, 1e-3);
    close(fit.skew, 1.130e-3, 1e-3);
    close(fit.offset_sd_s, 3.18e-5, 2e-3);
    close(fit.sample_sd_s, 3.0e-5, 2e-2);
    assert_eq!(fit.time, at(32.619262126));
}

#[test]
fn before_three_samples_the_newest_offset_stands() {
    let mut statistics = SourceStatistics::new(StatisticsSettings::default());
    assert_eq!(statistics.predict(at(5.0)), 0.0);
    assert!(statistics.tracking_data().is_none());
    accumulate(&mut statistics, sample(0.0, 0.25, 1e-3, 1e-6));
    accumulate(&mut statistics, sample(16.0, 0.5, 1e-3, 1e-6));
    assert_eq!(statistics.predict(at(100.0)), 0.5);
    let report = statistics.report(at(16.0));
    assert_eq!((report.samples, report.runs, report.span_s), (2, 0, 16));
    assert_eq!((report.skew_ppm, report.sample_sd_s), (2000.0, 4.0));
    assert_eq!(statistics.frequency_uncertainty(), 2000e-6);
}

#[test]
fn a_known_line_with_noise_is_recovered() {
    let mut random = Random::new(42);
    let mut statistics = SourceStatistics::new(StatisticsSettings {
        min_samples: 64,
        ..StatisticsSettings::default()
    });
    let (offset, frequency, noise) = (0.02, -35e-6, 1e-5);
    for i in 0..64 {
        let t = f64::from(i) * 16.0;
        let measured = offset + frequency * t + noise * random.normal();
        accumulate(&mut statistics, sample(t, measured, 1e-3, 1e-6));
    }
    let fit = statistics.estimate();
    let truth = offset + frequency * 63.0 * 16.0;
    assert!((fit.offset_s - truth).abs() < 3.0 * fit.offset_sd_s);
    assert!((fit.frequency - frequency).abs() < 3.0 * fit.frequency_sd);
    close(fit.sample_sd_s, noise, 0.3);
    // Standard deviations of an unweighted line: σ·√12/(T·√n) and 2σ/√n.
    close(
        fit.frequency_sd,
        noise * 12_f64.sqrt() / (64.0 * 16.0 * 8.0),
        0.3,
    );
    close(fit.offset_sd_s, 2.0 * noise / 8.0, 0.3);
}

#[test]
fn the_deviations_are_right_over_many_trials() {
    let mut random = Random::new(7);
    let (mut offset_score, mut frequency_score) = (0.0, 0.0);
    let trials = 300;
    for _ in 0..trials {
        let mut statistics = SourceStatistics::new(StatisticsSettings {
            min_samples: 20,
            ..StatisticsSettings::default()
        });
        for i in 0..20 {
            let measured = 1e-4 * random.normal();
            accumulate(
                &mut statistics,
                sample(f64::from(i) * 64.0, measured, 1e-3, 1e-6),
            );
        }
        let fit = statistics.estimate();
        offset_score += (fit.offset_s / fit.offset_sd_s).powi(2);
        frequency_score += (fit.frequency / fit.frequency_sd).powi(2);
    }
    // Student's t with 18 degrees of freedom has variance 18/16.
    close(offset_score / f64::from(trials), 1.125, 0.25);
    close(frequency_score / f64::from(trials), 1.125, 0.25);
}

#[test]
fn a_bend_in_the_frequency_shortens_the_window() {
    let mut random = Random::new(3);
    let mut statistics = SourceStatistics::new(StatisticsSettings::default());
    for i in 0..30 {
        let noise = 1e-6 * random.normal();
        accumulate(
            &mut statistics,
            sample(f64::from(i) * 16.0, noise, 1e-3, 1e-6),
        );
    }
    assert!(statistics.samples().len() > 20);
    for i in 30..50 {
        let noise = 1e-6 * random.normal();
        let fast = 1e-5 * f64::from(i - 29) * 16.0;
        accumulate(
            &mut statistics,
            sample(f64::from(i) * 16.0, fast + noise, 1e-3, 1e-6),
        );
    }
    assert!(
        statistics.samples().len() <= 21,
        "{}",
        statistics.samples().len()
    );
    close(statistics.estimate().frequency, 1e-5, 0.01);
}

#[test]
fn minsamples_holds_the_window_open() {
    let mut statistics = SourceStatistics::new(StatisticsSettings {
        min_samples: 12,
        ..StatisticsSettings::default()
    });
    for i in 0..40 {
        let t = f64::from(i) * 16.0;
        accumulate(&mut statistics, sample(t, 1e-7 * t * t, 1e-3, 1e-6));
    }
    assert_eq!(statistics.samples().len(), 12);
}

#[test]
fn samples_with_a_large_delay_count_less() {
    let mut statistics = SourceStatistics::new(StatisticsSettings {
        asymmetry: 0.0,
        min_samples: 64,
        ..StatisticsSettings::default()
    });
    for i in 0..20 {
        let slow = i % 5 == 4;
        let (offset, delay) = if slow { (0.5, 1.0) } else { (0.0, 1e-3) };
        accumulate(
            &mut statistics,
            sample(f64::from(i) * 16.0, offset, delay, 1e-6),
        );
    }
    assert!(statistics.estimate().offset_s.abs() < 1e-3);
}

#[test]
fn shifting_by_the_fit_leaves_nothing() {
    // Section 20, first item.
    let mut statistics = check_vector();
    let fit = *statistics.estimate();
    let now = at(33.0);
    let change = ClockChange {
        when: now,
        frequency: fit.frequency,
        offset_s: statistics.predict(now),
    };
    statistics.shift(&change);
    let shown = now.minus(change.offset_s);
    assert!(
        statistics.predict(shown).abs() < 2e-9,
        "{:e}",
        statistics.predict(shown)
    );
    assert!(statistics.estimate().frequency.abs() < 1e-18);
    // A new fit of the moved samples agrees.
    let mut again = statistics.clone();
    again.fit_regression();
    assert!(again.estimate().offset_at(shown).abs() < 2e-9);
    assert!(again.estimate().frequency.abs() < 1e-10);
    let last = statistics.last_sample().expect("samples");
    assert_eq!(last.measured_offset_s, 1.033092e-1);
    assert!((last.offset_s - 2e-5).abs() < 1e-5);
}

#[test]
fn an_out_of_order_sample_discards_the_history() {
    let mut journal = Journal::new();
    let mut statistics = check_vector();
    statistics.accumulate(&sample(32.0, 0.0, 1e-3, 1e-6), "192.0.2.7", &mut journal);
    assert_eq!(statistics.samples().len(), 1);
    let entries: Vec<_> = journal.drain().collect();
    assert_eq!(
        entries,
        [Entry::Message {
            severity: crate::journal::Severity::Warning,
            text: "Out of order sample detected, discarding history for 192.0.2.7".into(),
            stepped_s: 0.0,
        }]
    );
}

#[test]
fn the_line_of_the_statistics_log() {
    let mut journal = Journal::new();
    journal.enable(LogFile::Statistics, true);
    let mut statistics = check_vector();
    statistics.accumulate(
        &sample(48.0, 0.1049, 3.5e-4, 1e-6),
        "192.0.2.1",
        &mut journal,
    );
    let entries: Vec<_> = journal.drain().collect();
    let [
        Entry::Line {
            file: LogFile::Statistics,
            text,
        },
    ] = entries.as_slice()
    else {
        panic!("{entries:?}")
    };
    assert!(
        text.starts_with("2026-09-21 14:14:08 192.0.2.1       "),
        "{text}"
    );
    assert_eq!(
        text.len(),
        "2026-09-21 14:14:08 192.0.2.1        2.290e-05  1.049e-01  \
        1.878e-05  1.034e-04  2.410e-05 6.1e-01   4   0   3  0.00"
            .len(),
        "{text}"
    );
    let columns: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(&columns[9..12], ["4", "0", "3"], "{text}");
    assert_eq!(columns[12], "0.00");
}

#[test]
fn predictions_for_the_delay_tests_need_six_samples() {
    let mut statistics = SourceStatistics::new(StatisticsSettings::default());
    for i in 0..6 {
        assert!(statistics.delay_test_data(at(100.0)).is_none());
        accumulate(
            &mut statistics,
            sample(f64::from(i), 1e-3, 1e-3 + f64::from(i), 1e-6),
        );
    }
    let data = statistics.delay_test_data(at(100.0)).expect("six samples");
    assert_eq!(data.minimum_delay_s, 1e-3);
    assert_eq!(data.newest_time, at(5.0));
}

#[test]
fn one_sided_jitter_is_corrected() {
    let mut random = Random::new(11);
    let mut corrected = SourceStatistics::new(StatisticsSettings::default());
    let mut plain = SourceStatistics::new(StatisticsSettings {
        asymmetry: 0.0,
        ..StatisticsSettings::default()
    });
    let (mut corrected_squares, mut plain_squares) = (0.0, 0.0);
    for i in 0..200 {
        let jitter = 1e-3 * random.exponential();
        // The reply is delayed: the server seems behind, the clock ahead by half of it.
        let noise = 1e-6 * random.normal();
        let one = sample(
            f64::from(i) * 64.0,
            jitter / 2.0 + noise,
            2e-4 + jitter,
            1e-6,
        );
        accumulate(&mut corrected, one);
        accumulate(&mut plain, one);
        if i > 100 {
            corrected_squares += corrected.estimate().offset_s.powi(2);
            plain_squares += plain.estimate().offset_s.powi(2);
        }
    }
    assert!((corrected.regression().asymmetry() - 0.5).abs() < 0.01);
    assert!(
        corrected_squares < plain_squares / 25.0,
        "{corrected_squares:e} {plain_squares:e}"
    );
}

#[test]
fn a_restored_dump_gives_the_same_fit() {
    let statistics = check_vector();
    let samples: Vec<StoredSample> = statistics.samples().iter().copied().collect();
    let mut other = SourceStatistics::new(*statistics.settings());
    other.restore(&samples, 5);
    assert_eq!(other.estimate(), statistics.estimate());
    assert_eq!(other.best_sample(), statistics.best_sample());
}

/// Any finite number, with extreme magnitudes as likely as ordinary ones.
fn any_finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        -1.0..1.0_f64,
        -1e-6..1e-6_f64,
        -1e10..1e10_f64,
        proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
    ]
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (
        prop_oneof![
            1..100_i64,
            1..4_000_000_000_000_000_000_i64,
            Just(1_000_000_000)
        ],
        any_finite(),
        any_finite(),
        any_finite(),
        any_finite(),
        any_finite(),
    );
    proptest::collection::vec(one, 1..140).prop_map(|rows| {
        let mut time = CookedTime::from_parts(START_S, 0);
        rows.into_iter()
            .map(
                |(step_ns, offset_s, delay, dispersion, root_delay_s, root_dispersion_s)| {
                    time = CookedTime::from_ns(time.as_ns().saturating_add(step_ns));
                    Sample {
                        time,
                        offset_s,
                        peer_delay_s: delay,
                        peer_dispersion_s: dispersion,
                        root_delay_s,
                        root_dispersion_s,
                    }
                },
            )
            .collect()
    })
}

fn assert_finite(statistics: &SourceStatistics, now: CookedTime) {
    let fit = statistics.estimate();
    assert!(fit.is_finite(), "{fit:?}");
    assert!(fit.offset_sd_s >= 0.0 && fit.skew > 0.0 && fit.frequency_sd > 0.0);
    assert!(fit.offset_sd_at(now).is_finite());
    assert!(statistics.predict(now).is_finite());
    let report = statistics.report(now);
    assert!(report.offset_s.is_finite() && report.offset_error_s.is_finite());
    if let Some(data) = statistics.selection_data(now, 1e-6) {
        assert!(data.offset_s.is_finite() && data.root_distance_s.is_finite());
    }
    if let Some(data) = statistics.tracking_data() {
        assert!(data.root_dispersion_s.is_finite());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_turns_infinite(
        samples in any_samples(),
        asymmetry in prop_oneof![Just(1.0), Just(0.0), -0.5..0.5_f64],
        estimator in prop_oneof![Just(EstimatorKind::Regression), Just(EstimatorKind::Kalman)],
        changes in proptest::collection::vec((any_finite(), any_finite()), 1..20),
    ) {
        let mut statistics = SourceStatistics::new(StatisticsSettings {
            asymmetry,
            estimator,
            ..StatisticsSettings::default()
        });
        for (i, sample) in samples.iter().enumerate() {
            accumulate(&mut statistics, *sample);
            assert_finite(&statistics, sample.time.plus(10.0));
            if i % 7 == 3 {
                let (frequency, offset_s) = changes[i % changes.len()];
                statistics.shift(&ClockChange { when: sample.time, frequency, offset_s });
                statistics.add_dispersion(frequency.abs());
                statistics.correct_offset(offset_s);
                assert_finite(&statistics, sample.time.plus(-3.0));
            }
        }
    }

    #[test]
    fn a_constant_offset_is_the_estimate(
        offset in -1e6..1e6_f64,
        step in 0.01..1e4_f64,
        count in 3..80_u32,
    ) {
        let mut statistics = SourceStatistics::new(StatisticsSettings::default());
        for i in 0..count {
            accumulate(&mut statistics, sample(f64::from(i) * step, offset, 1e-3, 1e-6));
        }
        let fit = statistics.estimate();
        prop_assert!((fit.offset_s - offset).abs() <= 1e-9 * offset.abs().max(1.0));
        prop_assert!((fit.frequency * step).abs() <= 1e-9 * offset.abs().max(1.0));
    }
}
