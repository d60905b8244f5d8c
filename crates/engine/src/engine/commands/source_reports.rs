//! What is told about sources (control-protocol chapter, sections 10.1, 10.2, 10.4, 10.6,
//! 10.10, 10.11, 10.13 and 10.15).

use control_wire::{
    Activity, Address, AuthData, AuthMode, Index, NEVER_S, NSources, NtpData, NtpDataFlags, Reply,
    SelectData, SourceData, SourceMode, SourceName, SourceState as WireState, SourceStats,
};
use discipline::samples::SourceState;
use discipline::time::CookedTime;

use super::super::Engine;
use super::Answer;
use super::targets::{Indexed, address_of};
use super::wire::{
    float, key_type, leap_status, low_bits, timespec_of_ntp, timestamp_source, wire_options,
};
use crate::association::{AuthenticationKind, OperatingMode};
use crate::event::Now;
use crate::registry::Source;

/// The summary of a selection state in the sources report (section 11.2).
fn summary(state: SourceState) -> WireState {
    match state.report_letter() {
        '*' => WireState::Selected,
        '+' => WireState::Combined,
        '-' => WireState::NotCombined,
        'x' => WireState::Falseticker,
        '~' => WireState::Jittery,
        _ => WireState::NotSelectable,
    }
}

/// Age of a sample whose time is cut to whole seconds, to disclose less of when packets
/// arrive.
fn age_of_sample_s(now: CookedTime, sample: CookedTime) -> u32 {
    let cut = CookedTime::from_parts(sample.seconds(), 0);
    // Saturates: a sample in the future has age 0.
    now.since(cut) as u32
}

impl Engine {
    pub(super) fn number_of_sources(&self) -> Answer {
        Ok(Reply::NSources(NSources {
            // At most 65536 and as many clocks as lines were written.
            n_sources: (self.refclocks.len() + self.registry.len()) as u32,
        }))
    }

    pub(super) fn source_data(&self, now: Now, index: &Index) -> Answer {
        let source = self.source_by_index(index)?;
        let (now, _) = self.steering.cook(now.raw);
        let view = source.view();
        let (address, poll, mode) = match &source {
            Indexed::Ntp(source) => (
                address_of(source),
                source.association.reported_poll().into(),
                if source.is_peer() {
                    SourceMode::Peer
                } else {
                    SourceMode::Client
                },
            ),
            Indexed::Refclock(clock) => (
                Address::Ipv4(clock.reference_id().into()),
                // Within −32 … 32.
                clock.poll() as i16,
                SourceMode::ReferenceClock,
            ),
        };
        let mut data = SourceData {
            ip_addr: address,
            poll,
            stratum: view.stratum.into(),
            state: summary(self.selector.state(view.key)),
            mode,
            reachability: view.reachability.register().into(),
            since_sample_s: NEVER_S,
            ..SourceData::default()
        };
        match source.statistics().last_sample() {
            Some(sample) => {
                data.since_sample_s = age_of_sample_s(now, sample.time);
                data.orig_latest_meas_s = float(sample.measured_offset_s);
                data.latest_meas_s = float(sample.offset_s);
                data.latest_meas_err_s = float(sample.error_s);
            }
            None => data.stratum = 0,
        }
        Ok(Reply::SourceData(data))
    }

    pub(super) fn source_statistics(&self, now: Now, index: &Index) -> Answer {
        let source = self.source_by_index(index)?;
        let (now, _) = self.steering.cook(now.raw);
        let report = source.statistics().report(now);
        Ok(Reply::SourceStats(SourceStats {
            ref_id: source.reference_id(),
            ip_addr: source.address(),
            n_samples: report.samples,
            n_runs: report.runs,
            span_s: report.span_s,
            sd_s: float(report.sample_sd_s),
            resid_freq_ppm: float(report.frequency_ppm),
            skew_ppm: float(report.skew_ppm),
            est_offset_s: float(report.offset_s),
            // Nothing is known, so nothing is claimed.
            est_offset_err_s: if report.samples == 0 {
                float(0.0)
            } else {
                float(report.offset_error_s)
            },
        }))
    }

    pub(super) fn selection_data(&self, index: &Index) -> Answer {
        let source = self.source_by_index(index)?;
        let view = source.view();
        let report = self.selector.report(&view);
        Ok(Reply::SelectData(SelectData {
            ref_id: source.reference_id(),
            ip_addr: source.address(),
            // The letters of all states are ASCII.
            state_char: report.state.letter() as u8,
            authentication: view.authenticated.into(),
            leap: leap_status(view.leap),
            conf_options: wire_options(report.configured),
            eff_options: wire_options(report.effective),
            // Saturates.
            last_sample_ago_s: report.last_sample_age_s as u32,
            score: float(report.score),
            lo_limit_s: float(report.low_s),
            hi_limit_s: float(report.high_s),
            ..SelectData::default()
        }))
    }

