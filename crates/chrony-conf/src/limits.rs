//! `ratelimit`, `ntsratelimit`, `cmdratelimit` (configuration chapter, section 4.6).

use crate::arguments::{Arguments, OptionEntry, read_options};
use crate::diagnostics::Fault;

/// A limit of responses to one client, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whether the directive was given.
    pub enabled: bool,
    /// Interval between responses, log2 s.
    pub interval: i32,
    /// Responses that may exceed the interval at once.
    pub burst: i32,
    /// One of 2^leak dropped responses is sent all the same, log2.
    pub leak: i32,
    /// One of 2^kod dropped responses is a kiss-o'-death, log2; 0 = none. NTP only.
    pub kod: i32,
}

impl RateLimit {
    /// Defaults of `ratelimit`.
    pub const NTP: Self = Self {
        enabled: false,
        interval: 3,
        burst: 8,
        leak: 2,
        kod: 0,
    };
    /// Defaults of `ntsratelimit`.
    pub const NTS: Self = Self {
        interval: 6,
        ..Self::NTP
    };
    /// Defaults of `cmdratelimit`.
    pub const COMMAND: Self = Self {
        interval: -4,
        ..Self::NTP
    };

    /// The limit with the clamps of the specification.
    pub fn effective(self) -> Self {
        Self {
            enabled: self.enabled,
            interval: self.interval.clamp(-19, 12),
            burst: self.burst.clamp(1, 255),
            leak: self.leak.clamp(1, 4),
            kod: self.kod.clamp(0, 4),
        }
    }
}

macro_rules! entry {
    ($name:literal, $field:ident) => {
        OptionEntry {
            name: $name,
            apply: |limit, arguments| {
                limit.$field = arguments.option_integer(-32, 32)?;
                Ok(())
            },
        }
    };
}

/// Options of `ntsratelimit` and `cmdratelimit`.
static CONNECTION_OPTIONS: &[OptionEntry<RateLimit>] = &[
    entry!("interval", interval),
    entry!("burst", burst),
    entry!("leak", leak),
];

/// Options of `ratelimit`.
static NTP_OPTIONS: &[OptionEntry<RateLimit>] = &[
    entry!("interval", interval),
    entry!("burst", burst),
    entry!("leak", leak),
    entry!("kod", kod),
];

/// Reads the options of a limit; parts not named keep their earlier values.
pub fn parse(
    limit: &mut RateLimit,
    with_kod: bool,
    arguments: &mut Arguments<'_>,
) -> Result<(), Fault> {
    limit.enabled = true;
    let options = if with_kod {
        NTP_OPTIONS
    } else {
        CONNECTION_OPTIONS
    };
    read_options(options, limit, arguments)
}
