//! Measurement dumps: the text of `dumpdir/<name>.dat` (discipline chapter, section 5).

use std::fmt::Write as _;
use std::net::IpAddr;

use ntp_wire::LeapIndicator;

use super::reachability::Reachability;
use super::sample::{StoredSample, is_sane};
use super::store::CAPACITY;
use super::text::exponent;
use crate::time::{CookedTime, NS_PER_S};

/// First line of every dump.
const IDENTIFIER: &str = "SRC0";
/// Longest line.
const MAX_LINE: usize = 255;
/// Delays and dispersions must be smaller than this, seconds.
const DELAY_LIMIT_S: f64 = 1e6;
/// Where the evidence counter of the asymmetry stops (section 4.4).
const LARGEST_ASYMMETRY_RUN: i64 = 1000;
/// The name of a source that has none: a reference clock.
pub const NO_NAME: &str = ".";

/// Ending of the name of a dump file.
const SUFFIX: &str = ".dat";
/// Beginning of the name of a reference clock's dump file.
const REFERENCE_ID_PREFIX: &str = "refid:";

/// Name of the file of an NTP source.
pub fn file_name_of_address(address: IpAddr) -> String {
    format!("{address}{SUFFIX}")
}

/// Name of the file of a reference clock.
pub fn file_name_of_reference_id(reference_id: u32) -> String {
    format!("{REFERENCE_ID_PREFIX}{reference_id:08x}{SUFFIX}")
}

/// Whether a file in `dumpdir` is a dump and therefore deleted once dumps were loaded: its
/// name, without `.dat`, is an IP address or starts with `refid:`.
pub fn is_dump_file_name(name: &str) -> bool {
    name.strip_suffix(SUFFIX)
        .is_some_and(|stem| stem.starts_with(REFERENCE_ID_PREFIX) || stem.parse::<IpAddr>().is_ok())
}

/// The saved state of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDump {
    /// Name as configured; [`NO_NAME`] of a reference clock.
    pub name: String,
    /// Whether the source was authenticated.
    pub authenticated: bool,
    /// Reachability register and its size.
    pub reachability: Reachability,
    /// Stratum, 0 … 15.
    pub stratum: u8,
    /// Leap status, never unsynchronised.
    pub leap: LeapIndicator,
    /// Evidence counter of the asymmetry.
    pub asymmetry_run: i32,
    /// Kept samples, oldest first; 1 … 64.
    pub samples: Vec<StoredSample>,
}

/// What is wrong with a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpError {
    /// The first line is not `SRC0`.
    Identifier,
    /// The second line is not one word.
    Name,
    /// The third line is not authentication, reach, size, stratum and leap in their ranges.
    Status,
    /// The fourth line is not a count from 1 to 64 and a counter.
    Count,
    /// The sample with this index is missing, malformed, not sane, in the future or not
    /// later than the one before.
    Sample(usize),
    /// It is the dump of a source with another name.
    OtherSource,
    /// The source is authenticated, its dump is not.
    NotAuthenticated,
}

impl std::fmt::Display for DumpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identifier => write!(f, "first line is not {IDENTIFIER}"),
            Self::Name => f.write_str("second line is not one word"),
            Self::Status => f.write_str("third line is not a valid source status"),
            Self::Count => f.write_str("fourth line is not a valid count of samples"),
            Self::Sample(index) => write!(f, "sample {} is not valid", index + 1),
            Self::OtherSource => f.write_str("dump of a source with another name"),
            Self::NotAuthenticated => f.write_str("dump is of an unauthenticated source"),
        }
    }
}

impl std::error::Error for DumpError {}

