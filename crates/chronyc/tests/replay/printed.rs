//! Samples 800 and 801, of which only the text was recorded: the replies are read back from it.
//! What the client prints of them must be the same text: columns, units and signs.

use std::str::FromStr;

use control_wire::{
    Activity, Address, Float, Index, LeapStatus, NSources, Reply, Request, Rtc, SelectData,
    SelectOptions, SourceData, SourceMode, SourceState, SourceStats, Timespec, Tracking,
};

use super::exchange::Exchange;
use super::simulated::exchange;

/// 2010-01-01 00:00:00 UTC; the other year in the texts is 1970.
const YEAR_2010_S: u64 = 1_262_304_000;

/// The source that only `-a` shows.
const UNRESOLVED: &str = "ID#0000000001";

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("number: {text}"))
}

/// A printed figure; a negative zero stands for a number that is too small to show.
fn figure(text: &str) -> f64 {
    const TOO_SMALL_TO_SHOW: f64 = -1e-12;
    match number(text) {
        0.0 if text.starts_with('-') => TOO_SMALL_TO_SHOW,
        shown => shown,
    }
}

/// Seconds of a number with a unit.
fn seconds(text: &str) -> f64 {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let scale = match &text[digits.len()..] {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        other => panic!("unit: {other}"),
    };
    number::<f64>(digits) * scale
}

fn time(text: &str) -> Float {
    Float::new(seconds(text))
}

fn interval(text: &str) -> u32 {
    if text == "-" {
        u32::MAX
    } else {
        seconds(text) as u32
    }
}

/// `Www Jan DD HH:MM:SS YYYY`.
fn date(text: &str) -> Timespec {
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[1], "Jan");
    let year = if words[4] == "2010" { YEAR_2010_S } else { 0 };
    let clock: Vec<u64> = words[3].split(':').map(number).collect();
    let day = number::<u64>(words[2]) - 1;
    let seconds = year + ((day * 24 + clock[0]) * 60 + clock[1]) * 60 + clock[2];
    Timespec::new(seconds as i64, 0)
}

fn address(name: &str) -> Address {
    match name.strip_prefix("ID#") {
        Some(id) => Address::Id(number(id)),
        None => match name {
            "GPS" => Address::Unspecified,
            name => Address::Ipv4(number(name)),
        },
    }
}

fn reference_id(name: &str) -> u32 {
    let mut bytes = [0; 4];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    u32::from_be_bytes(bytes)
}

/// The parts of a report by label, without the label.
fn labelled<'t>(text: &'t str, label: &str) -> &'t str {
    let line = text.lines().find(|line| line.starts_with(label));
    let (_, value) = line.and_then(|line| line.split_once(": ")).expect(label);
    value
}

/// A number that a word makes negative.
fn signed(value: &str, negative: &str) -> Float {
    let first = value.split_whitespace().next().expect("number");
    let sign = if value.contains(negative) { -1.0 } else { 1.0 };
    Float::new(sign * figure(first))
}

fn tracking(text: &str) -> Tracking {
    let value = |label| labelled(text, label);
    let plain = |label| signed(labelled(text, label), "none");
    let (id, name) = value("Reference ID").split_once(" (").expect("name");
    Tracking {
        ref_id: u32::from_str_radix(id, 16).expect("reference ID"),
        ip_addr: match name.trim_end_matches(')') {
            "" => Address::Unspecified,
            name => Address::Ipv4(number(name)),
        },
        stratum: number(value("Stratum")),
        leap_status: match value("Leap status") {
            "Normal" => LeapStatus::Normal,
            _ => LeapStatus::Unsynchronised,
        },
        ref_time: date(value("Ref time")),
        current_correction_s: signed(value("System time"), "fast"),
        last_offset_s: plain("Last offset"),
        rms_offset_s: plain("RMS offset"),
        freq_ppm: signed(value("Frequency"), "slow"),
        resid_freq_ppm: plain("Residual freq"),
        skew_ppm: plain("Skew"),
        root_delay_s: plain("Root delay"),
        root_dispersion_s: plain("Root dispersion"),
        last_update_interval_s: plain("Update interval"),
    }
}

fn rtc(text: &str) -> Rtc {
    let value = |label| labelled(text, label);
    Rtc {
        ref_time: date(value("RTC ref time")),
        n_samples: number(value("Number of samples")),
        n_runs: number(value("Number of runs")),
        span_s: interval(value("Sample span period").trim()),
        rtc_seconds_fast: signed(value("RTC is fast by"), "none"),
        rtc_gain_rate_ppm: signed(value("RTC gains time at"), "none"),
    }
}

