//! From the configuration's plain words to what the engine's parts take.

use chrony_conf::config::{self, Config};
use chrony_conf::sources::{
    AddressFamily, SelectOptions as ConfSelectOptions, SourceKind as ConfSourceKind,
    SourceSpec as ConfSourceSpec, effective_samples,
};
use chrony_conf::temperature::Point;
use discipline::reference::{
    LeapMode, LeapSettings, LocalClockSettings, LocalReferenceSettings, MakeStep, MaxChange,
    ReferenceSettings, TemperatureCurve,
};
use discipline::samples::{AuthSelectMode, SelectOptions, SelectionSettings, StatisticsSettings};

use crate::association::{AssociationConfig, AssociationMode, AuthenticationKind, Connectivity};
use crate::names::Family;
use crate::registry::{NtsOptions, SourceSpec, SpecKind};

/// What turns a source's line into its settings: the directives that give defaults, and
/// facts about the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDefaults {
    /// Directive `minsamples`.
    pub min_samples: i32,
    /// Directive `maxsamples`.
    pub max_samples: i32,
    /// Clock precision q, seconds.
    pub precision_s: f64,
    /// Directive `ptpport`; 0 is off.
    pub ptp_port: u16,
    /// Directive `ntsrefresh`, seconds.
    pub nts_refresh_s: u32,
    /// Which estimator steers the clock.
    pub estimator: discipline::samples::EstimatorKind,
}

impl SourceDefaults {
    /// From the configuration and the measured (or configured) precision.
    pub fn new(
        config: &Config,
        precision_s: f64,
        estimator: discipline::samples::EstimatorKind,
    ) -> Self {
        Self {
            min_samples: config.client.minsamples,
            max_samples: config.client.maxsamples,
            precision_s,
            ptp_port: config.server.ptp_port,
            nts_refresh_s: non_negative(config.nts.refresh_s),
            estimator,
        }
    }

    /// The settings of one `server`, `peer` or `pool` line. `long_digest`: the digest of a
    /// key with its ID exceeds 24 bytes.
    pub fn source_spec(&self, line: &ConfSourceSpec, long_digest: bool) -> SourceSpec {
        let options = &line.options;
        let kind = match line.kind {
            ConfSourceKind::Server => SpecKind::Server,
            ConfSourceKind::Peer => SpecKind::Peer,
            ConfSourceKind::Pool => SpecKind::Pool,
        };
        let global = (self.min_samples, self.max_samples);
        let (min_samples, max_samples) =
            effective_samples(options.minsamples, options.maxsamples, global);
        // NTS is not for peers; the daemon warns where it adds such a source.
        let nts = options.nts.then_some(NtsOptions {
            port: options.ntsport,
            cert_set: options.certset,
            refresh_s: self.nts_refresh_s,
            keys_only: kind == SpecKind::Peer,
        });
        let mode = match kind {
            SpecKind::Peer => AssociationMode::SymmetricActive,
            SpecKind::Server | SpecKind::Pool => AssociationMode::Client,
        };
        let association = AssociationConfig {
            mode,
            min_poll: options.minpoll,
            max_poll: options.maxpoll,
            poll_target: non_negative(options.polltarget),
            presend_min_poll: options.presend,
            iburst: options.iburst,
            burst: options.burst,
            auto_offline: options.auto_offline,
            connectivity: if options.offline {
                Connectivity::Offline
            } else {
                Connectivity::Online
            },
            interleaved: options.xleave,
            copy: options.copy,
            max_delay_s: options.maxdelay_s,
            max_delay_ratio: options.maxdelayratio,
            max_delay_dev_ratio: options.maxdelaydevratio,
            max_delay_quantile: options.maxdelayquant,
            filter_length: non_negative(options.filter_length) as usize,
            offset_correction_s: options.offset_s,
            min_stratum: u8::try_from(options.minstratum.clamp(0, 16)).unwrap_or(0),
            version: options.version,
            extension_monotonic_root: options.extension_fields.monotonic_root,
            extension_net_correction: options.extension_fields.network_correction,
            authentication: match (options.nts, options.key) {
                (true, _) => AuthenticationKind::NetworkTimeSecurity,
                (false, 0) => AuthenticationKind::None,
                (false, id) => AuthenticationKind::SymmetricKey(id),
            },
            long_digest,
            over_ptp: self.ptp_port > 0 && options.port == self.ptp_port,
        };
        SourceSpec {
            kind,
            name: line.name.clone(),
            port: options.port,
            family: family(options.family),
            association,
            statistics: StatisticsSettings {
                max_samples,
                min_samples,
                min_delay_s: options.mindelay_s,
                asymmetry: options.asymmetry,
                precision_s: self.precision_s,
                estimator: self.estimator,
            },
            select: select_options(options.select),
            max_unreach: non_negative(options.maxunreach),
            max_sources: non_negative(options.maxsources),
            nts,
        }
    }
}