impl SourceDump {
    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(128 + 100 * self.samples.len());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{IDENTIFIER}\n{}", self.name);
        let _ = writeln!(
            text,
            "{} {:o} {} {} {}",
            u8::from(self.authenticated),
            self.reachability.register(),
            self.reachability.updates(),
            self.stratum,
            self.leap.bits()
        );
        let _ = writeln!(text, "{} {}", self.samples.len(), self.asymmetry_run);
        for sample in &self.samples {
            let _ = write!(
                text,
                "{}.{:09}",
                sample.time.seconds(),
                sample.time.subsec_ns()
            );
            for value in [
                sample.offset_s,
                sample.measured_offset_s,
                sample.peer_delay_s,
                sample.peer_dispersion_s,
                sample.root_delay_s,
                sample.root_dispersion_s,
            ] {
                let _ = write!(text, " {}", exponent(value, 6));
            }
            text.push('\n');
        }
        text
    }

    /// Reads the text of a file. Samples must not be later than `now`;
    /// `window_start_s` is E of the time sanity rule ([`is_sane`]).
    pub fn parse(text: &str, now: CookedTime, window_start_s: i64) -> Result<Self, DumpError> {
        let mut lines = text
            .lines()
            .map(|line| if line.len() > MAX_LINE { "" } else { line });
        if lines.next() != Some(IDENTIFIER) {
            return Err(DumpError::Identifier);
        }
        let [name] = words(lines.next()).ok_or(DumpError::Name)?;
        let (authenticated, reachability, stratum, leap) =
            parse_status(lines.next()).ok_or(DumpError::Status)?;
        let (count, asymmetry_run) = parse_count(lines.next()).ok_or(DumpError::Count)?;
        let mut samples: Vec<StoredSample> = Vec::with_capacity(count);
        for index in 0..count {
            let sample = parse_sample(lines.next())
                .filter(|sample| is_sane(sample.time, sample.offset_s, window_start_s))
                .filter(|sample| sample.time <= now)
                .filter(|sample| samples.last().is_none_or(|last| sample.time > last.time))
                .ok_or(DumpError::Sample(index))?;
            samples.push(sample);
        }
        Ok(Self {
            name: name.to_owned(),
            authenticated,
            reachability,
            stratum,
            leap,
            asymmetry_run,
            samples,
        })
    }

    /// Whether the dump may be loaded into a source: `name` is the configured name of an
    /// NTP source (`None` for a reference clock), `authenticated` its state now.
    pub fn check_source(&self, name: Option<&str>, authenticated: bool) -> Result<(), DumpError> {
        if name.is_some_and(|name| name != self.name) {
            return Err(DumpError::OtherSource);
        }
        if authenticated && !self.authenticated {
            return Err(DumpError::NotAuthenticated);
        }
        Ok(())
    }
}

/// Exactly N words of a line.
fn words<const N: usize>(line: Option<&str>) -> Option<[&str; N]> {
    let mut found = [""; N];
    let mut words = line?.split_ascii_whitespace();
    for slot in &mut found {
        *slot = words.next()?;
    }
    words.next().is_none().then_some(found)
}

fn parse_status(line: Option<&str>) -> Option<(bool, Reachability, u8, LeapIndicator)> {
    let [authenticated, register, size, stratum, leap] = words(line)?;
    let authenticated = authenticated.parse::<i32>().ok()? != 0;
    let register = u32::from_str_radix(register, 8).ok()? as u8;
    let size = size.parse::<i32>().ok()?.clamp(0, 8) as u8;
    let stratum = stratum.parse::<u8>().ok().filter(|stratum| *stratum < 16)?;
    let leap = leap.parse::<u8>().ok().filter(|leap| *leap <= 2)?;
    let reachability = Reachability::restored(register, size);
    Some((
        authenticated,
        reachability,
        stratum,
        LeapIndicator::from_bits(leap),
    ))
}

fn parse_count(line: Option<&str>) -> Option<(usize, i32)> {
    let [count, run] = words(line)?;
    let count = count
        .parse::<usize>()
        .ok()
        .filter(|count| (1..=CAPACITY).contains(count))?;
    let run = run
        .parse::<i64>()
        .ok()?
        .clamp(-LARGEST_ASYMMETRY_RUN, LARGEST_ASYMMETRY_RUN);
    Some((count, run as i32))
}

fn parse_sample(line: Option<&str>) -> Option<StoredSample> {
    let [time, values @ ..] = words::<7>(line)?;
    let mut numbers = [0.0; 6];
    for (number, word) in numbers.iter_mut().zip(values) {
        *number = word.parse::<f64>().ok().filter(|value| value.is_finite())?;
    }
    let [
        offset,
        measured,
        peer_delay,
        peer_dispersion,
        root_delay,
        root_dispersion,
    ] = numbers;
    if numbers
        .iter()
        .skip(2)
        .any(|value| value.abs() >= DELAY_LIMIT_S)
    {
        return None;
    }
    Some(StoredSample {
        time: parse_time(time)?,
        offset_s: offset,
        measured_offset_s: super::sample::bounded(measured),
        peer_delay_s: peer_delay,
        peer_dispersion_s: peer_dispersion,
        root_delay_s: root_delay,
        root_dispersion_s: root_dispersion,
    })
}

/// Seconds with nine decimals, exactly; other notations go through a double.
fn parse_time(word: &str) -> Option<CookedTime> {
    if let Some((seconds, fraction)) = word.split_once('.')
        && let (Ok(seconds), 9, Ok(ns)) = (
            seconds.parse::<u32>(),
            fraction.len(),
            fraction.parse::<u32>(),
        )
    {
        return Some(CookedTime::from_parts(i64::from(seconds), i64::from(ns)));
    }
    let seconds = word.parse::<f64>().ok().filter(|value| value.is_finite())?;
    let whole = seconds.floor();
    let ns = ((seconds - whole) * NS_PER_S as f64) as i64;
    Some(CookedTime::from_parts(whole as i64, ns))
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
