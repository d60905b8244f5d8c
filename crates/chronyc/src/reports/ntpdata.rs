//! `ntpdata` (chronyc chapter, section 7.6).

use control_wire::{
    Address, NtpData, NtpDataFlags, Reply, Request, SingleAddress, SourceMode, TimestampSource,
};
use md5::{Digest, Md5};
use serde::Serialize;

use super::sources::source_data;
use crate::client::{Client, Failed, Record};
use crate::document::to_json;
use crate::options::Format;
use crate::quantities::{date, epoch_seconds, leap, ref_id_name};

struct Measurement(NtpData);

#[derive(Serialize)]
struct MeasurementJson {
    remote_address: String,
    remote_address_reference_id: String,
    remote_port: u16,
    local_address: Option<String>,
    leap_status: &'static str,
    ntp_version: u8,
    mode: &'static str,
    stratum: u8,
    poll_interval_log2_seconds: i8,
    precision_log2_seconds: i8,
    root_delay_seconds: f64,
    root_dispersion_seconds: f64,
    reference_id: String,
    reference_name: String,
    reference_time_seconds_since_1970: f64,
    offset_seconds: f64,
    peer_delay_seconds: f64,
    peer_dispersion_seconds: f64,
    response_time_seconds: f64,
    jitter_asymmetry: f64,
    ntp_tests_passed: String,
    interleaved: bool,
    authenticated: bool,
    transmit_timestamping: &'static str,
    receive_timestamping: &'static str,
    transmitted_packets: u32,
    received_packets: u32,
    received_valid_packets: u32,
    received_good_packets: u32,
    transmitted_packets_with_kernel_timestamp: u32,
    received_packets_with_kernel_timestamp: u32,
    transmitted_packets_with_hardware_timestamp: u32,
    received_packets_with_hardware_timestamp: u32,
}

/// The reference ID an address has as a source: an IPv4 address itself, of an IPv6 address the
/// start of its MD5 (control-protocol chapter, section 11.9).
fn ref_id_of(address: Address) -> u32 {
    match address {
        Address::Ipv4(address) => address.to_bits(),
        Address::Ipv6(address) => {
            let hash: [u8; 16] = Md5::digest(address.octets()).into();
            let [first, second, third, fourth, ..] = hash;
            u32::from_be_bytes([first, second, third, fourth])
        }
        Address::Unspecified | Address::Id(_) => 0,
    }
}

/// 2^`exponent`, the exponent clamped as the reference does it.
fn power_of_two(exponent: i8) -> f64 {
    2f64.powi(i32::from(exponent).clamp(-31, 31))
}

const fn mode_name(mode: u8) -> &'static str {
    match mode {
        1 => "Symmetric active",
        2 => "Symmetric passive",
        4 => "Server",
        _ => "Invalid",
    }
}

const fn timestamping(source: TimestampSource) -> &'static str {
    match source {
        TimestampSource::Daemon => "Daemon",
        TimestampSource::Kernel => "Kernel",
        TimestampSource::Hardware => "Hardware",
        TimestampSource::None | TimestampSource::Unknown(_) => "Invalid",
    }
}

impl Measurement {
    /// The tests as three groups of binary digits.
    fn tests(&self, separator: char) -> String {
        let bits = format!("{:010b}", self.0.flags.0 & NtpDataFlags::TESTS.0);
        let (first, rest) = bits.split_at(3);
        let (second, third) = rest.split_at(3);
        format!("{first}{separator}{second}{separator}{third}")
    }