fn non_negative(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// Restriction to a family, if any.
pub fn family(family: AddressFamily) -> Option<Family> {
    match family {
        AddressFamily::Any => None,
        AddressFamily::Ipv4 => Some(Family::V4),
        AddressFamily::Ipv6 => Some(Family::V6),
    }
}

/// Selection options as configured.
pub(crate) fn select_options(options: ConfSelectOptions) -> SelectOptions {
    SelectOptions {
        noselect: options.noselect,
        prefer: options.prefer,
        trust: options.trust,
        require: options.require,
    }
}

/// Settings of selection. `messages`: whether it may say anything (normal mode).
pub fn selection_settings(config: &Config, messages: bool) -> SelectionSettings {
    let selection = &config.selection;
    let stratum = |value: i32| u8::try_from(value.clamp(0, 255)).unwrap_or(0);
    SelectionSettings {
        min_sources: non_negative(selection.min_sources),
        max_distance_s: selection.max_distance_s,
        max_jitter_s: selection.max_jitter_s,
        min_stratum: stratum(selection.min_stratum),
        max_stratum: stratum(selection.max_stratum),
        reselect_distance_s: selection.reselect_distance_s,
        stratum_weight_s: selection.stratum_weight_s,
        combine_limit: selection.combine_limit,
        max_clock_error: config.clock.max_clock_error_ppm * 1e-6,
        auth_select_mode: match selection.auth_mode {
            config::AuthSelectMode::Require => AuthSelectMode::Require,
            config::AuthSelectMode::Prefer => AuthSelectMode::Prefer,
            config::AuthSelectMode::Mix => AuthSelectMode::Mix,
            config::AuthSelectMode::Ignore => AuthSelectMode::Ignore,
        },
        orphan_stratum: config
            .server
            .local
            .as_ref()
            .filter(|local| local.orphan)
            .map(|local| stratum(local.stratum)),
        messages,
    }
}

/// Settings of the local clock. `window_start_s`: E, the first POSIX second of the window
/// that NTP timestamps are mapped to.
pub fn local_clock_settings(config: &Config, window_start_s: i64) -> LocalClockSettings {
    LocalClockSettings {
        max_drift_ppm: config.clock.max_drift_ppm,
        max_slew_rate_ppm: config.clock.max_slew_rate_ppm,
        window_start_s,
    }
}

/// Settings of the reference.
pub fn reference_settings(config: &Config) -> ReferenceSettings {
    let clock = &config.clock;
    let never = MaxChange {
        offset_s: 0.0,
        start: -1,
        ignore: -1,
    };
    ReferenceSettings {
        max_update_skew_ppm: clock.max_update_skew_ppm,
        max_clock_error: clock.max_clock_error_ppm * 1e-6,
        correction_time_ratio: clock.correction_time_ratio,
        make_step: MakeStep {
            threshold_s: clock.makestep.threshold_s,
            limit: clock.makestep.limit,
        },
        max_change: clock.maxchange.map_or(never, |change| MaxChange {
            offset_s: change.offset_s,
            start: change.start,
            ignore: change.ignore,
        }),
        log_change_s: config.logging.change_threshold_s,
        mail_change_s: config
            .logging
            .mail_on_change
            .as_ref()
            .map(|mail| mail.threshold_s),
        drift_file_interval_s: clock
            .drift_file
            .as_ref()
            .map(|_| f64::from(clock.drift_file_interval_s)),
        fallback_drift: clock.fallback_drift,
        local: config.server.local.as_ref().map(local_reference_settings),
        leap: LeapSettings {
            mode: match clock.leap_mode {
                config::LeapSecondMode::System => LeapMode::System,
                config::LeapSecondMode::Step => LeapMode::Step,
                config::LeapSecondMode::Slew => LeapMode::Slew,
                config::LeapSecondMode::Ignore => LeapMode::Ignore,
            },
        },
    }
}

/// Settings of the local reference (`local`).
pub fn local_reference_settings(
    local: &chrony_conf::local::LocalReference,
) -> LocalReferenceSettings {
    LocalReferenceSettings {
        stratum: u8::try_from(local.stratum.clamp(1, 15)).unwrap_or(15),
        distance_s: local.distance_s,
        activate_s: local.activate_s,
        orphan: local.orphan,
        wait_synced_s: local.waitsynced_s,
        wait_unsynced_s: local.effective_waitunsynced_s(),
    }
}

/// The curve of `tempcomp`; `points` is what its file has, when it names one.
pub fn temperature_curve(
    configured: &config::TemperatureCurve,
    points: Option<Vec<Point>>,
) -> TemperatureCurve {
    match *configured {
        config::TemperatureCurve::Quadratic {
            reference,
            k0_ppm,
            k1_ppm,
            k2_ppm,
        } => TemperatureCurve::Quadratic {
            reference,
            k0_ppm,
            k1_ppm,
            k2_ppm,
        },
        config::TemperatureCurve::Points(_) => {
            let points = points.unwrap_or_default().into_iter();
            TemperatureCurve::Points(
                points
                    .map(|point| (point.temperature, point.compensation_ppm))
                    .collect(),
            )
        }
    }
}
