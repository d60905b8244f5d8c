//! The Linux kernel's frequency in two integers: the length of a tick and a fine part
//! (discipline chapter, section 2.5; system chapter, section 5.2).

/// Units of the kernel's `freq` field in one ppm.
const FREQUENCY_SCALE: f64 = 65_536.0;

/// The nominal tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelTicks {
    hz: i64,
}

/// Values of the fields `tick` and `freq` of `struct timex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelFrequency {
    /// Length of a tick, µs.
    pub tick: i64,
    /// Fine frequency in 2⁻¹⁶ ppm; positive makes the clock faster.
    pub freq: i64,
}

impl KernelTicks {
    /// From HZ, ticks a second (`sysconf(_SC_CLK_TCK)`), at least 1 and at most 10⁵ (so
    /// that a tick can be changed by a whole microsecond).
    pub fn new(hz: i64) -> Option<Self> {
        (1..=100_000).contains(&hz).then_some(Self { hz })
    }

    /// Deduces HZ from the tick in force, in µs: 9000 … 11000 is 100, else the power of
    /// two from 16 to 32768 whose nominal tick is within 2/3 … 4/3 of it. `None` is
    /// `Can't determine hz from tick %d`.
    pub fn from_tick(tick_us: i64) -> Option<Self> {
        if (9_000..=11_000).contains(&tick_us) {
            return Self::new(100);
        }
        (4..=15).map(|power| Self { hz: 1 << power }).find(|ticks| {
            let nominal = ticks.nominal_tick_us();
            tick_us >= nominal * 2 / 3 && tick_us <= nominal * 4 / 3
        })
    }

    /// HZ.
    pub fn hz(self) -> i64 {
        self.hz
    }

    /// T₀: the nominal tick, µs.
    pub fn nominal_tick_us(self) -> i64 {
        (1_000_000 + self.hz / 2) / self.hz
    }

    /// Largest frequency that can be set, ppm: a tenth of the tick.
    pub fn maximum_frequency_ppm(self) -> f64 {
        let nominal = self.nominal_tick_us();
        1e6 * (nominal / 10) as f64 / nominal as f64
    }

    /// Splits a frequency (positive = the clock is fast) into the two fields, after cutting
    /// it to the range; NaN counts as 0.
    pub fn split(self, frequency_ppm: f64) -> KernelFrequency {
        let limit = self.maximum_frequency_ppm();
        let frequency_ppm = if frequency_ppm.is_nan() {
            0.0
        } else {
            frequency_ppm.clamp(-limit, limit)
        };
        let hz = self.hz as f64;
        let whole = (frequency_ppm / hz).round();
        KernelFrequency {
            tick: self.nominal_tick_us() - whole as i64,
            // `as` drops the fraction, as the reference does.
            freq: (-(frequency_ppm - hz * whole) * FREQUENCY_SCALE) as i64,
        }
    }

    /// The frequency that the two fields mean, ppm.
    pub fn join(self, kernel: KernelFrequency) -> f64 {
        let whole = self.nominal_tick_us().saturating_sub(kernel.tick);
        self.hz as f64 * whole as f64 - kernel.freq as f64 / FREQUENCY_SCALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hertz_from_a_tick() {
        let hz = |tick| KernelTicks::from_tick(tick).map(KernelTicks::hz);
        assert_eq!(hz(10_000), Some(100));
        assert_eq!(hz(9_000), Some(100));
        assert_eq!(hz(976), Some(1024));
        assert_eq!(hz(62_500), Some(16));
        assert_eq!(hz(5), None);
        assert_eq!(hz(200_000), None);
    }

    #[test]
    fn hundred_hertz_has_the_documented_constants() {
        let ticks = KernelTicks::new(100).expect("in range");
        assert_eq!(ticks.nominal_tick_us(), 10_000);
        assert_eq!(ticks.maximum_frequency_ppm(), 100_000.0);
        let split = ticks.split(83_333.333);
        assert_eq!(split.tick, 10_000 - 833);
        assert_eq!(split.freq, (-33.333_f64 * 65_536.0) as i64);
        assert_eq!(
            ticks.split(-49.5),
            KernelFrequency {
                tick: 10_000,
                freq: 3_244_032
            }
        );
        assert!(KernelTicks::new(0).is_none());
    }

    proptest! {
        #[test]
        fn joining_gives_what_was_split(frequency in -1e5..1e5f64, hz in prop::sample::select(vec![100, 250, 1000, 1024])) {
            let ticks = KernelTicks::new(hz).expect("in range");
            let limit = ticks.maximum_frequency_ppm();
            let joined = ticks.join(ticks.split(frequency));
            prop_assert!((joined - frequency.clamp(-limit, limit)).abs() <= 1.0 / 65_536.0 + 1e-9);
        }
    }
}
