//! What a reference clock is configured to do (discipline chapter, section 17.1).

use chrony_conf::refclock::RefclockSpec;
use chrony_conf::sources::effective_samples;
use discipline::samples::{FilterSettings, SelectOptions, StatisticsSettings};

use crate::settings::{SourceDefaults, select_options};

/// Fewest pulses that the lock of a clock on itself (`local`) outlasts.
const MIN_LOCAL_LOCK_AGE: i32 = 3;

/// No device is read more often, whatever the configuration says: the daemon has other things
/// to do.
const SHORTEST_INTERVAL_S: f64 = 1.0 / 8192.0;

/// Settings of one reference clock; times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RefclockSettings {
    pub(crate) name: String,
    pub(crate) reference_id: u32,
    /// log2 s
    pub(crate) poll: i32,
    /// log2 s
    pub(crate) driver_poll: i32,
    pub(crate) lock: Option<String>,
    /// Time between pulses.
    pub(crate) pulse_interval_s: f64,
    /// How long a sample of the clock locked to is good for.
    pub(crate) max_lock_age_s: f64,
    pub(crate) width_s: f64,
    /// Samples have no second of their own.
    pub(crate) pulses: bool,
    pub(crate) local: bool,
    pub(crate) tai: bool,
    pub(crate) offset_s: f64,
    pub(crate) delay_s: f64,
    pub(crate) precision_s: f64,
    pub(crate) stratum: u8,
    pub(crate) is_hardware_clock: bool,
    /// Pulses are stamped by the hardware clock, and its readings only follow it.
    pub(crate) external_pulses: bool,
    pub(crate) filter: FilterSettings,
    pub(crate) statistics: StatisticsSettings,
    pub(crate) select: SelectOptions,
    pub(crate) max_unreach: u32,
}

impl RefclockSettings {
    /// Of the clock at a place in the configuration.
    pub(crate) fn new(
        spec: &RefclockSpec,
        index: usize,
        polled: bool,
        defaults: &SourceDefaults,
    ) -> Self {
        let refid = spec.effective_refid(index);
        let name: String = refid
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect();
        let precision_s = defaults.precision_s.max(spec.precision_s);
        let global = (defaults.min_samples, defaults.max_samples);
        let (min_samples, max_samples) =
            effective_samples(spec.minsamples, spec.maxsamples, global);
        let pulse_interval_s = 1.0 / f64::from(spec.rate_hz.max(1));
        let max_lock_age = if spec.local {
            spec.maxlockage.max(MIN_LOCAL_LOCK_AGE)
        } else {
            spec.maxlockage
        };
        let is_hardware_clock = spec.driver == "PHC";
        let external_pulses = is_hardware_clock && spec.driver_option("extpps").is_some();
        Self {
            name,
            reference_id: u32::from_be_bytes(refid),
            poll: spec.poll,
            driver_poll: if polled {
                spec.driver_poll.min(spec.poll)
            } else {
                spec.driver_poll
            },
            lock: spec.lock.clone(),
            pulse_interval_s,
            max_lock_age_s: f64::from(max_lock_age) * pulse_interval_s,
            width_s: spec.width_s,
            pulses: spec.pps || spec.local || spec.driver == "PPS" || external_pulses,
            local: spec.local,
            tai: spec.tai,
            offset_s: spec.offset_s,
            delay_s: spec.delay_s,
            precision_s,
            stratum: u8::try_from(spec.stratum.clamp(0, 15)).unwrap_or(0),
            is_hardware_clock,
            external_pulses,
            filter: FilterSettings::reference_clock(
                spec.effective_filter_length(),
                (spec.maxdispersion_s > 0.0).then_some(spec.maxdispersion_s),
                defaults.precision_s,
            ),
            statistics: StatisticsSettings {
                max_samples,
                min_samples,
                min_delay_s: 0.0,
                asymmetry: 0.0,
                precision_s: defaults.precision_s,
                estimator: defaults.estimator,
            },
            select: select_options(spec.select),
            max_unreach: u32::try_from(spec.maxunreach).unwrap_or(0),
        }
    }

    /// Time between polls of the driver.
    pub(crate) fn driver_interval_s(&self) -> f64 {
        2f64.powi(self.driver_poll).max(SHORTEST_INTERVAL_S)
    }

    /// Time after which the samples become one.
    pub(crate) fn interval_s(&self) -> f64 {
        2f64.powi(self.poll).max(SHORTEST_INTERVAL_S)
    }

    /// Polls of the driver in an interval; saturates.
    pub(crate) fn polls_in_interval(&self) -> u32 {
        let log2 = self.poll.saturating_sub(self.driver_poll).clamp(0, 31);
        1u32 << log2
    }
}