    const fn yes_no(&self, flag: NtpDataFlags) -> &'static str {
        if self.0.flags.contains(flag) {
            "Yes"
        } else {
            "No"
        }
    }

    /// The reference ID as text; of servers above stratum 1 it is no text.
    fn reference_name(&self) -> String {
        if self.0.stratum <= 1 {
            ref_id_name(self.0.ref_id)
        } else {
            String::new()
        }
    }

    /// The second half of the text: measured values and how they were got.
    fn text_of_measurement(&self) -> [String; 19] {
        let data = &self.0;
        [
            format!("Reference time  : {}", date(data.ref_time)),
            format!("Offset          : {:+.9} seconds", data.offset_s.value()),
            format!("Peer delay      : {:.9} seconds", data.peer_delay_s.value()),
            format!(
                "Peer dispersion : {:.9} seconds",
                data.peer_dispersion_s.value()
            ),
            format!(
                "Response time   : {:.9} seconds",
                data.response_time_s.value()
            ),
            format!("Jitter asymmetry: {:+.2}", data.jitter_asymmetry.value()),
            format!("NTP tests       : {}", self.tests(' ')),
            format!(
                "Interleaved     : {}",
                self.yes_no(NtpDataFlags::INTERLEAVED)
            ),
            format!(
                "Authenticated   : {}",
                self.yes_no(NtpDataFlags::AUTHENTICATED)
            ),
            format!(
                "TX timestamping : {}",
                timestamping(data.tx_timestamp_source)
            ),
            format!(
                "RX timestamping : {}",
                timestamping(data.rx_timestamp_source)
            ),
            format!("Total TX        : {}", data.total_tx_count),
            format!("Total RX        : {}", data.total_rx_count),
            format!("Total valid RX  : {}", data.total_valid_count),
            format!("Total good RX   : {}", data.total_good_count),
            format!("Total kernel TX : {}", data.total_kernel_tx_ts),
            format!("Total kernel RX : {}", data.total_kernel_rx_ts),
            format!("Total HW TX     : {}", data.total_hw_tx_ts),
            format!("Total HW RX     : {}", data.total_hw_rx_ts),
        ]
    }
}

impl Record for Measurement {
    fn text(&self, _extra: usize) -> String {
        let data = &self.0;
        let (remote, local) = (data.remote_addr, data.local_addr);
        let head = [
            format!("Remote address  : {remote} ({:08X})", ref_id_of(remote)),
            format!("Remote port     : {}", data.remote_port),
            format!("Local address   : {local} ({:08X})", ref_id_of(local)),
            format!("Leap status     : {}", leap(data.leap)),
            format!("Version         : {}", data.version),
            format!("Mode            : {}", mode_name(data.mode)),
            format!("Stratum         : {}", data.stratum),
            format!(
                "Poll interval   : {} ({:.0} seconds)",
                data.poll,
                power_of_two(data.poll)
            ),
            format!(
                "Precision       : {} ({:.9} seconds)",
                data.precision,
                power_of_two(data.precision)
            ),
            format!("Root delay      : {:.6} seconds", data.root_delay_s.value()),
            format!(
                "Root dispersion : {:.6} seconds",
                data.root_dispersion_s.value()
            ),
            format!(
                "Reference ID    : {:08X} ({})",
                data.ref_id,
                self.reference_name()
            ),
        ];
        [head.join("\n"), self.text_of_measurement().join("\n")].join("\n")
    }

    fn csv(&self) -> String {
        let data = &self.0;
        let head = format!(
            "{},{:08X},{},{},{:08X},{},{},{},{},{},{:.0},{},{:.9},{:.6},{:.6},{:08X},{},{}",
            data.remote_addr,
            ref_id_of(data.remote_addr),
            data.remote_port,
            data.local_addr,
            ref_id_of(data.local_addr),
            leap(data.leap),
            data.version,
            mode_name(data.mode),
            data.stratum,
            data.poll,
            power_of_two(data.poll),
            data.precision,
            power_of_two(data.precision),
            data.root_delay_s.value(),
            data.root_dispersion_s.value(),
            data.ref_id,
            self.reference_name(),
            epoch_seconds(data.ref_time),
        );
        let measured = format!(
            "{:.9},{:.9},{:.9},{:.9},{:.2},{},{},{},{},{}",
            data.offset_s.value(),
            data.peer_delay_s.value(),
            data.peer_dispersion_s.value(),
            data.response_time_s.value(),
            data.jitter_asymmetry.value(),
            self.tests(','),
            self.yes_no(NtpDataFlags::INTERLEAVED),
            self.yes_no(NtpDataFlags::AUTHENTICATED),
            timestamping(data.tx_timestamp_source),
            timestamping(data.rx_timestamp_source),
        );
        format!(
            "{head},{measured},{},{},{},{},{},{},{},{}",
            data.total_tx_count,
            data.total_rx_count,
            data.total_valid_count,
            data.total_good_count,
            data.total_kernel_tx_ts,
            data.total_kernel_rx_ts,
            data.total_hw_tx_ts,
            data.total_hw_rx_ts,
        )
    }

