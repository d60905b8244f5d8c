//! `sourcestats` and `selectdata` (chronyc chapter, sections 7.3 and 7.4).

use control_wire::{Index, Reply, Request, SelectData, SelectOptions, SourceStats};
use serde::Serialize;

use super::{ListOptions, captions, header};
use crate::client::{Client, Failed, Record};
use crate::document::to_json;
use crate::quantities::{
    frequency, interval, leap, ref_id_name, short_leap, signed_frequency, signed_time, time,
};

const STATS_HEADER: &str =
    "Name/IP Address            NP  NR  Span  Frequency  Freq Skew  Offset  Std Dev";
const STATS_CAPTIONS: [&str; 8] = [
    "{}                             .- Number of sample points in measurement set.",
    "{}                            /    .- Number of residual runs with same sign.",
    "{}                           |    /    .- Length of measurement set (time).",
    "{}                           |   |    /      .- Est. clock freq error (ppm).",
    "{}                           |   |   |      /           .- Est. error in freq.",
    "{}                           |   |   |     |           /         .- Est. offset.",
    "{}                           |   |   |     |          |          |   On the -.",
    "{}                           |   |   |     |          |          |   samples. \\",
];
/// The last line has no text but bars.
const STATS_LAST_CAPTION: &str =
    "{}                           |   |   |     |          |          |             |";
const SELECT_HEADER_START: &str = "S Name/IP Address";
const SELECT_HEADER: &str =
    "S Name/IP Address        Auth COpts EOpts Last Score     Interval  Leap";
const SELECT_CAPTIONS: [&str; 8] = [
    "  . State: N - noselect, s - unsynchronised, M - missing samples, r - stratum",
    " /         d/D - large distance, ~ - jittery, w/W - waits for others,",
    "|          S - stale, O - orphan, T - not trusted, P - not preferred,",
    "|          U - waits for update, x - falseticker, + - combined, * - best.",
    "|{}   Effective options   ---------.  (N - noselect, P - prefer",
    "|{}   Configured options  ----.     \\  T - trust, R - require)",
    "|{}   Auth. enabled (Y/N) -.   \\     \\     Offset interval --.",
    "|{}                        |    |     |                       |",
];

struct Stats {
    data: SourceStats,
    name: String,
}

#[derive(Serialize)]
struct StatsJson<'a> {
    name: &'a str,
    address: String,
    samples: u32,
    residual_runs: u32,
    span_seconds: u32,
    residual_frequency_ppm: f64,
    skew_ppm: f64,
    estimated_offset_seconds: f64,
    estimated_offset_error_seconds: f64,
    standard_deviation_seconds: f64,
}

impl Record for Stats {
    fn text(&self, extra: usize) -> String {
        let data = &self.data;
        format!(
            "{:width$} {:3} {:3}  {} {} {}  {}  {}",
            self.name,
            data.n_samples,
            data.n_runs,
            interval(data.span_s),
            signed_frequency(data.resid_freq_ppm.value()),
            frequency(data.skew_ppm.value()),
            signed_time(data.est_offset_s.value()),
            time(data.sd_s.value()),
            width = 25 + extra,
        )
    }

    fn csv(&self) -> String {
        let data = &self.data;
        format!(
            "{},{},{},{},{:.3},{:.3},{:.9},{:.9}",
            self.name,
            data.n_samples,
            data.n_runs,
            data.span_s,
            data.resid_freq_ppm.value(),
            data.skew_ppm.value(),
            data.est_offset_s.value(),
            data.sd_s.value(),
        )
    }

    fn json(&self) -> String {
        let data = &self.data;
        to_json(&StatsJson {
            name: &self.name,
            address: match data.ip_addr.is_unspecified() {
                true => ref_id_name(data.ref_id),
                false => data.ip_addr.to_string(),
            },
            samples: data.n_samples,
            residual_runs: data.n_runs,
            span_seconds: data.span_s,
            residual_frequency_ppm: data.resid_freq_ppm.value(),
            skew_ppm: data.skew_ppm.value(),
            estimated_offset_seconds: data.est_offset_s.value(),
            estimated_offset_error_seconds: data.est_offset_err_s.value(),
            standard_deviation_seconds: data.sd_s.value(),
        })
    }
}

