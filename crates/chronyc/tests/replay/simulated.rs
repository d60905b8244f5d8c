//! Samples of a simulated network, recorded without packets. Sample 805 shows in CSV, in full, what
//! sample 804 shows in text: the packets of both are made of the CSV. Sample 803 shows all of its
//! packets that matters.

use control_wire::{
    Address, ClientAccesses, ClientAccessesRequest, ClientRecord, Float, Index, LeapStatus,
    NSources, NtpData, NtpDataFlags, Reply, Request, RequestHeader, SelectData, ServerStats,
    SingleAddress, SourceData, SourceMode, SourceName, SourceState, SourceStats, Status, Timespec,
    TimestampSource, Tracking, VERSION,
};

use super::exchange::Exchange;
use super::printed;

/// Address of the simulated daemon.
pub(crate) const SERVER: &str = "udp:192.168.123.4:323";
/// Names of the simulated sources.
pub(crate) const HOSTS: &str =
    "192.168.123.1 node1.net1.clk\n192.168.123.2 node2.net1.clk\n192.168.123.3 node3.net1.clk\n";
/// Sources of samples 804 and 805.
const N_SOURCES: u32 = 3;

pub(crate) fn exchange(request: Request, reply: Reply) -> Exchange {
    let header = RequestHeader {
        version: VERSION,
        command: request.command().code(),
        attempt: 0,
        sequence: 0,
    };
    Exchange {
        request: request.emit(&header).to_vec(),
        replies: vec![reply.answer(&header, Status::Success).to_vec()],
    }
}

/// The exchanges of a sample, made of `csv`, the output of sample 805, or of its own output.
pub(crate) fn exchanges(number: u32, output: &str, csv: &str) -> Option<Vec<Exchange>> {
    match number {
        800 | 801 => Some(printed::exchanges(output)),
        803 => Some(
            output
                .lines()
                .filter(|line| line.starts_with("try"))
                .map(wait_try)
                .collect(),
        ),
        804 => Some(Table::new(csv, false).without_server_reports()),
        805 => Some(Table::new(csv, true).all()),
        _ => None,
    }
}

/// `try: N, refid: X, correction: C, skew: S`
fn wait_try(line: &str) -> Exchange {
    let values: Vec<&str> = line
        .split(", ")
        .filter_map(|part| part.split_once(": "))
        .map(|(_, value)| value)
        .collect();
    let tracking = Tracking {
        ref_id: u32::from_str_radix(values[1], 16).expect("reference ID"),
        current_correction_s: float(values[2]),
        skew_ppm: float(values[3]),
        ..Tracking::default()
    };
    exchange(Request::Tracking, Reply::Tracking(tracking))
}

fn float(text: &str) -> Float {
    Float::new(text.parse().expect("number"))
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("number: {text}"))
}

fn time(text: &str) -> Timespec {
    let (seconds, nanoseconds) = text.split_once('.').expect("seconds.nanoseconds");
    Timespec::new(number(seconds), number(nanoseconds))
}

/// Address of the source at an index.
fn node(index: u32) -> Address {
    Address::Ipv4([192, 168, 123, index as u8 + 1].into())
}

/// The rows of sample 805.
struct Table<'c> {
    rows: Vec<Vec<&'c str>>,
    /// Whether the names of sources are asked for (`-N`).
    names: bool,
}

impl<'c> Table<'c> {
    fn new(csv: &'c str, names: bool) -> Self {
        let rows = csv.lines().map(|line| line.split(',').collect()).collect();
        Self { rows, names }
    }

    fn name(&self, index: u32, name: &str) -> Option<Exchange> {
        let request = Request::NtpSourceName(SingleAddress {
            address: node(index),
        });
        let reply = Reply::NtpSourceName(SourceName::new(name.as_bytes()));
        self.names.then(|| exchange(request, reply))
    }

    fn without_server_reports(&self) -> Vec<Exchange> {
        let mut all = vec![exchange(
            Request::Tracking,
            Reply::Tracking(tracking(&self.rows[0])),
        )];
        all.extend(self.name(0, self.rows[0][1]));
        for (first_row, name_column) in [(1, 2), (4, 0), (7, 1)] {
            let count = NSources {
                n_sources: N_SOURCES,
            };
            all.push(exchange(Request::NSources, Reply::NSources(count)));
            for index in 0..N_SOURCES {
                let row = &self.rows[first_row + index as usize];
                let at = Index { index };
                all.push(match first_row {
                    1 => exchange(
                        Request::SourceData(at),
                        Reply::SourceData(source(index, row)),
                    ),
                    4 => exchange(
                        Request::SourceStats(at),
                        Reply::SourceStats(stats(index, row)),
                    ),
                    _ => exchange(
                        Request::SelectData(at),
                        Reply::SelectData(select(index, row)),
                    ),
                });
                all.extend(self.name(index, row[name_column]));
            }
        }
        let request = Request::NtpData(SingleAddress { address: node(0) });
        all.push(exchange(request, Reply::NtpData(ntp_data(&self.rows[10]))));
        all
    }