    fn json(&self) -> String {
        let data = &self.0;
        to_json(&MeasurementJson {
            remote_address: data.remote_addr.to_string(),
            remote_address_reference_id: format!("{:08X}", ref_id_of(data.remote_addr)),
            remote_port: data.remote_port,
            local_address: data.local_addr.ip().map(|ip| ip.to_string()),
            leap_status: leap(data.leap),
            ntp_version: data.version,
            mode: mode_name(data.mode),
            stratum: data.stratum,
            poll_interval_log2_seconds: data.poll,
            precision_log2_seconds: data.precision,
            root_delay_seconds: data.root_delay_s.value(),
            root_dispersion_seconds: data.root_dispersion_s.value(),
            reference_id: format!("{:08X}", data.ref_id),
            reference_name: self.reference_name(),
            reference_time_seconds_since_1970: super::float_seconds(data.ref_time),
            offset_seconds: data.offset_s.value(),
            peer_delay_seconds: data.peer_delay_s.value(),
            peer_dispersion_seconds: data.peer_dispersion_s.value(),
            response_time_seconds: data.response_time_s.value(),
            jitter_asymmetry: data.jitter_asymmetry.value(),
            ntp_tests_passed: self.tests(' '),
            interleaved: data.flags.contains(NtpDataFlags::INTERLEAVED),
            authenticated: data.flags.contains(NtpDataFlags::AUTHENTICATED),
            transmit_timestamping: timestamping(data.tx_timestamp_source),
            receive_timestamping: timestamping(data.rx_timestamp_source),
            transmitted_packets: data.total_tx_count,
            received_packets: data.total_rx_count,
            received_valid_packets: data.total_valid_count,
            received_good_packets: data.total_good_count,
            transmitted_packets_with_kernel_timestamp: data.total_kernel_tx_ts,
            received_packets_with_kernel_timestamp: data.total_kernel_rx_ts,
            transmitted_packets_with_hardware_timestamp: data.total_hw_tx_ts,
            received_packets_with_hardware_timestamp: data.total_hw_rx_ts,
        })
    }
}

fn measurement(client: &mut Client, address: Address) -> Result<Measurement, Failed> {
    match client.request(&Request::NtpData(SingleAddress { address }))? {
        Reply::NtpData(data) => Ok(Measurement(data)),
        _ => Err(Failed),
    }
}

/// `ntpdata`.
pub(crate) fn ntpdata(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    if client.format == Format::Json {
        client.document.start_list("measurements");
    }
    if !arguments.is_empty() {
        let Some(address) = client.resolver.address(arguments) else {
            client.error("Could not get address for hostname");
            return Err(Failed);
        };
        let measurement = measurement(client, address)?;
        client.item(&measurement);
        return Ok(());
    }
    for index in 0..client.number_of_sources()? {
        let source = source_data(client, index)?;
        let is_ntp = matches!(source.mode, SourceMode::Client | SourceMode::Peer);
        if !is_ntp || source.ip_addr.ip().is_none() {
            continue;
        }
        let measurement = measurement(client, source.ip_addr)?;
        if client.format == Format::Text {
            client.out.line("");
        }
        client.item(&measurement);
    }
    Ok(())
}
