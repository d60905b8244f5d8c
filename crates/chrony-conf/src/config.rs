//! The typed configuration: one plain struct per subject.
//!
//! Field by field: default, unit and meaning are those of the configuration chapter,
//! section 4. Values are as written; clamps that the daemon applies when it uses a value
//! are methods named `effective…`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::access::AccessRule;
use crate::hwtimestamp::HardwareTimestamping;
use crate::limits::RateLimit;
use crate::local::LocalReference;
use crate::logging::LogSettings;
use crate::nts::NtsSettings;
use crate::options::Options;
use crate::refclock::RefclockSpec;
use crate::sources::{AddressFamily, NTP_PORT, SourceSpec};

/// UDP port of the control protocol.
pub const COMMAND_PORT: u16 = 323;

/// One address per family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressPair {
    /// IPv4 address, if given.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address, if given.
    pub ipv6: Option<Ipv6Addr>,
}

impl AddressPair {
    /// Sets the address of its family.
    pub fn set(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.ipv4 = Some(address),
            IpAddr::V6(address) => self.ipv6 = Some(address),
        }
    }
}

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `-4`, `-6`: family of addresses that are resolved and sockets that are opened.
    pub family: AddressFamily,
    /// `server`, `pool`, `peer` lines in order.
    pub sources: Vec<SourceSpec>,
    /// `sourcedir` lines in order, each with its directories by precedence.
    pub source_directories: Vec<Vec<PathBuf>>,
    /// `refclock` lines in order.
    pub refclocks: Vec<RefclockSpec>,
    /// `initstepslew`, unless `-R`.
    pub init_step_slew: Option<InitStepSlew>,
    /// NTP client.
    pub client: ClientSettings,
    /// NTS client and server.
    pub nts: NtsSettings,
    /// Selection of sources.
    pub selection: SelectionSettings,
    /// System clock.
    pub clock: ClockSettings,
    /// NTP server.
    pub server: ServerSettings,
    /// Monitoring and control.
    pub command: CommandSettings,
    /// Real-time clock.
    pub rtc: RtcSettings,
    /// Logs and reports.
    pub logging: LogSettings,
    /// The process and its files.
    pub process: ProcessSettings,
}

impl Config {
    /// The configuration of an empty file.
    pub fn new(options: &Options) -> Self {
        let defaults = &options.defaults;
        let unless_client = |path: &PathBuf| (!options.client_only).then(|| path.clone());
        Self {
            family: options.family,
            sources: Vec::new(),
            source_directories: Vec::new(),
            refclocks: Vec::new(),
            init_step_slew: None,
            client: ClientSettings::default(),
            nts: NtsSettings::default(),
            selection: SelectionSettings::default(),
            clock: ClockSettings::default(),
            server: ServerSettings {
                port: if options.client_only { 0 } else { NTP_PORT },
                ..ServerSettings::default()
            },
            command: CommandSettings {
                port: if options.client_only { 0 } else { COMMAND_PORT },
                socket: unless_client(&defaults.command_socket),
                ..CommandSettings::default()
            },
            rtc: RtcSettings {
                device: defaults.rtc_device.clone(),
                hwclock_file: defaults.hwclock_file.clone(),
                ..RtcSettings::default()
            },
            logging: LogSettings::default(),
            process: ProcessSettings {
                pid_file: unless_client(&defaults.pid_file),
                user: defaults.user.clone(),
                ..ProcessSettings::default()
            },
        }
    }
}

/// `initstepslew THR [HOST]...`.
#[derive(Clone, Debug, PartialEq)]
pub struct InitStepSlew {
    /// From this offset on the clock is stepped, s.
    pub threshold_s: f64,
    /// Addresses of the hosts that could be resolved, in order; none = without effect.
    pub addresses: Vec<IpAddr>,
}

