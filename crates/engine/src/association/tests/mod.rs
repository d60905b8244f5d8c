//! Tests of whole exchanges against recordings, and the bench they run on.

mod peers;
mod properties;
mod ptp;
mod responses;
mod scenarios;
mod sequences;

use std::collections::{BTreeMap, VecDeque};

use discipline::journal::{Entry, Journal, LogFile};
use discipline::samples::{SourceStatistics, StatisticsSettings};
use discipline::time::{CookedTime, MonotonicTime, RawTime};
use ntp_wire::{LeapIndicator, NtpTimestamp};

use super::*;
use crate::event::{Now, TimestampSource};
use crate::random::{RandomSource, SeededRandom};

/// One line of a recording.
#[derive(Clone, Debug)]
struct Row {
    direction: String,
    time: CookedTime,
    bytes: Vec<u8>,
    note: String,
}

/// Rows by case, in the order of the recording.
fn recording(text: &str) -> BTreeMap<String, Vec<Row>> {
    let mut cases: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (seconds, ns) = columns[3].split_once('.').unwrap_or(("0", "0"));
        cases.entry(columns[0].to_owned()).or_default().push(Row {
            direction: columns[2].to_owned(),
            time: CookedTime::from_parts(seconds.parse().unwrap(), ns.parse().unwrap()),
            bytes: unhex(columns[9]),
            note: columns.get(10).unwrap_or(&"").to_string(),
        });
    }
    cases
}

fn unhex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    let digits: Vec<char> = text.chars().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

/// The timestamp at an offset of a recorded message.
fn timestamp_at(bytes: &[u8], at: usize) -> NtpTimestamp {
    NtpTimestamp::from_bits(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()))
}

/// Gives the recorded random timestamps, and otherwise a fixed sequence.
struct ScriptedRandom {
    script: VecDeque<u64>,
    rest: SeededRandom,
}

impl RandomSource for ScriptedRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.rest.fill(bytes);
    }

    fn next_u64(&mut self) -> u64 {
        self.script
            .pop_front()
            .unwrap_or_else(|| self.rest.next_u64())
    }

    fn uniform(&mut self) -> f64 {
        self.rest.uniform()
    }
}

/// Everything around one association.
struct Bench {
    association: Association,
    statistics: SourceStatistics,
    schedule: TransmissionSchedule,
    journal: Journal,
    authenticator: Box<dyn Authenticator>,
    random: ScriptedRandom,
    local: LocalState,
    selected: bool,
    monotonic: MonotonicTime,
    cooked: CookedTime,
}

const PRECISION_S: f64 = 1e-8;

impl Bench {
    fn new(config: AssociationConfig, remote: &str) -> Self {
        let mut journal = Journal::new();
        journal.enable(LogFile::Measurements, true);
        Self {
            association: Association::new(config, remote.parse().unwrap(), 1, PRECISION_S),
            statistics: SourceStatistics::new(StatisticsSettings {
                precision_s: PRECISION_S,
                ..StatisticsSettings::default()
            }),
            schedule: TransmissionSchedule::new(),
            journal,
            authenticator: Box::new(NoAuthentication),
            random: ScriptedRandom {
                script: VecDeque::new(),
                rest: SeededRandom::new(1),
            },
            local: LocalState {
                precision_s: PRECISION_S,
                precision_log2: -27,
                max_clock_error: 1e-6,
                window_start_s: 218_000_000,
                reference: OwnReference {
                    leap: LeapIndicator::Unsynchronised,
                    stratum: 16,
                    reference_id: 0,
                    reference_time: NtpTimestamp::ZERO,
                    root_delay_s: 1.0,
                    root_dispersion_s: 1.0,
                },
                monotonic: MonotonicScale {
                    epoch: 1,
                    correction_s: 0.0,
                },
                loop_test: false,
                late_timestamp_timeout_s: 0.0,
                log_raw_measurements: true,
                leap_second_s: None,
            },
            selected: false,
            monotonic: MonotonicTime::from_parts(100, 0),
            cooked: CookedTime::from_parts(1_795_472_000, 0),
        }
    }

    fn run<T>(&mut self, call: impl FnOnce(&mut Association, &mut Context<'_>) -> T) -> T {
        let mut context = Context {
            now: Now {
                raw: RawTime::from_ns(self.cooked.as_ns()),
                monotonic: self.monotonic,
            },
            now_cooked: self.cooked,
            selected: self.selected,
            local: &self.local,
            statistics: &mut self.statistics,
            authenticator: self.authenticator.as_mut(),
            schedule: &mut self.schedule,
            random: &mut self.random,
            journal: &mut self.journal,
        };
        call(&mut self.association, &mut context)
    }

    fn start(&mut self) {
        self.run(|association, cx| association.start(cx));
    }

    /// Moves to the next timer and returns what is sent, leaving out other timers.
    fn next_transmission(&mut self) -> Option<Transmission> {
        loop {
            let at = self.association.next_timeout()?;
            let passed_s = at.since(self.monotonic);
            self.monotonic = at;
            self.cooked = self.cooked.plus(passed_s);
            let outcome = self.run(|association, cx| association.handle_timeout(cx));
            if outcome.transmission.is_some() {
                return outcome.transmission;
            }
        }
    }

    fn sent(&mut self, time: CookedTime) -> Outcome {
        let timestamp = LocalTimestamp::new(time, 0.0, TimestampSource::Kernel);
        self.run(|association, cx| association.handle_sent(Ok(timestamp), cx))
    }

    fn receive(&mut self, bytes: &[u8], time: CookedTime) -> Outcome {
        let socket = match self.association.config().mode {
            AssociationMode::Client => SocketKind::Client,
            AssociationMode::SymmetricActive => SocketKind::Server,
        };
        let arrival = Arrival {
            socket,
            local_address: Some("127.0.0.1".parse().unwrap()),
            timestamp: LocalTimestamp::new(time, 0.0, TimestampSource::Kernel),
        };
        self.run(|association, cx| association.handle_datagram(bytes, &arrival, cx))
    }

    /// Lines of measurements.log since the last call.
    fn log_lines(&mut self) -> Vec<String> {
        self.journal
            .drain()
            .filter_map(|entry| match entry {
                Entry::Line { text, .. } => Some(text),
                Entry::Message { .. } => None,
            })
            .collect()
    }
}

/// Compares a line of measurements.log with a recorded one. Offset, delay and dispersion
/// follow from times that were captured outside of the recorded client and differ by some
/// microseconds, and a recorded client corrects its clock after three samples; everything
/// else is equal.
fn assert_same_measurement(ours: &str, recorded: &str, context: &str) {
    let split =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let (ours_columns, recorded_columns) = (split(ours), split(recorded));
    assert_eq!(ours.len(), recorded.len(), "{context}: {ours}\n{recorded}");
    assert_eq!(ours_columns.len(), recorded_columns.len(), "{context}");
    for (column, (a, b)) in ours_columns.iter().zip(&recorded_columns).enumerate() {
        match column {
            // Offset, delay, dispersion.
            11..=13 => {
                let (a, b): (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
                let absolute = [2.5e-4, 6e-5, 1.5e-7][column - 11];
                let tolerance = absolute + 6e-4 * b.abs();
                assert!((a - b).abs() <= tolerance, "{context}: {ours}\n{recorded}");
            }
            _ => assert_eq!(a, b, "{context}, column {column}: {ours}\n{recorded}"),
        }
    }
}
