//! Data of the replies about sources and the clock (control-protocol chapter, section 10), one
//! struct each.

use crate::address::Address;
use crate::cursor::{Reserved, wire_struct};
use crate::enumeration::{
    AuthMode, LeapStatus, SelectOptions, SmoothingFlags, SourceMode, SourceState,
};
use crate::float::Float;
use crate::timespec::Timespec;

/// Age in seconds that means "never" or "unknown".
pub const NEVER_S: u32 = u32::MAX;

wire_struct! {
    /// N_SOURCES (section 10.1).
    pub struct NSources {
        /// NTP sources, resolved or not, and reference clocks.
        pub n_sources: u32,
    }
}

wire_struct! {
    /// SOURCE_DATA (section 10.2).
    pub struct SourceData {
        /// Address of the NTP source (may be an ID). Reference clock: its reference ID in the form
        /// of an IPv4 address.
        pub ip_addr: Address,
        /// Current polling interval, log2 s.
        pub poll: i16,
        /// Stratum of the last sample; 0 without samples.
        pub stratum: u16,
        /// Summary of the selection state.
        pub state: SourceState as u16,
        /// Kind of source.
        pub mode: SourceMode as u16,
        /// Always 0.
        pub flags: u16,
        /// 8-bit register, newest poll in bit 0.
        pub reachability: u16,
        /// Age of the last sample, s; [`NEVER_S`] without one.
        pub since_sample_s: u32,
        /// Offset of the last sample as measured, s.
        pub orig_latest_meas_s: Float,
        /// The same adjusted for clock corrections since, s.
        pub latest_meas_s: Float,
        /// Root distance of the sample, s.
        pub latest_meas_err_s: Float,
    }
}

wire_struct! {
    /// TRACKING (section 10.3).
    pub struct Tracking {
        /// Reference ID; 0 if unsynchronised, 0x7F7F0101 in local mode.
        pub ref_id: u32,
        /// Selected NTP source; unspecified for a reference clock, local mode or none.
        pub ip_addr: Address,
        /// Stratum; 0 if unsynchronised.
        pub stratum: u16,
        /// Leap status.
        pub leap_status: LeapStatus as u16,
        /// Time of the last update.
        pub ref_time: Timespec,
        /// Correction still to be slewed: NTP time − system time, s (positive: the system clock is slow).
        pub current_correction_s: Float,
        /// Offset at the last update, s (positive: the local clock was ahead).
        pub last_offset_s: Float,
        /// Long-term root mean square of it, s.
        pub rms_offset_s: Float,
        /// Rate error of the uncorrected clock, ppm (positive: fast).
        pub freq_ppm: Float,
        /// Residual frequency of the reference, ppm.
        pub resid_freq_ppm: Float,
        /// Error bound of the frequency, ppm.
        pub skew_ppm: Float,
        /// Total delay to the stratum 1 computer, s.
        pub root_delay_s: Float,
        /// Total dispersion to the stratum 1 computer, s.
        pub root_dispersion_s: Float,
        /// Interval between the last two updates, s.
        pub last_update_interval_s: Float,
    }
}

wire_struct! {
    /// SOURCESTATS (section 10.4).
    pub struct SourceStats {
        /// Reference ID of the source itself.
        pub ref_id: u32,
        /// Address; unspecified for a reference clock.
        pub ip_addr: Address,
        /// Samples kept.
        pub n_samples: u32,
        /// Runs of residuals with the same sign.
        pub n_runs: u32,
        /// Oldest to newest sample, s.
        pub span_s: u32,
        /// Standard deviation, s.
        pub sd_s: Float,
        /// Residual frequency, ppm.
        pub resid_freq_ppm: Float,
        /// Error bound of it, ppm.
        pub skew_ppm: Float,
        /// Offset estimated now, s (positive: the local clock is ahead).
        pub est_offset_s: Float,
        /// Error bound of it, s.
        pub est_offset_err_s: Float,
    }
}

wire_struct! {
    /// RTC (section 10.5).
    pub struct Rtc {
        /// Time of the real-time clock at the last measurement.
        pub ref_time: Timespec,
        /// Samples.
        pub n_samples: u16,
        /// Runs of residuals with the same sign.
        pub n_runs: u16,
        /// Oldest to newest sample, s.
        pub span_s: u32,
        /// Real-time clock minus system time at `ref_time`, s.
        pub rtc_seconds_fast: Float,
        /// Rate, ppm (positive: the real-time clock gains).
        pub rtc_gain_rate_ppm: Float,
    }
}