    fn all(&self) -> Vec<Exchange> {
        let mut all = self.without_server_reports();
        let stats = ServerStats {
            cmd_hits: number(self.rows[11][2]),
            ..ServerStats::default()
        };
        all.push(exchange(Request::ServerStats, Reply::ServerStats(stats)));
        let mut page = ClientAccesses {
            n_indices: 8,
            next_index: 8,
            n_clients: 3,
            ..ClientAccesses::default()
        };
        for (client, row) in page.clients.iter_mut().zip(&self.rows[12..15]) {
            *client = record(row);
        }
        let request = ClientAccessesRequest {
            n_clients: 8,
            ..ClientAccessesRequest::default()
        };
        all.push(exchange(
            Request::ClientAccesses(request),
            Reply::ClientAccesses(page),
        ));
        all
    }
}

fn tracking(row: &[&str]) -> Tracking {
    Tracking {
        ref_id: u32::from_str_radix(row[0], 16).expect("reference ID"),
        ip_addr: node(0),
        stratum: number(row[2]),
        leap_status: LeapStatus::Normal,
        ref_time: time(row[3]),
        current_correction_s: float(row[4]),
        last_offset_s: float(row[5]),
        rms_offset_s: float(row[6]),
        freq_ppm: float(row[7]),
        resid_freq_ppm: float(row[8]),
        skew_ppm: float(row[9]),
        root_delay_s: float(row[10]),
        root_dispersion_s: float(row[11]),
        last_update_interval_s: float(row[12]),
    }
}

fn source(index: u32, row: &[&str]) -> SourceData {
    SourceData {
        ip_addr: node(index),
        poll: number(row[4]),
        stratum: number(row[3]),
        state: if row[1] == "*" {
            SourceState::Selected
        } else {
            SourceState::NotCombined
        },
        mode: SourceMode::Client,
        flags: 0,
        reachability: u16::from_str_radix(row[5], 8).expect("octal number"),
        since_sample_s: number(row[6]),
        orig_latest_meas_s: float(row[8]),
        latest_meas_s: float(row[7]),
        latest_meas_err_s: float(row[9]),
    }
}

fn stats(index: u32, row: &[&str]) -> SourceStats {
    SourceStats {
        ip_addr: node(index),
        n_samples: number(row[1]),
        n_runs: number(row[2]),
        span_s: number(row[3]),
        resid_freq_ppm: float(row[4]),
        skew_ppm: float(row[5]),
        est_offset_s: float(row[6]),
        sd_s: float(row[7]),
        ..SourceStats::default()
    }
}

fn select(index: u32, row: &[&str]) -> SelectData {
    SelectData {
        ip_addr: node(index),
        state_char: row[0].as_bytes()[0],
        last_sample_ago_s: number(row[13]),
        score: float(row[14]),
        lo_limit_s: float(row[15]),
        hi_limit_s: float(row[16]),
        ..SelectData::default()
    }
}

fn ntp_data(row: &[&str]) -> NtpData {
    let count = |column: usize| number(row[column]);
    NtpData {
        remote_addr: node(0),
        local_addr: node(3),
        remote_port: number(row[2]),
        version: number(row[6]),
        mode: 4,
        stratum: number(row[8]),
        poll: number(row[9]),
        precision: number(row[11]),
        ref_id: u32::from_str_radix(row[15], 16).expect("reference ID"),
        ref_time: time(row[17]),
        offset_s: float(row[18]),
        peer_delay_s: float(row[19]),
        peer_dispersion_s: float(row[20]),
        response_time_s: float(row[21]),
        flags: NtpDataFlags::TESTS,
        tx_timestamp_source: TimestampSource::Kernel,
        rx_timestamp_source: TimestampSource::Kernel,
        total_tx_count: count(30),
        total_rx_count: count(31),
        total_valid_count: count(32),
        total_good_count: count(33),
        total_kernel_tx_ts: count(34),
        total_kernel_rx_ts: count(35),
        ..NtpData::default()
    }
}

fn record(row: &[&str]) -> ClientRecord {
    let octets: Vec<u8> = row[0].split('.').map(number).collect();
    let address: [u8; 4] = octets.try_into().expect("four octets");
    ClientRecord {
        address: Address::Ipv4(address.into()),
        ntp_interval: number(row[3]),
        ntp_timeout_interval: number(row[4]),
        last_ntp_hit_ago_s: number(row[5]),
        cmd_hits: number(row[6]),
        cmd_drops: number(row[7]),
        cmd_interval: number(row[8]),
        last_cmd_hit_ago_s: number(row[9]),
        ..ClientRecord::default()
    }
}