fn source(line: &str) -> SourceData {
    let plain = line.replace(['[', ']'], " ").replace("+/-", " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let name = words[1];
    let clock = line.starts_with('#');
    SourceData {
        ip_addr: if clock {
            Address::Ipv4(reference_id(name).into())
        } else {
            address(name)
        },
        stratum: number(words[2]),
        poll: number(words[3]),
        reachability: u16::from_str_radix(words[4], 8).expect("octal number"),
        since_sample_s: interval(words[5]),
        latest_meas_s: time(words[6]),
        orig_latest_meas_s: time(words[7]),
        latest_meas_err_s: time(words[8]),
        mode: if clock {
            SourceMode::ReferenceClock
        } else {
            SourceMode::Client
        },
        state: match line.as_bytes()[1] {
            b'*' => SourceState::Selected,
            b'x' => SourceState::Falseticker,
            b'-' => SourceState::NotCombined,
            _ => SourceState::NotSelectable,
        },
        flags: 0,
    }
}

fn statistics(line: &str) -> SourceStats {
    let words: Vec<&str> = line.split_whitespace().collect();
    SourceStats {
        ref_id: reference_id(if words[0] == "GPS" { "GPS" } else { "" }),
        ip_addr: address(words[0]),
        n_samples: number(words[1]),
        n_runs: number(words[2]),
        span_s: interval(words[3]),
        resid_freq_ppm: Float::new(figure(words[4])),
        skew_ppm: Float::new(number(words[5])),
        est_offset_s: time(words[6]),
        sd_s: time(words[7]),
        ..SourceStats::default()
    }
}

fn selection(line: &str) -> SelectData {
    let words: Vec<&str> = line.split_whitespace().collect();
    let options = |letters: &str| SelectOptions(u16::from(letters.starts_with('N')));
    SelectData {
        state_char: words[0].as_bytes()[0],
        ref_id: reference_id(if words[1] == "GPS" { "GPS" } else { "" }),
        ip_addr: address(words[1]),
        authentication: u8::from(words[2] == "Y"),
        conf_options: options(words[3]),
        eff_options: options(words[4]),
        last_sample_ago_s: interval(words[5]),
        score: Float::new(number(words[6])),
        lo_limit_s: time(words[7]),
        hi_limit_s: time(words[8]),
        leap: match words[9] {
            "N" => LeapStatus::Normal,
            _ => LeapStatus::Unsynchronised,
        },
        ..SelectData::default()
    }
}

/// The rows below the line of `=` of a table whose header begins with `header`.
fn rows<'t>(text: &'t str, header: &str) -> Vec<&'t str> {
    let lines = text.lines().skip_while(|line| !line.starts_with(header));
    let rows = lines.skip(2);
    rows.take_while(|line| line.contains("  ") && !line.contains("Address"))
        .collect()
}

/// The exchanges of a sample, read from what was printed.
pub(crate) fn exchanges(text: &str) -> Vec<Exchange> {
    let mut all = vec![
        exchange(Request::Tracking, Reply::Tracking(tracking(text))),
        exchange(Request::RtcReport, Reply::Rtc(rtc(text))),
    ];
    let sources = rows(text, "MS Name");
    let n_sources = sources.len() as u32;
    let count = || exchange(Request::NSources, Reply::NSources(NSources { n_sources }));
    let at = |index: usize| Index {
        index: index as u32,
    };
    all.push(count());
    for (index, line) in sources.iter().enumerate() {
        let reply = Reply::SourceData(source(line));
        all.push(exchange(Request::SourceData(at(index)), reply));
    }
    all.push(count());
    // Without -a the client asks for the unresolved source but does not show it.
    let hidden_statistics = format!("{UNRESOLVED} 0 0 0 0 2000 0ns 4s");
    let shown = rows(text, "Name/IP Address");
    let shown = shown.into_iter().chain([hidden_statistics.as_str()]);
    for (index, line) in shown.enumerate() {
        let reply = Reply::SourceStats(statistics(line));
        all.push(exchange(Request::SourceStats(at(index)), reply));
    }
    all.push(count());
    let hidden_selection = format!("M {UNRESOLVED} N ----- ----- 0 1.0 0ns 0ns ?");
    let shown = rows(text, "S Name/IP");
    let shown = shown.into_iter().chain([hidden_selection.as_str()]);
    for (index, line) in shown.enumerate() {
        let reply = Reply::SelectData(selection(line));
        all.push(exchange(Request::SelectData(at(index)), reply));
    }
    if text.contains("sources online") {
        all.push(exchange(Request::Activity, Reply::Activity(activity(text))));
    }
    all
}

fn activity(text: &str) -> Activity {
    let count = |what: &str| {
        let line = text.lines().find(|line| line.ends_with(what)).expect(what);
        number(line.split(' ').next().expect("number"))
    };
    Activity {
        online: count("sources online"),
        offline: count("sources offline"),
        burst_online: count("(return to online)"),
        burst_offline: count("(return to offline)"),
        unresolved: count("unknown address"),
    }
}
