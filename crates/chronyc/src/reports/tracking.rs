//! `tracking` and `waitsync` (chronyc chapter, sections 7.1 and 7.14).

use std::time::Duration;

use control_wire::{Reply, Request, Tracking};
use serde::Serialize;

use crate::client::{Client, Failed, Record};
use crate::document::to_json;
use crate::numbers::{float_prefix, int_prefix};
use crate::options::Format;
use crate::quantities::{date, epoch_seconds, leap, ref_id_name};

/// Reference ID of local reference mode (control-protocol chapter, section 10.3).
const LOCAL_REF_ID: u32 = 0x7f7f_0101;

struct TrackingRecord {
    data: Tracking,
    name: String,
}

#[derive(Serialize)]
struct TrackingJson<'a> {
    reference_id: String,
    reference_name: &'a str,
    reference_address: Option<String>,
    stratum: u16,
    reference_time_seconds_since_1970: f64,
    reference_time_utc: String,
    system_time_correction_seconds: f64,
    last_offset_seconds: f64,
    rms_offset_seconds: f64,
    frequency_ppm: f64,
    residual_frequency_ppm: f64,
    skew_ppm: f64,
    root_delay_seconds: f64,
    root_dispersion_seconds: f64,
    update_interval_seconds: f64,
    leap_status: &'static str,
}

impl Record for TrackingRecord {
    fn text(&self, _extra: usize) -> String {
        let data = &self.data;
        let correction = data.current_correction_s.value();
        let frequency = data.freq_ppm.value();
        [
            format!("Reference ID    : {:08X} ({})", data.ref_id, self.name),
            format!("Stratum         : {}", data.stratum),
            format!("Ref time (UTC)  : {}", date(data.ref_time)),
            format!(
                "System time     : {:.9} seconds {} of NTP time",
                correction.abs(),
                if correction > 0.0 { "slow" } else { "fast" }
            ),
            format!(
                "Last offset     : {:+.9} seconds",
                data.last_offset_s.value()
            ),
            format!("RMS offset      : {:.9} seconds", data.rms_offset_s.value()),
            format!(
                "Frequency       : {:.3} ppm {}",
                frequency.abs(),
                if frequency > 0.0 { "fast" } else { "slow" }
            ),
            format!("Residual freq   : {:+.3} ppm", data.resid_freq_ppm.value()),
            format!("Skew            : {:.3} ppm", data.skew_ppm.value()),
            format!("Root delay      : {:.9} seconds", data.root_delay_s.value()),
            format!(
                "Root dispersion : {:.9} seconds",
                data.root_dispersion_s.value()
            ),
            format!(
                "Update interval : {:.1} seconds",
                data.last_update_interval_s.value()
            ),
            format!("Leap status     : {}", leap(data.leap_status)),
        ]
        .join("\n")
    }

    fn csv(&self) -> String {
        let data = &self.data;
        format!(
            "{:08X},{},{},{},{:.9},{:.9},{:.9},{:.3},{:.3},{:.3},{:.9},{:.9},{:.1},{}",
            data.ref_id,
            self.name,
            data.stratum,
            epoch_seconds(data.ref_time),
            data.current_correction_s.value(),
            data.last_offset_s.value(),
            data.rms_offset_s.value(),
            data.freq_ppm.value(),
            data.resid_freq_ppm.value(),
            data.skew_ppm.value(),
            data.root_delay_s.value(),
            data.root_dispersion_s.value(),
            data.last_update_interval_s.value(),
            leap(data.leap_status)
        )
    }

    fn json(&self) -> String {
        let data = &self.data;
        to_json(&TrackingJson {
            reference_id: format!("{:08X}", data.ref_id),
            reference_name: &self.name,
            reference_address: data.ip_addr.ip().map(|ip| ip.to_string()),
            stratum: data.stratum,
            reference_time_seconds_since_1970: super::float_seconds(data.ref_time),
            reference_time_utc: date(data.ref_time),
            system_time_correction_seconds: data.current_correction_s.value(),
            last_offset_seconds: data.last_offset_s.value(),
            rms_offset_seconds: data.rms_offset_s.value(),
            frequency_ppm: data.freq_ppm.value(),
            residual_frequency_ppm: data.resid_freq_ppm.value(),
            skew_ppm: data.skew_ppm.value(),
            root_delay_seconds: data.root_delay_s.value(),
            root_dispersion_seconds: data.root_dispersion_s.value(),
            update_interval_seconds: data.last_update_interval_s.value(),
            leap_status: leap(data.leap_status),
        })
    }
}