    pub(super) fn activity(&self) -> Answer {
        let mut activity = Activity::default();
        for source in self.registry.iter() {
            let count = match source.association.operating_mode() {
                _ if source.placeholder.is_some() => &mut activity.unresolved,
                OperatingMode::Online => &mut activity.online,
                OperatingMode::Offline => &mut activity.offline,
                OperatingMode::BurstThenOnline(_) => &mut activity.burst_online,
                OperatingMode::BurstThenOffline(_) => &mut activity.burst_offline,
            };
            *count += 1;
        }
        Ok(Reply::Activity(activity))
    }

    pub(super) fn source_name(&self, address: Address) -> Answer {
        let id = self.source_by_address(address)?;
        let name = self
            .registry
            .get(id)
            .map(|source| source.spec.name.as_str());
        let name = chrony_conf::text::to_bytes(name.unwrap_or_default());
        Ok(Reply::NtpSourceName(SourceName::new(&name)))
    }

    pub(super) fn authentication_data(&self, now: Now, address: Address) -> Answer {
        let id = self.source_by_address(address)?;
        let kind = self
            .registry
            .get(id)
            .map(|source| source.spec.association.authentication);
        let mut data = AuthData {
            last_ke_ago_s: NEVER_S,
            ..AuthData::default()
        };
        if let Some(AuthenticationKind::SymmetricKey(key_id)) = kind {
            data.mode = AuthMode::SymmetricKey;
            data.key_id = key_id;
            if let Some(key) = self.keys.get(key_id) {
                data.key_type = key_type(key.kind());
                // The low 16 bits are what is told.
                data.key_length_bits = key.secret_bits() as u16;
            }
        }
        if kind == Some(AuthenticationKind::NetworkTimeSecurity) {
            data.mode = AuthMode::Nts;
        }
        if let Some(report) = self.authentication_report(now, id) {
            data = AuthData {
                mode: AuthMode::Nts,
                key_type: report.key_type,
                key_id: report.key_id,
                key_length_bits: report.key_length_bits,
                ke_attempts: report.attempts,
                last_ke_ago_s: report.last_establishment_ago_s,
                cookies: report.cookies,
                cookie_length: report.cookie_length,
                nak: report.nak.into(),
                ..AuthData::default()
            };
        }
        Ok(Reply::AuthData(data))
    }

    pub(super) fn ntp_data(&self, address: Address) -> Answer {
        let id = self.source_by_address(address)?;
        let source = self
            .registry
            .get(id)
            .ok_or(control_wire::Status::NoSuchSource)?;
        let report = source.association.ntp_data();
        let counters = source.association.counters();
        let answered = report.receive_source.is_some();
        let mut data = NtpData {
            remote_addr: address,
            remote_port: source.association.remote().port(),
            total_tx_count: low_bits(counters.sent),
            total_rx_count: low_bits(counters.received),
            total_valid_count: low_bits(counters.valid),
            total_good_count: low_bits(counters.good),
            total_kernel_tx_ts: low_bits(counters.kernel_transmit_timestamps),
            total_kernel_rx_ts: low_bits(counters.kernel_receive_timestamps),
            total_hw_tx_ts: low_bits(counters.hardware_transmit_timestamps),
            total_hw_rx_ts: low_bits(counters.hardware_receive_timestamps),
            ..NtpData::default()
        };
        if answered {
            self.fill_ntp_data(source, &mut data);
        }
        Ok(Reply::NtpData(data))
    }

    /// What the last valid response said.
    fn fill_ntp_data(&self, source: &Source, data: &mut NtpData) {
        let report = source.association.ntp_data();
        data.local_addr = report
            .local_address
            .map_or(Address::Unspecified, Address::from);
        data.leap = leap_status(report.leap);
        data.version = report.version;
        data.mode = report.mode.bits();
        data.stratum = report.stratum;
        data.poll = report.poll;
        data.precision = report.precision;
        data.root_delay_s = float(report.root_delay_s);
        data.root_dispersion_s = float(report.root_dispersion_s);
        data.ref_id = report.reference_id;
        data.ref_time = timespec_of_ntp(report.reference_time, self.steering.window_start_s());
        data.offset_s = float(report.offset_s);
        data.peer_delay_s = float(report.peer_delay_s);
        data.peer_dispersion_s = float(report.peer_dispersion_s);
        data.response_time_s = float(report.response_time_s);
        data.jitter_asymmetry = float(source.statistics.regression().asymmetry());
        data.flags = NtpDataFlags(report.tests.bits())
            .with(NtpDataFlags::INTERLEAVED, report.interleaved)
            .with(
                NtpDataFlags::AUTHENTICATED,
                source.authenticator.is_authenticated(),
            );
        data.tx_timestamp_source = timestamp_source(report.transmit_source);
        data.rx_timestamp_source = timestamp_source(report.receive_source);
    }
}
