//! `clients` and `serverstats` (chronyc chapter, sections 7.9 and 7.10).

use control_wire::{
    ClientAccessesRequest, ClientRecord, MAX_CLIENT_RECORDS, Reply, Request, ServerStats,
    UNKNOWN_INTERVAL,
};
use serde::Serialize;

use super::{header, known_age};
use crate::client::{Client, Failed, Record};
use crate::document::to_json;
use crate::numbers::unsigned_prefix;
use crate::quantities::interval;

const HEADER: &str =
    "Hostname                      NTP   Drop Int IntL Last     Cmd   Drop Int  Last";
/// The column of commands in [`HEADER`], and what `-k` puts there.
const COMMAND_COLUMN: &str = "   Cmd";
const KEY_ESTABLISHMENT_COLUMN: &str = "NTS-KE";

/// Words of the command.
struct ClientsOptions {
    min_hits: u32,
    key_establishment: bool,
    reset: bool,
}

impl ClientsOptions {
    /// `None` if the number of packets is missing or none.
    fn parse(arguments: &str) -> Option<Self> {
        let mut options = Self {
            min_hits: 0,
            key_establishment: false,
            reset: false,
        };
        let mut words = arguments.split(' ');
        while let Some(word) = words.next() {
            match word {
                "-k" => options.key_establishment = true,
                "-p" => (options.min_hits, _) = unsigned_prefix(words.next()?)?,
                "-r" => options.reset = true,
                _ => {}
            }
        }
        Some(options)
    }
}

/// One client; the second service shown is commands or NTS-KE.
struct Access {
    data: ClientRecord,
    name: String,
    hits: u32,
    drops: u32,
    interval: i8,
    last_hit_ago_s: u32,
}

#[derive(Serialize)]
struct AccessJson<'a> {
    name: &'a str,
    address: String,
    ntp_packets: u32,
    ntp_dropped_packets: u32,
    ntp_interval_log2_seconds: Option<i8>,
    ntp_timeout_interval_log2_seconds: Option<i8>,
    last_ntp_packet_age_seconds: Option<u32>,
    command_packets: u32,
    command_dropped_packets: u32,
    command_interval_log2_seconds: Option<i8>,
    last_command_packet_age_seconds: Option<u32>,
    nts_ke_connections: u32,
    nts_ke_dropped_connections: u32,
    nts_ke_interval_log2_seconds: Option<i8>,
    last_nts_ke_connection_age_seconds: Option<u32>,
}

impl Access {
    fn new(data: ClientRecord, name: String, key_establishment: bool) -> Self {
        let (hits, drops, interval, last_hit_ago_s) = if key_establishment {
            (
                data.nke_hits,
                data.nke_drops,
                data.nke_interval,
                data.last_nke_hit_ago_s,
            )
        } else {
            (
                data.cmd_hits,
                data.cmd_drops,
                data.cmd_interval,
                data.last_cmd_hit_ago_s,
            )
        };
        Self {
            data,
            name,
            hits,
            drops,
            interval,
            last_hit_ago_s,
        }
    }
}

fn known_interval(log2_s: i8) -> Option<i8> {
    (log2_s != UNKNOWN_INTERVAL).then_some(log2_s)
}

/// Log2 of an interval, two characters or more.
fn log2_interval(log2_s: i8) -> String {
    known_interval(log2_s).map_or_else(|| " -".to_owned(), |log2_s| format!("{log2_s:2}"))
}

impl Record for Access {
    fn text(&self, extra: usize) -> String {
        let data = &self.data;
        format!(
            "{:width$}  {:6}  {:5}  {}  {}  {}  {:6}  {:5}  {}  {}",
            self.name,
            data.ntp_hits,
            data.ntp_drops,
            log2_interval(data.ntp_interval),
            log2_interval(data.ntp_timeout_interval),
            interval(data.last_ntp_hit_ago_s),
            self.hits,
            self.drops,
            log2_interval(self.interval),
            interval(self.last_hit_ago_s),
            width = 25 + extra,
        )
    }

    fn csv(&self) -> String {
        let data = &self.data;
        format!(
            "{},{},{},{},{},{},{},{},{},{}",
            self.name,
            data.ntp_hits,
            data.ntp_drops,
            data.ntp_interval,
            data.ntp_timeout_interval,
            data.last_ntp_hit_ago_s,
            self.hits,
            self.drops,
            self.interval,
            self.last_hit_ago_s,
        )
    }

    fn json(&self) -> String {
        let data = &self.data;
        to_json(&AccessJson {
            name: &self.name,
            address: data.address.to_string(),
            ntp_packets: data.ntp_hits,
            ntp_dropped_packets: data.ntp_drops,
            ntp_interval_log2_seconds: known_interval(data.ntp_interval),
            ntp_timeout_interval_log2_seconds: known_interval(data.ntp_timeout_interval),
            last_ntp_packet_age_seconds: known_age(data.last_ntp_hit_ago_s),
            command_packets: data.cmd_hits,
            command_dropped_packets: data.cmd_drops,
            command_interval_log2_seconds: known_interval(data.cmd_interval),
            last_command_packet_age_seconds: known_age(data.last_cmd_hit_ago_s),
            nts_ke_connections: data.nke_hits,
            nts_ke_dropped_connections: data.nke_drops,
            nts_ke_interval_log2_seconds: known_interval(data.nke_interval),
            last_nts_ke_connection_age_seconds: known_age(data.last_nke_hit_ago_s),
        })
    }
}

