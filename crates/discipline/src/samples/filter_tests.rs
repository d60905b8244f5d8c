//! The sample filter.

use proptest::prelude::*;

use super::*;
use crate::samples::testing::Random;
use crate::time::CookedTime;

const Q: f64 = 1e-7;

fn sample(second: f64, offset_s: f64, dispersion_s: f64) -> Sample {
    Sample {
        time: CookedTime::from_parts(1_790_000_000, 0).plus(second),
        offset_s,
        peer_delay_s: 1e-3,
        peer_dispersion_s: dispersion_s,
        root_delay_s: 2e-3,
        root_dispersion_s: dispersion_s + 1e-4,
    }
}

fn filled(settings: FilterSettings, offsets: &[f64]) -> SampleFilter {
    let mut filter = SampleFilter::new(settings);
    for (i, &offset) in offsets.iter().enumerate() {
        assert!(filter.accumulate(sample(i as f64, offset, 1e-6)));
    }
    filter
}

#[test]
fn the_median_of_an_odd_and_an_even_number() {
    let mut filter = filled(FilterSettings::ntp(3, Q), &[0.3, 0.1, 0.2]);
    let median = filter.take().expect("a sample");
    assert_eq!(median.offset_s, 0.2);
    assert_eq!(median.time, sample(2.0, 0.0, 0.0).time);
    assert!(filter.is_empty() && filter.take().is_none());
    assert_eq!(filter.last().map(|last| last.offset_s), Some(0.2));
    let mut filter = filled(FilterSettings::ntp(4, Q), &[0.1, 0.5, 0.3, 0.2]);
    let middle = filter.take().expect("a sample");
    assert!((middle.offset_s - 0.25).abs() < 1e-12);
    assert_eq!(middle.time, sample(2.5, 0.0, 0.0).time);
    // √ of the sample variance of the two middle ones.
    assert!((middle.peer_dispersion_s - 0.05 * 2_f64.sqrt()).abs() < 1e-12);
    assert_eq!(middle.peer_delay_s, 1e-3);
}

#[test]
fn one_sample_passes_with_the_long_term_deviation() {
    let mut filter = filled(FilterSettings::ntp(1, Q), &[0.5]);
    let passed = filter.take().expect("a sample");
    assert_eq!((passed.offset_s, passed.peer_dispersion_s), (0.5, 1e-6));
    assert_eq!(filter.long_term_sd_s(), Q);
}

#[test]
fn the_ring_keeps_the_newest_and_refuses_old_times() {
    let mut filter = filled(FilterSettings::ntp(2, Q), &[9.0, 0.1, 0.1]);
    assert_eq!(filter.len(), 2);
    assert!(!filter.accumulate(sample(2.0, 5.0, 1e-6)));
    assert_eq!(filter.take().map(|one| one.offset_s), Some(0.1));
    // Also after the ring was emptied.
    assert!(!filter.accumulate(sample(2.0, 5.0, 1e-6)));
}

#[test]
fn sixty_percent_around_the_median_are_combined() {
    // Ten samples: two are dropped at each end.
    let offsets = [0.0, 100.0, -100.0, 0.1, 0.2, 50.0, -50.0, 0.3, 0.4, 0.5];
    let mut filter = filled(FilterSettings::reference_clock(64, None, Q), &offsets);
    let combined = filter.take().expect("a sample");
    assert!((combined.offset_s - 0.25).abs() < 1e-12);
}

#[test]
fn samples_with_a_large_dispersion_are_left_out() {
    let mut filter = SampleFilter::new(FilterSettings::reference_clock(64, None, Q));
    for i in 0..10 {
        let bad = i % 2 == 1;
        let (offset, dispersion) = if bad { (7.0, 1e-3) } else { (0.0, 1e-6) };
        filter.accumulate(sample(f64::from(i), offset, dispersion));
    }
    assert_eq!(filter.take().map(|one| one.offset_s), Some(0.0));
}

#[test]
fn too_wide_a_spread_gives_nothing_and_keeps_the_ring() {
    let offsets = [0.0, 1.0, 2.0, -1.0, -2.0];
    let mut filter = filled(FilterSettings::reference_clock(64, Some(0.1), Q), &offsets);
    assert_eq!(filter.take(), None);
    assert_eq!(filter.len(), 5);
}

#[test]
fn a_lucky_spread_is_widened_to_the_long_term_one() {
    let mut random = Random::new(4);
    let mut filter = SampleFilter::new(FilterSettings::reference_clock(16, None, Q));
    let mut time = 0.0;
    for _ in 0..30 {
        for _ in 0..16 {
            time += 1.0;
            filter.accumulate(sample(time, 1e-4 * random.normal(), 1e-6));
        }
        let one = filter.take().expect("a sample");
        assert!(one.offset_s.abs() < 1e-4 && one.peer_dispersion_s > 5e-7);
    }
    let sd = filter.long_term_sd_s();
    assert!(sd > 1e-5 && sd < 1e-4, "{sd:e}");
    for _ in 0..16 {
        time += 1.0;
        filter.accumulate(sample(time, 0.0, 1e-9));
    }
    let lucky = filter.take().expect("a sample");
    assert!(
        lucky.peer_dispersion_s > 1e-6,
        "{:e}",
        lucky.peer_dispersion_s
    );
}

#[test]
fn changes_of_the_clock_move_the_samples() {
    let mut filter = filled(FilterSettings::ntp(1, Q), &[0.5]);
    let now = sample(10.0, 0.0, 0.0).time;
    filter.shift(&ClockChange {
        when: now,
        frequency: 1e-3,
        offset_s: -0.5,
    });
    filter.add_dispersion(1e-5);
    filter.correct_offset(1.0);
    let moved = filter.take().expect("a sample");
    // Δ = 10 s · 10⁻³ + 0.5 s
    assert_eq!(moved.time, sample(0.51, 0.0, 0.0).time);
    assert!((moved.offset_s - (0.5 - 0.51 + 1.0)).abs() < 1e-12);
    assert!((moved.peer_dispersion_s - 1.1e-5).abs() < 1e-12);
    filter.drop_samples();
    assert!(filter.last().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_turns_infinite(
        rows in proptest::collection::vec(
            (1e-9..1e6_f64, proptest::num::f64::NORMAL, proptest::num::f64::NORMAL), 1..100),
        size in 0..80_usize,
        every in 1..20_usize,
    ) {
        let mut filter = SampleFilter::new(FilterSettings::reference_clock(size, None, Q));
        let mut time = 0.0;
        for (i, (step, offset, dispersion)) in rows.into_iter().enumerate() {
            time += step;
            filter.accumulate(sample(time, offset, dispersion));
            if i % every == 0 && let Some(one) = filter.take() {
                prop_assert!(one.offset_s.is_finite());
                prop_assert!(one.peer_dispersion_s.is_finite(), "{:?}", one);
                prop_assert!(one.root_dispersion_s.is_finite());
            }
            prop_assert!(filter.long_term_sd_s().is_finite());
        }
    }
}
