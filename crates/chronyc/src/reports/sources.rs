//! `sources` (chronyc chapter, section 7.2).

use control_wire::{Address, Index, Reply, Request, SourceData, SourceMode, SourceState};
use serde::Serialize;

use super::{ListOptions, captions, header, known_age};
use crate::client::{Client, Failed, Record};
use crate::document::to_json;
use crate::quantities::{interval, ref_id_name, signed_time, time};

const HEADER_START: &str = "MS Name/IP address";
const HEADER: &str =
    "MS Name/IP address         Stratum Poll Reach LastRx Last sample               ";
const CAPTIONS: [&str; 9] = [
    "",
    "  .-- Source mode  '^' = server, '=' = peer, '#' = local clock.",
    " / .- Source state '*' = current best, '+' = combined, '-' = not combined,",
    "| /             'x' = may be in error, '~' = too variable, '?' = unusable.",
    "||  {}                                               .- xxxx [ yyyy ] +/- zzzz",
    "||  {}    Reachability register (octal) -.           |  xxxx = adjusted offset,",
    "||  {}    Log2(Polling interval) --.      |          |  yyyy = measured offset,",
    "||  {}                              \\     |          |  zzzz = estimated error.",
    "||  {}                               |    |           \\",
];

struct Source {
    data: SourceData,
    name: String,
}

#[derive(Serialize)]
struct SourceJson<'a> {
    mode: &'static str,
    state: &'static str,
    name: &'a str,
    address: String,
    stratum: u16,
    poll_log2_seconds: i16,
    reachability_register: u16,
    last_sample_age_seconds: Option<u32>,
    adjusted_offset_seconds: f64,
    measured_offset_seconds: f64,
    estimated_error_seconds: f64,
}

const fn mode_char(mode: SourceMode) -> char {
    match mode {
        SourceMode::Client => '^',
        SourceMode::Peer => '=',
        SourceMode::ReferenceClock => '#',
        SourceMode::Unknown(_) => ' ',
    }
}

const fn state_char(state: SourceState) -> char {
    match state {
        SourceState::Selected => '*',
        SourceState::NotSelectable => '?',
        SourceState::Falseticker => 'x',
        SourceState::Jittery => '~',
        SourceState::Combined => '+',
        SourceState::NotCombined => '-',
        SourceState::Unknown(_) => ' ',
    }
}

const fn mode_word(mode: SourceMode) -> &'static str {
    match mode {
        SourceMode::Client => "server",
        SourceMode::Peer => "peer",
        SourceMode::ReferenceClock => "reference clock",
        SourceMode::Unknown(_) => "unknown",
    }
}

const fn state_word(state: SourceState) -> &'static str {
    match state {
        SourceState::Selected => "selected",
        SourceState::NotSelectable => "not selectable",
        SourceState::Falseticker => "falseticker",
        SourceState::Jittery => "jittery",
        SourceState::Combined => "combined",
        SourceState::NotCombined => "not combined",
        SourceState::Unknown(_) => "unknown",
    }
}

impl Record for Source {
    fn text(&self, extra: usize) -> String {
        let data = &self.data;
        format!(
            "{}{} {:width$}  {:2}  {:2}   {:3o}  {}  {}[{}] +/- {}",
            mode_char(data.mode),
            state_char(data.state),
            self.name,
            data.stratum,
            data.poll,
            data.reachability,
            interval(data.since_sample_s),
            signed_time(data.latest_meas_s.value()),
            signed_time(data.orig_latest_meas_s.value()),
            time(data.latest_meas_err_s.value()),
            width = 27 + extra,
        )
    }

    fn csv(&self) -> String {
        let data = &self.data;
        format!(
            "{},{},{},{},{},{:o},{},{:.9},{:.9},{:.9}",
            mode_char(data.mode),
            state_char(data.state),
            self.name,
            data.stratum,
            data.poll,
            data.reachability,
            data.since_sample_s,
            data.latest_meas_s.value(),
            data.orig_latest_meas_s.value(),
            data.latest_meas_err_s.value(),
        )
    }

    fn json(&self) -> String {
        let data = &self.data;
        to_json(&SourceJson {
            mode: mode_word(data.mode),
            state: state_word(data.state),
            name: &self.name,
            address: match reference_clock_id(data) {
                Some(ref_id) => ref_id_name(ref_id),
                None => data.ip_addr.to_string(),
            },
            stratum: data.stratum,
            poll_log2_seconds: data.poll,
            reachability_register: data.reachability,
            last_sample_age_seconds: known_age(data.since_sample_s),
            adjusted_offset_seconds: data.latest_meas_s.value(),
            measured_offset_seconds: data.orig_latest_meas_s.value(),
            estimated_error_seconds: data.latest_meas_err_s.value(),
        })
    }
}

/// The reference ID of a reference clock, which stands in its address.
fn reference_clock_id(data: &SourceData) -> Option<u32> {
    match (data.mode, data.ip_addr) {
        (SourceMode::ReferenceClock, Address::Ipv4(address)) => Some(address.to_bits()),
        _ => None,
    }
}

/// The source of an index.
pub(super) fn source_data(client: &mut Client, index: u32) -> Result<SourceData, Failed> {
    match client.request(&Request::SourceData(Index { index }))? {
        Reply::SourceData(data) => Ok(data),
        _ => Err(Failed),
    }
}

/// `sources`.
pub(crate) fn sources(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let options = ListOptions::parse(arguments);
    let n_sources = client.number_of_sources()?;
    captions(client, options.verbose, &CAPTIONS);
    let header = header(client, HEADER, HEADER_START);
    client.start_list("sources", &header);
    for index in 0..n_sources {
        let data = source_data(client, index)?;
        if options.shows(data.ip_addr) {
            let name = client.source_column(data.ip_addr, reference_clock_id(&data));
            client.item(&Source { data, name });
        }
    }
    Ok(())
}
