//! Paths and texts that are compiled in (system chapter, section 1). A package sets the
//! `ISOCHRONY_*` variables at build time.

macro_rules! built_with {
    ($variable:literal, $default:literal) => {
        match option_env!($variable) {
            Some(value) => value,
            None => $default,
        }
    };
}

/// Version shown in the log and by `-v`.
pub use control_wire::PROGRAM_VERSION as VERSION;

/// The configuration file.
pub const CONFIG_FILE: &str = built_with!("ISOCHRONY_CONFIG_FILE", "/etc/chrony.conf");
/// The file with the process ID.
pub const PIDFILE: &str = built_with!("ISOCHRONY_PIDFILE", "/var/run/chrony/chronyd.pid");
/// The Unix command socket.
pub const COMMAND_SOCKET: &str =
    built_with!("ISOCHRONY_COMMAND_SOCKET", "/var/run/chrony/chronyd.sock");
/// The user the daemon switches to.
pub const USER: &str = built_with!("ISOCHRONY_USER", "root");
/// The real-time clock.
pub const RTC_DEVICE: &str = built_with!("ISOCHRONY_RTC_DEVICE", "/dev/rtc");
/// The file of hwclock(8) that tells whether the RTC keeps UTC; empty for none.
pub const HWCLOCK_FILE: &str = built_with!("ISOCHRONY_HWCLOCK_FILE", "");
/// The program that takes mail for `mailonchange`.
pub const SENDMAIL: &str = built_with!("ISOCHRONY_SENDMAIL", "/usr/lib/sendmail");

/// The first POSIX second of the 136 years that NTP timestamps are mapped to (era split):
/// 1970-01-01, as Debian and Fedora have it.
pub const WINDOW_START_S: i64 = 0;

/// Features in the order that scripts expect (configuration chapter, section 1.3).
pub const FEATURES: &str = "+CMDMON +REFCLOCK +RTC +PRIVDROP +SCFILTER +SIGND +NTS +SECHASH \
                            +IPV6 +DEBUG";

/// The line printed by `-v`.
pub fn version_line() -> String {
    format!("chronyd (chrony) version {VERSION} ({FEATURES})")
}

/// The text printed by `-h`, with tabs where the reference has them.
pub fn help(program: &str) -> String {
    format!(
        "Usage: {program} [OPTION]... [DIRECTIVE]...\n\n\
         Options:\n\
         \x20 -4\t\tUse IPv4 addresses only\n\
         \x20 -6\t\tUse IPv6 addresses only\n\
         \x20 -f FILE\tSpecify configuration file ({CONFIG_FILE})\n\
         \x20 -n\t\tDon't run as daemon\n\
         \x20 -d\t\tDon't run as daemon and log to stderr\n\
         \x20 -d -d\t\tEnable debug messages\n\
         \x20 -l FILE\tLog to file\n\
         \x20 -L LEVEL\tSet logging threshold (0)\n\
         \x20 -p\t\tPrint configuration and exit\n\
         \x20 -q\t\tSet clock and exit\n\
         \x20 -Q\t\tLog offset and exit\n\
         \x20 -r\t\tReload dump files\n\
         \x20 -R\t\tAdapt configuration for restart\n\
         \x20 -s\t\tSet clock from RTC\n\
         \x20 -t SECONDS\tExit after elapsed time\n\
         \x20 -u USER\tSpecify user ({USER})\n\
         \x20 -U\t\tDon't check for root\n\
         \x20 -F LEVEL\tSet system call filter level (0)\n\
         \x20 -P PRIORITY\tSet process priority (0)\n\
         \x20 -m\t\tLock memory\n\
         \x20 -x\t\tDon't control clock\n\
         \x20 -N FD\t\tNotify supervisor\n\
         \x20 -v, --version\tPrint version and exit\n\
         \x20 -h, --help\tPrint usage and exit\n"
    )
}