/// NTP client (section 4.1).
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    /// `refresh`: shortest time between address refreshes of named sources, s; 0 = never.
    pub refresh_s: i32,
    /// `acquisitionport`: none = a random port for each request, 0 = one random port.
    pub acquisition_port: Option<u16>,
    /// `bindacqaddress`.
    pub bind_addresses: AddressPair,
    /// `bindacqdevice`.
    pub bind_device: Option<String>,
    /// `dscp`, 0–63.
    pub dscp: u8,
    /// `minsamples`, default of the sources.
    pub minsamples: i32,
    /// `maxsamples`, default of the sources; 0 = 64.
    pub maxsamples: i32,
    /// `manual`: `settime` is enabled.
    pub manual: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            refresh_s: 1_209_600,
            acquisition_port: None,
            bind_addresses: AddressPair::default(),
            bind_device: None,
            dscp: 0,
            minsamples: 6,
            maxsamples: 0,
            manual: false,
        }
    }
}

/// `authselectmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthSelectMode {
    /// Unauthenticated NTP sources are not selected.
    Require,
    /// The same if an authenticated NTP source exists.
    Prefer,
    /// If both kinds exist, authenticated sources and reference clocks get require and trust.
    #[default]
    Mix,
    /// Authentication does not matter.
    Ignore,
}

/// Selection of sources (section 4.4).
#[derive(Clone, Debug, PartialEq)]
pub struct SelectionSettings {
    /// `authselectmode`.
    pub auth_mode: AuthSelectMode,
    /// `combinelimit`: ratio of distances; 0 = do not combine.
    pub combine_limit: f64,
    /// `maxdistance`: limit of the root distance, s.
    pub max_distance_s: f64,
    /// `maxjitter`: limit of the jitter, s.
    pub max_jitter_s: f64,
    /// `maxstratum`: highest acceptable stratum.
    pub max_stratum: i32,
    /// `minstratum`: lowest acceptable stratum.
    pub min_stratum: i32,
    /// `minsources`: selectable sources needed.
    pub min_sources: i32,
    /// `reselectdist`: hysteresis, s.
    pub reselect_distance_s: f64,
    /// `stratumweight`: distance per stratum, s.
    pub stratum_weight_s: f64,
}

impl Default for SelectionSettings {
    fn default() -> Self {
        Self {
            auth_mode: AuthSelectMode::Mix,
            combine_limit: 3.0,
            max_distance_s: 3.0,
            max_jitter_s: 1.0,
            max_stratum: 15,
            min_stratum: 0,
            min_sources: 1,
            reselect_distance_s: 1e-4,
            stratum_weight_s: 1e-3,
        }
    }
}

/// `leapsecmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeapSecondMode {
    /// The kernel inserts or deletes the second.
    #[default]
    System,
    /// The clock is stepped.
    Step,
    /// The clock is slewed.
    Slew,
    /// Nothing is done.
    Ignore,
}

/// `estimator`, a directive of our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// The reference's weighted regression.
    #[default]
    Regression,
    /// A bank of Kalman filters.
    Kalman,
}

/// `makestep THR LIMIT`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MakeStep {
    /// Corrections beyond this are stepped, s.
    pub threshold_s: f64,
    /// In the first so many updates; negative = always, 0 = never.
    pub limit: i32,
}

/// `maxchange OFF START IGNORE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxChange {
    /// Largest accepted offset, s.
    pub offset_s: f64,
    /// Updates before the check starts; negative = no check.
    pub start: i32,
    /// Updates that may be ignored before the daemon gives up; negative = all.
    pub ignore: i32,
}

/// `tempcomp`.
#[derive(Clone, Debug, PartialEq)]
pub struct TemperatureCompensation {
    /// File of the sensor.
    pub sensor_file: PathBuf,
    /// Interval of readings, s; not positive = 1.
    pub interval_s: f64,
    /// Which curve.
    pub curve: TemperatureCurve,
}

/// Curve of temperature compensation.
#[derive(Clone, Debug, PartialEq)]
pub enum TemperatureCurve {
    /// Points in a file.
    Points(PathBuf),
    /// `k0 + (T - T0) k1 + (T - T0)² k2`, ppm.
    Quadratic {
        /// T0, in the sensor's unit.
        reference: f64,
        /// k0, ppm.
        k0_ppm: f64,
        /// k1, ppm per unit.
        k1_ppm: f64,
        /// k2, ppm per unit squared.
        k2_ppm: f64,
    },
}

/// `smoothtime FREQ WANDER [leaponly]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothTime {
    /// Largest frequency offset, ppm.
    pub max_frequency_ppm: f64,
    /// Largest wander, ppm/s.
    pub max_wander_ppm: f64,
    /// Smooth leap seconds only.
    pub leap_only: bool,
}

