//! `local` (configuration chapter, section 4.6).

use crate::arguments::{Arguments, ErrorStyle, OptionEntry, read_options};
use crate::diagnostics::Fault;

/// The local reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalReference {
    /// Announced stratum.
    pub stratum: i32,
    /// Active when the root distance exceeds this, s.
    pub distance_s: f64,
    /// Not active until the root distance was once below this, s; 0 = no condition.
    pub activate_s: f64,
    /// Orphan mode compatible with ntpd.
    pub orphan: bool,
    /// Seconds since the last update before activation.
    pub waitsynced_s: f64,
    /// Seconds unsynchronised before activation; negative = the default.
    pub waitunsynced_s: f64,
}

/// Wait of an unsynchronised server in orphan mode, s.
const ORPHAN_WAIT_UNSYNCED_S: f64 = 300.0;

impl Default for LocalReference {
    fn default() -> Self {
        Self {
            stratum: 10,
            distance_s: 1.0,
            activate_s: 0.0,
            orphan: false,
            waitsynced_s: 0.0,
            waitunsynced_s: -1.0,
        }
    }
}

impl LocalReference {
    /// Seconds unsynchronised before activation: as configured, else 300 with orphan, else 0.
    pub fn effective_waitunsynced_s(&self) -> f64 {
        if self.waitunsynced_s >= 0.0 {
            self.waitunsynced_s
        } else if self.orphan {
            ORPHAN_WAIT_UNSYNCED_S
        } else {
            0.0
        }
    }
}

macro_rules! double {
    ($name:literal, $field:ident) => {
        OptionEntry {
            name: $name,
            apply: |local, arguments| {
                local.$field = arguments.option_double()?;
                Ok(())
            },
        }
    };
}

/// Every option of `local`.
pub static LOCAL_OPTIONS: &[OptionEntry<LocalReference>] = &[
    OptionEntry {
        name: "stratum",
        apply: |local, arguments| {
            local.stratum = arguments.option_integer(1, 15)?;
            Ok(())
        },
    },
    double!("distance", distance_s),
    double!("activate", activate_s),
    OptionEntry {
        name: "orphan",
        apply: |local, _| {
            local.orphan = true;
            Ok(())
        },
    },
    double!("waitsynced", waitsynced_s),
    double!("waitunsynced", waitunsynced_s),
];

/// Reads the options of `local`; each directive starts from the defaults.
pub fn parse(arguments: &mut Arguments<'_>) -> Result<LocalReference, Fault> {
    arguments.with_style(ErrorStyle::Named);
    let mut local = LocalReference::default();
    read_options(LOCAL_OPTIONS, &mut local, arguments)?;
    Ok(local)
}

/// Reads the options of `local` from a string, as chronyc's `local` command does.
pub fn parse_line(line: &str) -> Result<LocalReference, Fault> {
    let words = crate::lexer::split(line);
    parse(&mut Arguments::new(&words))
}