/// `sourcestats`.
pub(crate) fn sourcestats(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let options = ListOptions::parse(arguments);
    let n_sources = client.number_of_sources()?;
    captions(client, options.verbose, &STATS_CAPTIONS);
    captions(client, options.verbose, &[STATS_LAST_CAPTION]);
    let header = header(client, STATS_HEADER, "Name/IP Address");
    client.start_list("source_statistics", &header);
    for index in 0..n_sources {
        let Reply::SourceStats(data) = client.request(&Request::SourceStats(Index { index }))?
        else {
            return Err(Failed);
        };
        if options.shows(data.ip_addr) {
            let clock = data.ip_addr.is_unspecified().then_some(data.ref_id);
            let name = client.source_column(data.ip_addr, clock);
            client.item(&Stats { data, name });
        }
    }
    Ok(())
}

struct Selection {
    data: SelectData,
    name: String,
}

#[derive(Serialize)]
struct SelectionJson<'a> {
    name: &'a str,
    address: String,
    state: String,
    authentication_enabled: bool,
    configured_options: Vec<&'static str>,
    effective_options: Vec<&'static str>,
    last_sample_age_seconds: u32,
    score: f64,
    offset_interval_low_seconds: f64,
    offset_interval_high_seconds: f64,
    leap_status: &'static str,
}

/// The options with their characters in reports.
const OPTIONS: [(SelectOptions, char, &str); 4] = [
    (SelectOptions::NOSELECT, 'N', "noselect"),
    (SelectOptions::PREFER, 'P', "prefer"),
    (SelectOptions::TRUST, 'T', "trust"),
    (SelectOptions::REQUIRE, 'R', "require"),
];

/// Five characters; the fifth is reserved and never set.
fn option_chars(options: SelectOptions) -> String {
    let chars = OPTIONS.map(|(option, letter, _)| {
        if options.contains(option) {
            letter
        } else {
            '-'
        }
    });
    chars.into_iter().chain(['-']).collect()
}

fn option_fields(options: SelectOptions) -> String {
    let fields: Vec<String> = option_chars(options).chars().map(String::from).collect();
    fields.join(",")
}

fn option_words(options: SelectOptions) -> Vec<&'static str> {
    let set = OPTIONS
        .into_iter()
        .filter(|(option, ..)| options.contains(*option));
    set.map(|(_, _, word)| word).collect()
}

impl Selection {
    const fn authentication(&self) -> char {
        if self.data.authentication != 0 {
            'Y'
        } else {
            'N'
        }
    }
}

impl Record for Selection {
    fn text(&self, extra: usize) -> String {
        let data = &self.data;
        format!(
            "{} {:width$} {} {} {} {} {:5.1} {} {}  {}",
            char::from(data.state_char),
            self.name,
            self.authentication(),
            option_chars(data.conf_options),
            option_chars(data.eff_options),
            interval(data.last_sample_ago_s),
            data.score.value(),
            signed_time(data.lo_limit_s.value()),
            signed_time(data.hi_limit_s.value()),
            short_leap(data.leap),
            width = 25 + extra,
        )
    }

    fn csv(&self) -> String {
        let data = &self.data;
        format!(
            "{},{},{},{},{},{},{:.1},{:.9},{:.9},{}",
            char::from(data.state_char),
            self.name,
            self.authentication(),
            option_fields(data.conf_options),
            option_fields(data.eff_options),
            data.last_sample_ago_s,
            data.score.value(),
            data.lo_limit_s.value(),
            data.hi_limit_s.value(),
            leap(data.leap),
        )
    }

    fn json(&self) -> String {
        let data = &self.data;
        to_json(&SelectionJson {
            name: &self.name,
            address: match data.ip_addr.is_unspecified() {
                true => ref_id_name(data.ref_id),
                false => data.ip_addr.to_string(),
            },
            state: char::from(data.state_char).to_string(),
            authentication_enabled: data.authentication != 0,
            configured_options: option_words(data.conf_options),
            effective_options: option_words(data.eff_options),
            last_sample_age_seconds: data.last_sample_ago_s,
            score: data.score.value(),
            offset_interval_low_seconds: data.lo_limit_s.value(),
            offset_interval_high_seconds: data.hi_limit_s.value(),
            leap_status: leap(data.leap),
        })
    }
}

/// `selectdata`.
pub(crate) fn selectdata(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let options = ListOptions::parse(arguments);
    let n_sources = client.number_of_sources()?;
    captions(client, options.verbose, &SELECT_CAPTIONS);
    let header = header(client, SELECT_HEADER, SELECT_HEADER_START);
    client.start_list("source_selection", &header);
    for index in 0..n_sources {
        let Reply::SelectData(data) = client.request(&Request::SelectData(Index { index }))? else {
            return Err(Failed);
        };
        if options.shows(data.ip_addr) {
            let clock = data.ip_addr.is_unspecified().then_some(data.ref_id);
            let name = client.source_column(data.ip_addr, clock);
            client.item(&Selection { data, name });
        }
    }
    Ok(())
}
