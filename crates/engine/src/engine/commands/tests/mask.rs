//! What of a reply depends on the moment it was recorded at.

use control_wire::{
    Float, ManualSample, ManualTimestamp, NEVER_S, NtpData, Reply, SelectData, ServerStats,
    SourceData, SourceStats, Timespec, Tracking,
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
        Reply::ServerStats(_) => Reply::ServerStats(ServerStats::default()),
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

fn ntp(data: NtpData) -> NtpData {
    let answered = data.total_valid_count > 0;
    NtpData {
        remote_addr: data.remote_addr,
        local_addr: data.local_addr,
        leap: data.leap,
        version: data.version,
        mode: data.mode,
        stratum: data.stratum,
        flags: data.flags,
        total_valid_count: u32::from(answered),
        ..NtpData::default()
    }
}
