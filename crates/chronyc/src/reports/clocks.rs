//! `smoothing`, `rtcdata`, `manual list` and the result of `settime` (chronyc chapter, sections
//! 7.11 to 7.13 and 8.5).

use control_wire::{
    MAX_MANUAL_SAMPLES, ManualSample, ManualTimestamp, Reply, Request, Rtc, Smoothing,
    SmoothingFlags,
};
use serde::Serialize;

use super::float_seconds;
use crate::client::{Client, Failed, Record};
use crate::document::to_json;
use crate::options::Format;
use crate::quantities::{date, epoch_seconds, interval, iso_date};

#[derive(Serialize)]
struct SmoothingJson {
    active: bool,
    leap_second_only: bool,
    offset_seconds: f64,
    frequency_ppm: f64,
    wander_ppm_per_second: f64,
    last_update_age_seconds: f64,
    remaining_time_seconds: f64,
}

/// Whether smoothing is active, and the remark on leap seconds.
fn smoothing_words(flags: SmoothingFlags) -> (&'static str, &'static str) {
    let active = if flags.contains(SmoothingFlags::ACTIVE) {
        "Yes"
    } else {
        "No"
    };
    let leap_only = flags.contains(SmoothingFlags::LEAP_ONLY);
    (active, if leap_only { "(leap second only)" } else { "" })
}

impl Record for Smoothing {
    fn text(&self, _extra: usize) -> String {
        let (active, remark) = smoothing_words(self.flags);
        [
            format!("Active         : {active} {remark}"),
            format!("Offset         : {:+.9} seconds", self.offset_s.value()),
            format!("Frequency      : {:+.6} ppm", self.freq_ppm.value()),
            format!(
                "Wander         : {:+.6} ppm per second",
                self.wander_ppm_per_s.value()
            ),
            format!(
                "Last update    : {:.1} seconds ago",
                self.last_update_ago_s.value()
            ),
            format!(
                "Remaining time : {:.1} seconds",
                self.remaining_time_s.value()
            ),
        ]
        .join("\n")
    }

    fn csv(&self) -> String {
        let (active, remark) = smoothing_words(self.flags);
        format!(
            "{active},{remark},{:.9},{:.6},{:.6},{:.1},{:.1}",
            self.offset_s.value(),
            self.freq_ppm.value(),
            self.wander_ppm_per_s.value(),
            self.last_update_ago_s.value(),
            self.remaining_time_s.value(),
        )
    }

    fn json(&self) -> String {
        to_json(&SmoothingJson {
            active: self.flags.contains(SmoothingFlags::ACTIVE),
            leap_second_only: self.flags.contains(SmoothingFlags::LEAP_ONLY),
            offset_seconds: self.offset_s.value(),
            frequency_ppm: self.freq_ppm.value(),
            wander_ppm_per_second: self.wander_ppm_per_s.value(),
            last_update_age_seconds: self.last_update_ago_s.value(),
            remaining_time_seconds: self.remaining_time_s.value(),
        })
    }
}

/// `smoothing`.
pub(crate) fn smoothing(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    let Reply::Smoothing(data) = client.request(&Request::Smoothing)? else {
        return Err(Failed);
    };
    client.report("smoothing", &data);
    Ok(())
}

#[derive(Serialize)]
struct RtcJson {
    reference_time_seconds_since_1970: f64,
    samples: u16,
    residual_runs: u16,
    span_seconds: u32,
    rtc_fast_by_seconds: f64,
    rtc_gain_rate_ppm: f64,
}

impl Record for Rtc {
    fn text(&self, _extra: usize) -> String {
        [
            format!("RTC ref time (UTC) : {}", date(self.ref_time)),
            format!("Number of samples  : {}", self.n_samples),
            format!("Number of runs     : {}", self.n_runs),
            format!("Sample span period : {}", interval(self.span_s)),
            format!(
                "RTC is fast by     : {:12.6} seconds",
                self.rtc_seconds_fast.value()
            ),
            format!(
                "RTC gains time at  : {:9.3} ppm",
                self.rtc_gain_rate_ppm.value()
            ),
        ]
        .join("\n")
    }

