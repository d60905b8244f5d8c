//! What the configuration says about one association, with the reference's clamping.

/// Smallest poll value that is used, log2 seconds (ntp chapter, section 1).
pub const MIN_POLL: i8 = -7;
/// Largest poll value that is used, log2 seconds (ntp chapter, section 1).
pub const MAX_POLL: i8 = 24;
/// Default of `minpoll`.
pub const DEFAULT_MIN_POLL: i8 = 6;
/// Default of `maxpoll`.
pub const DEFAULT_MAX_POLL: i8 = 10;
/// Largest usable `maxdelay`, seconds (ntp chapter, section 8.1).
const MAX_MAXDELAY_S: f64 = 1000.0;
/// Largest usable `maxdelayratio` and `maxdelaydevratio` (ntp chapter, section 8.1).
const MAX_MAXDELAYRATIO: f64 = 1e6;
/// Largest usable `minstratum`: 16 would be unsynchronised (ntp chapter, section 8.1).
const MAX_MINSTRATUM: u8 = 15;

/// Which kind of association (RFC 5905, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssociationMode {
    /// Requests of mode 3, `server` and `pool`.
    Client,
    /// Packets of mode 1, `peer`.
    SymmetricActive,
}

/// How packets of the association are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationKind {
    /// Not at all; a MAC in a response makes it fail.
    None,
    /// With the symmetric key of this ID.
    SymmetricKey(u32),
    /// With Network Time Security (RFC 8915).
    NetworkTimeSecurity,
}

/// Initial connectivity (options `offline`; ntp chapter, section 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Polling starts with the daemon.
    Online,
    /// Polling starts with the command `online`.
    Offline,
}

/// Options of one `server`, `pool` or `peer` directive (ntp chapter, section 8.1).
///
/// Values are as configured; [`super::Association::new`] applies [`Self::clamped`].
#[derive(Clone, Debug, PartialEq)]
pub struct AssociationConfig {
    /// Client or symmetric active.
    pub mode: AssociationMode,
    /// `minpoll`, log2 seconds.
    pub min_poll: i32,
    /// `maxpoll`, log2 seconds.
    pub max_poll: i32,
    /// `polltarget`, samples.
    pub poll_target: u32,
    /// `presend`: poll value from which an extra request precedes each measurement;
    /// 100 is off.
    pub presend_min_poll: i32,
    /// `iburst`
    pub iburst: bool,
    /// `burst`
    pub burst: bool,
    /// `auto_offline`
    pub auto_offline: bool,
    /// `offline` or not.
    pub connectivity: Connectivity,
    /// `xleave`
    pub interleaved: bool,
    /// `copy`: take over the server's stratum and reference ID.
    pub copy: bool,
    /// `maxdelay`, seconds.
    pub max_delay_s: f64,
    /// `maxdelayratio`; off below 1.
    pub max_delay_ratio: f64,
    /// `maxdelaydevratio`
    pub max_delay_dev_ratio: f64,
    /// `maxdelayquant`; 0 is off.
    pub max_delay_quantile: f64,
    /// `filter`, samples; 0 is off.
    pub filter_length: usize,
    /// `offset`, seconds, added to measured offsets (positive: local clock slow).
    pub offset_correction_s: f64,
    /// `minstratum`
    pub min_stratum: u8,
    /// `version`, when given.
    pub version: Option<u8>,
    /// `extfield F323`: monotonic timestamps and finer root values.
    pub extension_monotonic_root: bool,
    /// `extfield 10A`: network corrections.
    pub extension_net_correction: bool,
    /// How packets are authenticated.
    pub authentication: AuthenticationKind,
    /// The digest with key ID exceeds 24 bytes, so version 3 is the default (ntp
    /// chapter, section 3.2).
    pub long_digest: bool,
    /// The source's port equals `ptpport`: packets travel in PTP messages.
    pub over_ptp: bool,
}

impl AssociationConfig {
    /// The defaults of a `server` or `peer` directive without options.
    pub fn new(mode: AssociationMode) -> Self {
        Self {
            mode,
            min_poll: i32::from(DEFAULT_MIN_POLL),
            max_poll: i32::from(DEFAULT_MAX_POLL),
            poll_target: 8,
            presend_min_poll: 100,
            iburst: false,
            burst: false,
            auto_offline: false,
            connectivity: Connectivity::Online,
            interleaved: false,
            copy: false,
            max_delay_s: 3.0,
            max_delay_ratio: 0.0,
            max_delay_dev_ratio: 10.0,
            max_delay_quantile: 0.0,
            filter_length: 0,
            offset_correction_s: 0.0,
            min_stratum: 0,
            version: None,
            extension_monotonic_root: false,
            extension_net_correction: false,
            authentication: AuthenticationKind::None,
            long_digest: false,
            over_ptp: false,
        }
    }