wire_struct! {
    /// ACTIVITY (section 10.6): numbers of NTP sources.
    pub struct Activity {
        /// Online.
        pub online: i32,
        /// Offline.
        pub offline: i32,
        /// In a burst, then online.
        pub burst_online: i32,
        /// In a burst, then offline.
        pub burst_offline: i32,
        /// Without a known address.
        pub unresolved: i32,
    }
}

wire_struct! {
    /// SMOOTHING (section 10.7).
    pub struct Smoothing {
        /// Whether and how.
        pub flags: SmoothingFlags,
        /// Added to served time, s.
        pub offset_s: Float,
        /// Rate of it, ppm (positive: served time runs fast).
        pub freq_ppm: Float,
        /// Rate of change of the rate, ppm/s.
        pub wander_ppm_per_s: Float,
        /// Age of the last update, s.
        pub last_update_ago_s: Float,
        /// Time until nothing is left to smooth, s.
        pub remaining_time_s: Float,
    }
}

wire_struct! {
    /// MANUAL_TIMESTAMP2 (section 10.8), the result of SETTIME.
    pub struct ManualTimestamp {
        /// Estimated offset, s (positive: the local clock is fast).
        pub offset_s: Float,
        /// Frequency change made, ppm.
        pub dfreq_ppm: Float,
        /// Resulting absolute frequency, ppm.
        pub new_afreq_ppm: Float,
    }
}

/// Samples in a MANUAL_LIST2 reply.
pub const MAX_MANUAL_SAMPLES: usize = 16;

wire_struct! {
    /// One manual sample.
    pub struct ManualSample {
        /// Local time of the entry.
        pub when: Timespec,
        /// Offset adjusted for later corrections, s.
        pub slewed_offset_s: Float,
        /// Offset as entered, s.
        pub orig_offset_s: Float,
        /// Residual of the regression, s.
        pub residual_s: Float,
    }
}

wire_struct! {
    /// MANUAL_LIST2 (section 10.9).
    pub struct ManualList {
        /// Valid samples below.
        pub n_samples: u32,
        /// Oldest first; unused ones are zero.
        pub samples: [ManualSample; MAX_MANUAL_SAMPLES],
    }
}

wire_struct! {
    /// AUTH_DATA (section 10.11).
    pub struct AuthData {
        /// Kind of authentication.
        pub mode: AuthMode as u16,
        /// Algorithm (section 11.6).
        pub key_type: u16,
        /// Symmetric: number of the key. NTS: count of successful key establishments.
        pub key_id: u32,
        /// Bits of the key.
        pub key_length_bits: u16,
        /// NTS-KE attempts since the last success.
        pub ke_attempts: u16,
        /// Age of the last success, s; [`NEVER_S`] without one.
        pub last_ke_ago_s: u32,
        /// Cookies held.
        pub cookies: u16,
        /// Bytes of the next cookie.
        pub cookie_length: u16,
        /// 1 if an NTS NAK was received since the last request.
        pub nak: u16,
        /// Reserved.
        pub pad: Reserved<2, 0>,
    }
}

wire_struct! {
    /// SELECT_DATA (section 10.13): the source at the last selection.
    pub struct SelectData {
        /// Reference ID of the source itself.
        pub ref_id: u32,
        /// Address; unspecified for a reference clock.
        pub ip_addr: Address,
        /// ASCII character of the state (section 11.3).
        pub state_char: u8,
        /// 1 if authentication is enabled.
        pub authentication: u8,
        /// Leap status.
        pub leap: LeapStatus as u8,
        /// Reserved.
        pub pad: Reserved<1, 0>,
        /// Configured options.
        pub conf_options: SelectOptions,
        /// Effective options.
        pub eff_options: SelectOptions,
        /// Age of the last sample, s.
        pub last_sample_ago_s: u32,
        /// Score against the selected source, which has 1.
        pub score: Float,
        /// Lower end of the interval of the offset, s.
        pub lo_limit_s: Float,
        /// Upper end of it, s.
        pub hi_limit_s: Float,
    }
}