    fn csv(&self) -> String {
        format!(
            "{},{},{},{},{:.6},{:.3}",
            epoch_seconds(self.ref_time),
            self.n_samples,
            self.n_runs,
            self.span_s,
            self.rtc_seconds_fast.value(),
            self.rtc_gain_rate_ppm.value(),
        )
    }

    fn json(&self) -> String {
        to_json(&RtcJson {
            reference_time_seconds_since_1970: float_seconds(self.ref_time),
            samples: self.n_samples,
            residual_runs: self.n_runs,
            span_seconds: self.span_s,
            rtc_fast_by_seconds: self.rtc_seconds_fast.value(),
            rtc_gain_rate_ppm: self.rtc_gain_rate_ppm.value(),
        })
    }
}

/// `rtcdata`.
pub(crate) fn rtcdata(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    let Reply::Rtc(data) = client.request(&Request::RtcReport)? else {
        return Err(Failed);
    };
    client.report("real_time_clock", &data);
    Ok(())
}

/// A manual sample with its index.
struct Sample {
    index: usize,
    data: ManualSample,
}

#[derive(Serialize)]
struct SampleJson {
    index: usize,
    time_seconds_since_1970: f64,
    slewed_offset_seconds: f64,
    original_offset_seconds: f64,
    residual_seconds: f64,
}

impl Record for Sample {
    fn text(&self, _extra: usize) -> String {
        format!(
            "{:2} {} {:10.2} {:10.2} {:10.2}",
            self.index,
            iso_date(self.data.when),
            self.data.slewed_offset_s.value(),
            self.data.orig_offset_s.value(),
            self.data.residual_s.value(),
        )
    }

    fn csv(&self) -> String {
        format!(
            "{},{},{:.2},{:.2},{:.2}",
            self.index,
            iso_date(self.data.when),
            self.data.slewed_offset_s.value(),
            self.data.orig_offset_s.value(),
            self.data.residual_s.value(),
        )
    }

    fn json(&self) -> String {
        to_json(&SampleJson {
            index: self.index,
            time_seconds_since_1970: float_seconds(self.data.when),
            slewed_offset_seconds: self.data.slewed_offset_s.value(),
            original_offset_seconds: self.data.orig_offset_s.value(),
            residual_seconds: self.data.residual_s.value(),
        })
    }
}

/// `manual list`.
pub(crate) fn manual_list(client: &mut Client) -> Result<(), Failed> {
    let Reply::ManualList(data) = client.request(&Request::ManualList)? else {
        return Err(Failed);
    };
    if client.format == Format::Text {
        client
            .out
            .line(&format!("210 n_samples = {}", data.n_samples));
    }
    client.start_list(
        "manual_samples",
        "#    Date     Time(UTC)    Slewed   Original   Residual",
    );
    let valid = data.n_samples.min(MAX_MANUAL_SAMPLES as u32) as usize;
    for (index, data) in data.samples.into_iter().take(valid).enumerate() {
        client.item(&Sample { index, data });
    }
    Ok(())
}

#[derive(Serialize)]
struct TimestampJson {
    clock_fast_by_seconds: f64,
    frequency_change_ppm: f64,
    new_frequency_ppm: f64,
}

/// The line after a successful `settime`.
pub(crate) fn settime_result(client: &mut Client, data: &ManualTimestamp) {
    let (offset, change, new) = (
        data.offset_s.value(),
        data.dfreq_ppm.value(),
        data.new_afreq_ppm.value(),
    );
    if client.format == Format::Json {
        let json = to_json(&TimestampJson {
            clock_fast_by_seconds: offset,
            frequency_change_ppm: change,
            new_frequency_ppm: new,
        });
        client.document.record("settime", json);
        return;
    }
    client.out.line(&format!(
        "Clock was {offset:.2} seconds fast.  Frequency change = {change:.2}ppm, \
         new frequency = {new:.2}ppm"
    ));
}