/// `clients`.
pub(crate) fn clients(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let Some(options) = ClientsOptions::parse(arguments) else {
        client.error("Invalid syntax for clients command");
        return Err(Failed);
    };
    let columns = if options.key_establishment {
        HEADER.replace(COMMAND_COLUMN, KEY_ESTABLISHMENT_COLUMN)
    } else {
        HEADER.to_owned()
    };
    let header = header(client, &columns, "Hostname");
    client.start_list("clients", &header);
    let mut first_index = 0;
    loop {
        let request = Request::ClientAccesses(ClientAccessesRequest {
            first_index,
            n_clients: MAX_CLIENT_RECORDS as u32,
            min_hits: options.min_hits,
            reset: options.reset.into(),
        });
        let Reply::ClientAccesses(page) = client.request(&request)? else {
            return Err(Failed);
        };
        let valid = page.n_clients.min(MAX_CLIENT_RECORDS as u32);
        for data in page.clients.into_iter().take(valid as usize) {
            if !data.address.is_unspecified() {
                let name = client.client_column(data.address);
                client.item(&Access::new(data, name, options.key_establishment));
            }
        }
        // A table that does not advance would be read for ever.
        if page.next_index >= page.n_indices
            || valid < MAX_CLIENT_RECORDS as u32
            || page.next_index <= first_index
        {
            return Ok(());
        }
        first_index = page.next_index;
    }
}

#[derive(Serialize)]
struct ServerStatsJson {
    ntp_packets_received: u64,
    ntp_packets_dropped: u64,
    command_packets_received: u64,
    command_packets_dropped: u64,
    client_log_records_dropped: u64,
    nts_ke_connections_accepted: u64,
    nts_ke_connections_dropped: u64,
    authenticated_ntp_packets: u64,
    interleaved_ntp_packets: u64,
    ntp_timestamps_held: u64,
    ntp_timestamp_span_seconds: u64,
    ntp_daemon_rx_timestamps: u64,
    ntp_daemon_tx_timestamps: u64,
    ntp_kernel_rx_timestamps: u64,
    ntp_kernel_tx_timestamps: u64,
    ntp_hardware_rx_timestamps: u64,
    ntp_hardware_tx_timestamps: u64,
}

/// The counters with their labels, in the order of the report.
fn labelled(stats: &ServerStats) -> [(&'static str, u64); 17] {
    [
        ("NTP packets received", stats.ntp_hits),
        ("NTP packets dropped", stats.ntp_drops),
        ("Command packets received", stats.cmd_hits),
        ("Command packets dropped", stats.cmd_drops),
        ("Client log records dropped", stats.log_drops),
        ("NTS-KE connections accepted", stats.nke_hits),
        ("NTS-KE connections dropped", stats.nke_drops),
        ("Authenticated NTP packets", stats.ntp_auth_hits),
        ("Interleaved NTP packets", stats.ntp_interleaved_hits),
        ("NTP timestamps held", stats.ntp_timestamps),
        ("NTP timestamp span", stats.ntp_span_s),
        ("NTP daemon RX timestamps", stats.ntp_daemon_rx_timestamps),
        ("NTP daemon TX timestamps", stats.ntp_daemon_tx_timestamps),
        ("NTP kernel RX timestamps", stats.ntp_kernel_rx_timestamps),
        ("NTP kernel TX timestamps", stats.ntp_kernel_tx_timestamps),
        ("NTP hardware RX timestamps", stats.ntp_hw_rx_timestamps),
        ("NTP hardware TX timestamps", stats.ntp_hw_tx_timestamps),
    ]
}

impl Record for ServerStats {
    fn text(&self, _extra: usize) -> String {
        labelled(self)
            .map(|(label, value)| format!("{label:27}: {value}"))
            .join("\n")
    }

    fn csv(&self) -> String {
        labelled(self).map(|(_, value)| value.to_string()).join(",")
    }

    fn json(&self) -> String {
        to_json(&ServerStatsJson {
            ntp_packets_received: self.ntp_hits,
            ntp_packets_dropped: self.ntp_drops,
            command_packets_received: self.cmd_hits,
            command_packets_dropped: self.cmd_drops,
            client_log_records_dropped: self.log_drops,
            nts_ke_connections_accepted: self.nke_hits,
            nts_ke_connections_dropped: self.nke_drops,
            authenticated_ntp_packets: self.ntp_auth_hits,
            interleaved_ntp_packets: self.ntp_interleaved_hits,
            ntp_timestamps_held: self.ntp_timestamps,
            ntp_timestamp_span_seconds: self.ntp_span_s,
            ntp_daemon_rx_timestamps: self.ntp_daemon_rx_timestamps,
            ntp_daemon_tx_timestamps: self.ntp_daemon_tx_timestamps,
            ntp_kernel_rx_timestamps: self.ntp_kernel_rx_timestamps,
            ntp_kernel_tx_timestamps: self.ntp_kernel_tx_timestamps,
            ntp_hardware_rx_timestamps: self.ntp_hw_rx_timestamps,
            ntp_hardware_tx_timestamps: self.ntp_hw_tx_timestamps,
        })
    }
}

/// `serverstats`.
pub(crate) fn serverstats(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    let Reply::ServerStats(data) = client.request(&Request::ServerStats)? else {
        return Err(Failed);
    };
    client.report("server_statistics", &data);
    Ok(())
}