impl SmoothTime {
    /// On if both limits are positive.
    pub fn is_enabled(&self) -> bool {
        self.max_frequency_ppm > 0.0 && self.max_wander_ppm > 0.0
    }
}

/// System clock (section 4.5).
#[derive(Clone, Debug, PartialEq)]
pub struct ClockSettings {
    /// `clockprecision`, s; none or not positive = measured.
    pub precision_s: Option<f64>,
    /// `corrtimeratio`.
    pub correction_time_ratio: f64,
    /// `driftfile`.
    pub drift_file: Option<PathBuf>,
    /// Interval of writing the drift file, s; not positive = at every update.
    pub drift_file_interval_s: i32,
    /// `estimator`: what turns samples into offset and frequency.
    pub estimator: Estimator,
    /// `fallbackdrift`, log2 s; active only if 0 < smaller <= larger.
    pub fallback_drift: (i32, i32),
    /// `leapsecmode`.
    pub leap_mode: LeapSecondMode,
    /// `leapsectz`.
    pub leap_timezone: Option<String>,
    /// `leapseclist`.
    pub leap_list: Option<PathBuf>,
    /// `makestep`.
    pub makestep: MakeStep,
    /// `maxchange`.
    pub maxchange: Option<MaxChange>,
    /// `maxclockerror`, ppm.
    pub max_clock_error_ppm: f64,
    /// `maxdrift`, ppm.
    pub max_drift_ppm: f64,
    /// `maxupdateskew`, ppm; the absolute value counts.
    pub max_update_skew_ppm: f64,
    /// `maxslewrate`, ppm.
    pub max_slew_rate_ppm: f64,
    /// `tempcomp`.
    pub temperature_compensation: Option<TemperatureCompensation>,
    /// `smoothtime`.
    pub smooth_time: Option<SmoothTime>,
}

impl Default for ClockSettings {
    fn default() -> Self {
        Self {
            precision_s: None,
            correction_time_ratio: 3.0,
            drift_file: None,
            drift_file_interval_s: 3600,
            estimator: Estimator::Regression,
            fallback_drift: (0, 0),
            leap_mode: LeapSecondMode::System,
            leap_timezone: None,
            leap_list: None,
            makestep: MakeStep {
                threshold_s: 0.0,
                limit: 0,
            },
            maxchange: None,
            max_clock_error_ppm: 1.0,
            max_drift_ppm: 100_000.0,
            max_update_skew_ppm: 1000.0,
            max_slew_rate_ppm: 1e6 / 12.0,
            temperature_compensation: None,
            smooth_time: None,
        }
    }
}

impl ClockSettings {
    /// `fallbackdrift` if it is active.
    pub fn effective_fallback_drift(&self) -> Option<(i32, i32)> {
        let (min, max) = self.fallback_drift;
        (0 < min && min <= max).then_some((min, max))
    }

    /// `clockprecision` within 1 ns … 1 s; none = measure.
    pub fn effective_precision_s(&self) -> Option<f64> {
        self.precision_s
            .filter(|precision| *precision > 0.0)
            .map(|precision| precision.clamp(1e-9, 1.0))
    }
}

/// `broadcast SECONDS ADDR [PORT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Interval of packets as written, s.
    pub interval_s: i32,
    /// Destination.
    pub address: IpAddr,
    /// Port of the destination.
    pub port: u16,
}

impl Broadcast {
    /// Interval within 1 s … 2²⁴ s.
    pub fn effective_interval_s(&self) -> i32 {
        self.interval_s.clamp(1, 1 << 24)
    }
}

/// Default of `clientloglimit`, bytes.
const CLIENT_LOG_LIMIT: u64 = 524_288;

