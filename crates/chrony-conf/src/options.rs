//! What decides the defaults of a configuration before its first line is read.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::sources::AddressFamily;

/// Paths and names chosen when the program is built (configuration chapter, section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildDefaults {
    /// Configuration file.
    pub config_file: PathBuf,
    /// Unix socket of the control protocol.
    pub command_socket: PathBuf,
    /// PID file.
    pub pid_file: PathBuf,
    /// Run-time user.
    pub user: String,
    /// hwclock's adjtime file; none = not read.
    pub hwclock_file: Option<PathBuf>,
    /// Device of the real-time clock.
    pub rtc_device: PathBuf,
}

impl Default for BuildDefaults {
    /// The upstream values.
    fn default() -> Self {
        Self {
            config_file: "/etc/chrony.conf".into(),
            command_socket: "/var/run/chrony/chronyd.sock".into(),
            pid_file: "/var/run/chrony/chronyd.pid".into(),
            user: "root".into(),
            hwclock_file: None,
            rtc_device: "/dev/rtc".into(),
        }
    }
}

/// What the command line says about the configuration (configuration chapter, section 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Defaults of the build.
    pub defaults: BuildDefaults,
    /// `-f FILE`; none = the built-in path.
    pub config_file: Option<PathBuf>,
    /// Directives given as arguments; if there is one, no file is read.
    pub directives: Vec<OsString>,
    /// `-4`, `-6`.
    pub family: AddressFamily,
    /// `-R`: `initstepslew` is ignored, a positive `makestep` limit becomes 0.
    pub restart: bool,
    /// `-Q`: no server ports, no Unix socket and no PID file unless configured.
    pub client_only: bool,
}
