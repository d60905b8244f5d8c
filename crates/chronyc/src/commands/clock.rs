//! Commands about the clock, local reference mode and manual time (chronyc chapter, sections
//! 8.1, 8.2, 8.5 and 8.6).

use std::time::{SystemTime, UNIX_EPOCH};

use control_wire::{
    Index, Local, ModifyMakeStep, Reply, Request, SetTime, SingleFloat, SingleOption, Timespec,
};
use jiff::tz::TimeZone;

use super::{Mistake, split_word};
use crate::client::{Client, Failed};
use crate::date;
use crate::numbers::{float_prefix, int_prefix};
use crate::reports;
use crate::resolver::Resolver;

fn single_float(arguments: &str) -> Option<SingleFloat> {
    float_prefix(arguments).map(|(value, _)| SingleFloat {
        value: value.into(),
    })
}

pub(super) fn makestep(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    if arguments.is_empty() {
        return Ok(Request::MakeStep);
    }
    let parts = float_prefix(arguments).and_then(|(threshold, rest)| {
        let (limit, _) = int_prefix(rest)?;
        Some((threshold, limit))
    });
    let (threshold, limit) =
        parts.ok_or_else(|| Mistake::new("Bad syntax for makestep command"))?;
    Ok(Request::ModifyMakeStep(ModifyMakeStep {
        limit,
        threshold_s: threshold.into(),
    }))
}

pub(super) fn maxupdateskew(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let skew = single_float(arguments);
    skew.map(Request::ModifyMaxUpdateSkew)
        .ok_or_else(|| Mistake::silent("  maxupdateskew needs a number of ppm"))
}

pub(super) fn reselectdist(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let distance = single_float(arguments);
    distance
        .map(Request::ReselectDistance)
        .ok_or_else(|| Mistake::silent("  reselectdist needs a number of seconds"))
}

pub(super) fn dfreq(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let change = single_float(arguments);
    change
        .map(Request::AdjustFrequency)
        .ok_or_else(|| Mistake::new("Invalid value"))
}

pub(super) fn doffset(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let offset = single_float(arguments);
    offset
        .map(Request::AdjustOffset)
        .ok_or_else(|| Mistake::new("Invalid value"))
}

pub(super) fn smoothtime(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let option = match arguments {
        "reset" => 0,
        "activate" => 1,
        _ => return Err(Mistake::new("Invalid syntax for smoothtime command")),
    };
    Ok(Request::SmoothTime(SingleOption { option }))
}

pub(super) fn local(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    if arguments == "off" {
        return Ok(Request::Local(Local::default()));
    }
    local_options(arguments)
        .map(Request::Local)
        .ok_or_else(|| Mistake::new("Invalid syntax for local command"))
}

/// Options of local reference mode; `None` if one is unknown or has no good value.
fn local_options(arguments: &str) -> Option<Local> {
    /// Wait of orphan mode when never synchronised, s.
    const ORPHAN_WAIT_S: f64 = 300.0;
    let mut local = Local {
        on_off: 1,
        stratum: 10,
        distance_s: 1.0.into(),
        ..Local::default()
    };
    // Negative: not given.
    let mut wait_unsynced_s = -1.0;
    let mut rest = arguments;
    while !rest.is_empty() {
        let (word, after) = split_word(rest);
        let after = match word.to_ascii_lowercase().as_str() {
            "orphan" => {
                local.orphan = 1;
                after
            }
            "stratum" => {
                let (stratum, after) = int_prefix(after).filter(|(n, _)| (1..16).contains(n))?;
                local.stratum = stratum;
                after
            }
            option => {
                let (seconds, after) = float_prefix(after)?;
                match option {
                    "distance" => local.distance_s = seconds.into(),
                    "activate" => local.activate_s = seconds.into(),
                    "waitsynced" => local.wait_synced_s = seconds.into(),
                    "waitunsynced" => wait_unsynced_s = seconds,
                    _ => return None,
                }
                after
            }
        };
        rest = after.trim_start();
    }
    if wait_unsynced_s < 0.0 {
        wait_unsynced_s = if local.orphan != 0 {
            ORPHAN_WAIT_S
        } else {
            0.0
        };
    }
    local.wait_unsynced_s = wait_unsynced_s.into();
    Some(local)
}

/// `manual`, whose sub-commands are a report and requests.
pub(super) fn manual(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    // Words that only start like these are taken too (quirk).
    if arguments.starts_with("list") {
        return reports::manual_list(client);
    }
    let request = if arguments.starts_with("delete") {
        let (_, rest) = split_word(arguments);
        let Some((index, _)) = int_prefix(rest) else {
            client.error("Bad syntax for manual delete command");
            return Err(Failed);
        };
        Request::ManualDelete(Index {
            index: index.cast_unsigned(),
        })
    } else {
        let option = match arguments {
            "off" => 0,
            "on" => 1,
            "reset" => 2,
            _ => {
                client.error("Invalid syntax for manual command");
                return Err(Failed);
            }
        };
        Request::Manual(SingleOption { option })
    };
    client.submit(&request).map(|_| ())
}

/// `settime`.
pub(super) fn settime(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_secs()).ok());
    let zone = TimeZone::system();
    let Some(seconds) = now_s.and_then(|now_s| date::parse(arguments, now_s, &zone)) else {
        client.status_line("510 - Could not parse date string");
        return Err(Failed);
    };
    let time = Timespec::new(seconds, 0);
    match client.submit(&Request::SetTime(SetTime { time }))? {
        Reply::ManualTimestamp(result) => {
            reports::settime_result(client, &result);
            Ok(())
        }
        _ => Err(Failed),
    }
}