/// NTP server (section 4.6).
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// `allow`, `deny` in order.
    pub access: Vec<AccessRule>,
    /// `bindaddress`.
    pub bind_addresses: AddressPair,
    /// `binddevice`.
    pub bind_device: Option<String>,
    /// `port`; 0 = never serve.
    pub port: u16,
    /// `broadcast` lines in order.
    pub broadcasts: Vec<Broadcast>,
    /// `clientloglimit`, bytes.
    pub client_log_limit_bytes: u64,
    /// `noclientlog`.
    pub no_client_log: bool,
    /// `local`.
    pub local: Option<LocalReference>,
    /// `ntpsigndsocket`: directory of the socket.
    pub signd_directory: Option<PathBuf>,
    /// `ptpport`; 0 = off.
    pub ptp_port: u16,
    /// `ptpdomain`.
    pub ptp_domain: u8,
    /// `ratelimit`.
    pub rate_limit: RateLimit,
    /// `serverthreads`: threads that answer requests, the main thread included; 0 = one for
    /// each core.
    pub threads: u32,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            access: Vec::new(),
            bind_addresses: AddressPair::default(),
            bind_device: None,
            port: NTP_PORT,
            broadcasts: Vec::new(),
            client_log_limit_bytes: CLIENT_LOG_LIMIT,
            no_client_log: false,
            local: None,
            signd_directory: None,
            ptp_port: 0,
            ptp_domain: 123,
            rate_limit: RateLimit::NTP,
            threads: 1,
        }
    }
}

impl ServerSettings {
    /// Records of the client log: slots of 8 records, 960 bytes each; the number of slots is
    /// the largest power of two that fits, from 1 to 2²¹.
    pub fn client_log_records(&self) -> usize {
        const SLOT_BYTES: u64 = 960;
        const RECORDS_PER_SLOT: usize = 8;
        const SLOTS_LOG2_MAX: u32 = 21;
        let slots_log2 = (self.client_log_limit_bytes / SLOT_BYTES)
            .checked_ilog2()
            .unwrap_or(0);
        RECORDS_PER_SLOT << slots_log2.min(SLOTS_LOG2_MAX)
    }
}

/// Monitoring and control (section 4.7).
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSettings {
    /// `bindcmdaddress`; none = the loopback address of the family.
    pub bind_addresses: AddressPair,
    /// Unix socket; none = disabled.
    pub socket: Option<PathBuf>,
    /// `bindcmddevice`.
    pub bind_device: Option<String>,
    /// `cmdallow`, `cmddeny` in order.
    pub access: Vec<AccessRule>,
    /// `cmdport`; 0 = no UDP socket.
    pub port: u16,
    /// `cmdratelimit`.
    pub rate_limit: RateLimit,
    /// `opencommands`.
    pub open_commands: crate::logging::OpenCommands,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            bind_addresses: AddressPair::default(),
            socket: None,
            bind_device: None,
            access: Vec::new(),
            port: COMMAND_PORT,
            rate_limit: RateLimit::COMMAND,
            open_commands: crate::logging::OpenCommands::default(),
        }
    }
}

/// Real-time clock (section 4.8).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RtcSettings {
    /// `rtcfile`.
    pub file: Option<PathBuf>,
    /// `rtcdevice`.
    pub device: PathBuf,
    /// `rtcsync`.
    pub sync: bool,
    /// `rtconutc`: the clock keeps UTC, else local time.
    pub on_utc: bool,
    /// `hwclockfile`.
    pub hwclock_file: Option<PathBuf>,
    /// `rtcautotrim`, s; 0 = off.
    pub autotrim_s: f64,
}

/// The process and its files (sections 4.9, 4.10).
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessSettings {
    /// `hwtimestamp` lines in order.
    pub hwtimestamp: Vec<HardwareTimestamping>,
    /// `hwtstimeout`: wait for a late transmit timestamp, s; not positive = no wait.
    pub hwtimestamp_timeout_s: f64,
    /// `maxtxbuffers`: messages kept for transmit IDs; 0 = off.
    pub max_tx_buffers: i32,
    /// `keyfile`.
    pub key_file: Option<PathBuf>,
    /// `dumpdir`.
    pub dump_directory: Option<PathBuf>,
    /// `lock_all`.
    pub lock_memory: bool,
    /// `pidfile`; none = no file.
    pub pid_file: Option<PathBuf>,
    /// `sched_priority`, 0 = off.
    pub scheduler_priority: i32,
    /// `user`.
    pub user: String,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            hwtimestamp: Vec::new(),
            hwtimestamp_timeout_s: 0.001,
            max_tx_buffers: 0,
            key_file: None,
            dump_directory: None,
            lock_memory: false,
            pid_file: None,
            scheduler_priority: 0,
            user: String::new(),
        }
    }
}
