//! What of a reply depends on the moment it was recorded at.

use control_wire::{
    AuthData, Float, ManualSample, ManualTimestamp, NEVER_S, NtpData, NtpDataFlags, Reply, Rtc,
    SelectData, ServerStats, SourceData, SourceStats, Timespec, Tracking,
};

/// The reply without its measurements: every figure that depends on the network, on the clock
/// or on how long the daemon had run. What is left: codes, addresses, names, states, strata,
/// modes, flags, options, numbers of sources, and whether there was a measurement at all.
pub(super) fn mask(reply: Reply) -> Reply {
    match reply {
        Reply::Tracking(data) => Reply::Tracking(tracking(data)),
        Reply::SourceData(data) => Reply::SourceData(source(data)),
        Reply::SourceStats(data) => Reply::SourceStats(statistics(data)),
        Reply::SelectData(data) => Reply::SelectData(selection(data)),
        Reply::NtpData(data) => Reply::NtpData(ntp(data)),
        Reply::Rtc(data) => Reply::Rtc(Rtc {
            n_samples: u16::from(data.n_samples > 0),
            ..Rtc::default()
        }),
        Reply::ServerStats(data) => Reply::ServerStats(server(data)),
        Reply::AuthData(data) => Reply::AuthData(AuthData {
            last_ke_ago_s: if data.last_ke_ago_s == NEVER_S {
                NEVER_S
            } else {
                0
            },
            ..data
        }),
        Reply::Smoothing(mut data) => {
            data.last_update_ago_s = Float::ZERO;
            data.offset_s = Float::ZERO;
            data.freq_ppm = Float::ZERO;
            data.wander_ppm_per_s = Float::ZERO;
            data.remaining_time_s = Float::ZERO;
            Reply::Smoothing(data)
        }
        Reply::ManualTimestamp(_) => Reply::ManualTimestamp(ManualTimestamp::default()),
        Reply::ManualList(mut data) => {
            data.samples = [ManualSample::default(); control_wire::MAX_MANUAL_SAMPLES];
            Reply::ManualList(data)
        }
        // The order of the records and their figures are random.
        Reply::ClientAccesses(mut data) => {
            data.clients = Default::default();
            data.n_indices = 0;
            data.next_index = 0;
            data.n_clients = 0;
            Reply::ClientAccesses(data)
        }
        exact => exact,
    }
}

fn tracking(data: Tracking) -> Tracking {
    let synchronised = data.ref_id != 0;
    Tracking {
        ref_id: data.ref_id,
        ip_addr: data.ip_addr,
        stratum: data.stratum,
        leap_status: data.leap_status,
        root_delay_s: if synchronised {
            Float::ZERO
        } else {
            data.root_delay_s
        },
        root_dispersion_s: if synchronised {
            Float::ZERO
        } else {
            data.root_dispersion_s
        },
        ref_time: if synchronised {
            Timespec::default()
        } else {
            data.ref_time
        },
        ..Tracking::default()
    }
}

fn source(data: SourceData) -> SourceData {
    let measured = data.since_sample_s != NEVER_S;
    SourceData {
        reachability: u16::from(data.reachability != 0),
        since_sample_s: if measured { 0 } else { NEVER_S },
        orig_latest_meas_s: Float::ZERO,
        latest_meas_s: Float::ZERO,
        latest_meas_err_s: Float::ZERO,
        // Adapted while the daemon runs.
        poll: if measured { 0 } else { data.poll },
        ..data
    }
}

fn statistics(data: SourceStats) -> SourceStats {
    if data.n_samples == 0 {
        return data;
    }
    SourceStats {
        ref_id: data.ref_id,
        ip_addr: data.ip_addr,
        n_samples: 1,
        ..SourceStats::default()
    }
}

fn selection(data: SelectData) -> SelectData {
    SelectData {
        last_sample_ago_s: 0,
        score: Float::ZERO,
        lo_limit_s: Float::ZERO,
        hi_limit_s: Float::ZERO,
        ..data
    }
}

/// The tests of a response that compare its delay with those of others.
const DELAY_TESTS: u16 = 0b1110;

fn ntp(data: NtpData) -> NtpData {
    let seen = |count: u32| u32::from(count > 0);
    let answered = data.total_valid_count > 0;
    NtpData {
        root_delay_s: Float::ZERO,
        root_dispersion_s: Float::ZERO,
        ref_time: Timespec::default(),
        offset_s: Float::ZERO,
        peer_delay_s: Float::ZERO,
        peer_dispersion_s: Float::ZERO,
        response_time_s: Float::ZERO,
        jitter_asymmetry: Float::ZERO,
        flags: if answered {
            NtpDataFlags(data.flags.0 | DELAY_TESTS)
        } else {
            data.flags
        },
        total_tx_count: seen(data.total_tx_count),
        total_rx_count: seen(data.total_rx_count),
        total_valid_count: seen(data.total_valid_count),
        total_good_count: seen(data.total_good_count),
        total_kernel_tx_ts: seen(data.total_kernel_tx_ts),
        total_kernel_rx_ts: seen(data.total_kernel_rx_ts),
        total_hw_tx_ts: seen(data.total_hw_tx_ts),
        total_hw_rx_ts: seen(data.total_hw_rx_ts),
        ..data
    }
}

/// Which counters have counted.
fn server(data: ServerStats) -> ServerStats {
    let seen = |count: u64| u64::from(count > 0);
    ServerStats {
        ntp_hits: seen(data.ntp_hits),
        nke_hits: seen(data.nke_hits),
        cmd_hits: seen(data.cmd_hits),
        ntp_drops: seen(data.ntp_drops),
        nke_drops: seen(data.nke_drops),
        cmd_drops: seen(data.cmd_drops),
        log_drops: seen(data.log_drops),
        ntp_auth_hits: seen(data.ntp_auth_hits),
        ntp_interleaved_hits: seen(data.ntp_interleaved_hits),
        ntp_timestamps: seen(data.ntp_timestamps),
        ntp_span_s: seen(data.ntp_span_s),
        ntp_daemon_rx_timestamps: seen(data.ntp_daemon_rx_timestamps),
        ntp_daemon_tx_timestamps: seen(data.ntp_daemon_tx_timestamps),
        ntp_kernel_rx_timestamps: seen(data.ntp_kernel_rx_timestamps),
        ntp_kernel_tx_timestamps: seen(data.ntp_kernel_tx_timestamps),
        ntp_hw_rx_timestamps: seen(data.ntp_hw_rx_timestamps),
        ntp_hw_tx_timestamps: seen(data.ntp_hw_tx_timestamps),
        ..ServerStats::default()
    }
}