fn request_tracking(client: &mut Client) -> Result<Tracking, Failed> {
    match client.request(&Request::Tracking)? {
        Reply::Tracking(data) => Ok(data),
        _ => Err(Failed),
    }
}

/// `tracking`.
pub(crate) fn tracking(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    let data = request_tracking(client)?;
    let name = if data.ip_addr.is_unspecified() {
        ref_id_name(data.ref_id)
    } else {
        client.source_name(data.ip_addr, None)
    };
    client.report("tracking", &TrackingRecord { data, name });
    Ok(())
}

/// One try of `waitsync`.
struct WaitTry {
    number: i32,
    ref_id: u32,
    correction_s: f64,
    skew_ppm: f64,
}

#[derive(Serialize)]
struct WaitTryJson {
    try_number: i32,
    reference_id: String,
    correction_seconds: f64,
    skew_ppm: f64,
}

impl Record for WaitTry {
    fn text(&self, _extra: usize) -> String {
        format!(
            "try: {}, refid: {:08X}, correction: {:.9}, skew: {:.3}",
            self.number, self.ref_id, self.correction_s, self.skew_ppm
        )
    }

    fn csv(&self) -> String {
        format!(
            "{},{:08X},{:.9},{:.3}",
            self.number, self.ref_id, self.correction_s, self.skew_ppm
        )
    }

    fn json(&self) -> String {
        to_json(&WaitTryJson {
            try_number: self.number,
            reference_id: format!("{:08X}", self.ref_id),
            correction_seconds: self.correction_s,
            skew_ppm: self.skew_ppm,
        })
    }
}

/// Limits and timing of `waitsync`; 0 means no limit.
struct WaitLimits {
    max_tries: i32,
    max_correction_s: f64,
    max_skew_ppm: f64,
    interval_s: f64,
}

impl WaitLimits {
    /// Takes numbers up to the first word that is none; the rest keeps its default.
    fn parse(arguments: &str) -> Self {
        /// Shortest interval.
        const MIN_INTERVAL_S: f64 = 0.1;
        let mut limits = Self {
            max_tries: 0,
            max_correction_s: 0.0,
            max_skew_ppm: 0.0,
            interval_s: 10.0,
        };
        if let Some((tries, mut rest)) = int_prefix(arguments) {
            limits.max_tries = tries;
            for field in [
                &mut limits.max_correction_s,
                &mut limits.max_skew_ppm,
                &mut limits.interval_s,
            ] {
                let Some((value, after)) = float_prefix(rest) else {
                    break;
                };
                *field = value;
                rest = after;
            }
        }
        limits.interval_s = limits.interval_s.max(MIN_INTERVAL_S);
        limits
    }

    fn are_met(&self, data: &Tracking, correction_s: f64, skew_ppm: f64) -> bool {
        let synchronised = !data.ip_addr.is_unspecified() && data.ip_addr.ip().is_some()
            || !matches!(data.ref_id, 0 | LOCAL_REF_ID);
        synchronised
            && (self.max_correction_s == 0.0 || correction_s <= self.max_correction_s)
            && (self.max_skew_ppm == 0.0 || skew_ppm <= self.max_skew_ppm)
    }
}

/// `waitsync`.
pub(crate) fn waitsync(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let limits = WaitLimits::parse(arguments);
    if client.format == Format::Json {
        client.document.start_list("tries");
    }
    for number in 1i32.. {
        if let Ok(data) = request_tracking(client) {
            let correction_s = data.current_correction_s.value().abs();
            let skew_ppm = data.skew_ppm.value();
            client.item(&WaitTry {
                number,
                ref_id: data.ref_id,
                correction_s,
                skew_ppm,
            });
            if limits.are_met(&data, correction_s, skew_ppm) {
                return Ok(());
            }
        }
        // Who watches a pipe sees each try when it is made.
        client.out.write_pending();
        if limits.max_tries != 0 && number >= limits.max_tries || client.signals.is_set() {
            break;
        }
        let interval = Duration::try_from_secs_f64(limits.interval_s).unwrap_or(Duration::MAX);
        client.signals.sleep(interval);
        if client.signals.is_set() {
            break;
        }
    }
    Err(Failed)
}
