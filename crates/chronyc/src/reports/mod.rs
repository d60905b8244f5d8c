//! The reports: what is asked of the daemon and how it is shown (chronyc chapter, section 7).

mod clients;
mod clocks;
mod ntpdata;
mod sources;
mod sourcestats;
mod status;
mod tracking;

pub(crate) use clients::{clients, serverstats};
pub(crate) use clocks::{manual_list, rtcdata, settime_result, smoothing};
pub(crate) use ntpdata::ntpdata;
pub(crate) use sources::sources;
pub(crate) use sourcestats::{selectdata, sourcestats};
pub(crate) use status::{activity, authdata, sourcename};
pub(crate) use tracking::{tracking, waitsync};

use control_wire::{Address, NEVER_S, Timespec};

use crate::client::{Client, WIDE_EXTRA};
use crate::options::Format;

/// Seconds since 1970 as one number, for JSON.
fn float_seconds(time: Timespec) -> f64 {
    time.seconds() as f64 + f64::from(time.nanoseconds()) * 1e-9
}

/// An age for JSON; none if it is unknown.
fn known_age(seconds: u32) -> Option<u32> {
    (seconds != NEVER_S).then_some(seconds)
}

/// Whether an address belongs to a source shown without `-a`.
const fn is_resolved(address: Address) -> bool {
    !matches!(address, Address::Id(_))
}

/// The words `-a` and `-v` of the commands that list sources; others are ignored.
struct ListOptions {
    all: bool,
    verbose: bool,
}

impl ListOptions {
    fn parse(arguments: &str) -> Self {
        let given = |wanted: &str| arguments.split(' ').any(|word| word == wanted);
        Self {
            all: given("-a"),
            verbose: given("-v"),
        }
    }

    /// Whether a source with this address is listed.
    const fn shows(&self, address: Address) -> bool {
        self.all || is_resolved(address)
    }
}

/// The header of a list; `-w` widens the column after the words `after`.
fn header(client: &Client, text: &str, after: &str) -> String {
    if !client.wide {
        return text.to_owned();
    }
    let rest = text.strip_prefix(after).unwrap_or_default();
    format!("{after}{:WIDE_EXTRA$}{rest}", "")
}

/// Prints caption lines, in text only. `{}` in them stands for the spaces of `-w`.
fn captions(client: &mut Client, wanted: bool, lines: &[&str]) {
    if wanted && client.format == Format::Text {
        let spaces = " ".repeat(client.extra());
        for line in lines {
            client.out.line(&line.replace("{}", &spaces));
        }
    }
}