    /// The values that are used (ntp chapter, section 8.1). A `minpoll` below −7 gives
    /// the default and not the limit, as the reference does.
    #[must_use]
    pub fn clamped(mut self) -> Self {
        self.min_poll = clamp_poll(self.min_poll, DEFAULT_MIN_POLL);
        self.max_poll = clamp_poll(self.max_poll, DEFAULT_MAX_POLL).max(self.min_poll);
        self.poll_target = self.poll_target.max(1);
        self.max_delay_s = clamp_max_delay(self.max_delay_s);
        self.max_delay_ratio = clamp_max_delay_ratio(self.max_delay_ratio);
        self.max_delay_dev_ratio = clamp_max_delay_ratio(self.max_delay_dev_ratio);
        if self.max_delay_quantile > 0.0 {
            let hundredths = (self.max_delay_quantile.clamp(0.05, 0.95) * 100.0).round();
            self.max_delay_quantile = hundredths / 100.0;
        } else {
            self.max_delay_quantile = 0.0;
        }
        self.filter_length = self.filter_length.min(256);
        self.min_stratum = clamp_min_stratum(self.min_stratum);
        if self.mode == AssociationMode::SymmetricActive {
            // Unavailable with peers (ntp chapter, section 13).
            self.iburst = false;
            self.burst = false;
            self.copy = false;
            self.presend_min_poll = 100;
        }
        self
    }

    /// The NTP version of requests (ntp chapter, section 8.1).
    pub fn effective_version(&self) -> u8 {
        match self.version {
            Some(version) => version.clamp(1, 4),
            None if self.interleaved || self.uses_extension_fields() => 4,
            None if self.long_digest => 3,
            None => 4,
        }
    }

    /// Whether requests carry extension fields besides NTS.
    pub fn uses_extension_fields(&self) -> bool {
        self.extension_monotonic_root || self.extension_net_correction
    }
}

fn clamp_poll(poll: i32, below: i8) -> i32 {
    if poll < i32::from(MIN_POLL) {
        i32::from(below)
    } else {
        poll.min(i32::from(MAX_POLL))
    }
}

/// `maxdelay` within its limits; NaN gives 0.
pub(super) fn clamp_max_delay(value_s: f64) -> f64 {
    limited(value_s, MAX_MAXDELAY_S)
}

/// `maxdelayratio` or `maxdelaydevratio` within its limits; NaN gives 0.
pub(super) fn clamp_max_delay_ratio(value: f64) -> f64 {
    limited(value, MAX_MAXDELAYRATIO)
}

/// 0 … `largest`; `clamp` would keep NaN.
fn limited(value: f64, largest: f64) -> f64 {
    if value > 0.0 { value.min(largest) } else { 0.0 }
}

/// `minstratum` within its limits.
pub(super) fn clamp_min_stratum(stratum: u8) -> u8 {
    stratum.min(MAX_MINSTRATUM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamping() {
        let mut config = AssociationConfig::new(AssociationMode::Client);
        config.min_poll = -8;
        config.max_poll = -32;
        config.max_delay_s = 2000.0;
        config.max_delay_quantile = 0.123;
        config.min_stratum = 16;
        let config = config.clamped();
        assert_eq!((config.min_poll, config.max_poll), (6, 10));
        assert_eq!(config.max_delay_s, 1000.0);
        assert_eq!(config.max_delay_quantile, 0.12);
        assert_eq!(config.min_stratum, 15);

        let mut config = AssociationConfig::new(AssociationMode::Client);
        config.min_poll = 100;
        config.max_poll = 4;
        let config = config.clamped();
        assert_eq!((config.min_poll, config.max_poll), (24, 24));
    }

    #[test]
    fn version() {
        let mut config = AssociationConfig::new(AssociationMode::Client);
        assert_eq!(config.effective_version(), 4);
        config.long_digest = true;
        assert_eq!(config.effective_version(), 3);
        config.interleaved = true;
        assert_eq!(config.effective_version(), 4);
        config.version = Some(1);
        assert_eq!(config.effective_version(), 1);
    }
}
