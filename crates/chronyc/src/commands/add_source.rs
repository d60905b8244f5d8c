//! `add` (chronyc chapter, section 8.4).

use control_wire::{AddSource, Request, SourceFlags, SourceKind, SourceName};

use super::{Mistake, second_words, split_word};
use crate::diagnosis::suggestion;
use crate::numbers::{float_prefix, integer_prefix};
use crate::resolver::Resolver;

/// Longest name that leaves room for the NUL.
const MAX_NAME: usize = 255;

/// What an option takes.
#[derive(Clone, Copy)]
enum Kind {
    /// Nothing; sets the flag.
    Flag(SourceFlags),
    /// A floating-point number.
    Float(fn(&mut AddSource, f64)),
    /// An integer within limits.
    Integer(i64, i64, fn(&mut AddSource, i64)),
    /// Something of its own.
    Other(OtherOption),
}

/// Options that are neither flags nor plain numbers.
#[derive(Clone, Copy)]
enum OtherOption {
    Offline,
    ExtensionField,
    Ipv4,
    Ipv6,
}

/// Largest value of C's `int`.
const INT_MAX: i64 = i32::MAX as i64;
/// Largest value of an unsigned 32-bit number.
const UNSIGNED_MAX: i64 = u32::MAX as i64;

/// The options; conversions cannot lose anything because of the limits.
const OPTIONS: &[(&str, Kind)] = &[
    (
        "asymmetry",
        Kind::Float(|add, value| add.asymmetry = value.into()),
    ),
    ("auto_offline", Kind::Flag(SourceFlags::AUTO_OFFLINE)),
    ("burst", Kind::Flag(SourceFlags::BURST)),
    (
        "certset",
        Kind::Integer(0, UNSIGNED_MAX, |add, value| add.cert_set = value as u32),
    ),
    ("copy", Kind::Flag(SourceFlags::COPY)),
    ("extfield", Kind::Other(OtherOption::ExtensionField)),
    (
        "filter",
        Kind::Integer(0, INT_MAX, |add, value| add.filter_length = value as i32),
    ),
    ("iburst", Kind::Flag(SourceFlags::IBURST)),
    ("ipv4", Kind::Other(OtherOption::Ipv4)),
    ("ipv6", Kind::Other(OtherOption::Ipv6)),
    (
        "key",
        Kind::Integer(1, UNSIGNED_MAX, |add, value| add.auth_key = value as u32),
    ),
    (
        "maxdelay",
        Kind::Float(|add, value| add.max_delay_s = value.into()),
    ),
    (
        "maxdelaydevratio",
        Kind::Float(|add, value| add.max_delay_dev_ratio = value.into()),
    ),
    (
        "maxdelayquant",
        Kind::Float(|add, value| add.max_delay_quantile = value.into()),
    ),
    (
        "maxdelayratio",
        Kind::Float(|add, value| add.max_delay_ratio = value.into()),
    ),
    (
        "maxpoll",
        Kind::Integer(-32, 32, |add, value| add.max_poll = value as i32),
    ),
    (
        "maxsamples",
        Kind::Integer(0, INT_MAX, |add, value| add.max_samples = value as i32),
    ),
    (
        "maxsources",
        Kind::Integer(1, INT_MAX, |add, value| add.max_sources = value as u32),
    ),
    (
        "maxunreach",
        Kind::Integer(0, INT_MAX, |add, value| add.max_unreach = value as i32),
    ),
    (
        "mindelay",
        Kind::Float(|add, value| add.min_delay_s = value.into()),
    ),
    (
        "minpoll",
        Kind::Integer(i64::MIN, i64::MAX, |add, value| add.min_poll = value as i32),
    ),
    (
        "minsamples",
        Kind::Integer(0, INT_MAX, |add, value| add.min_samples = value as i32),
    ),
    (
        "minstratum",
        Kind::Integer(0, 16, |add, value| add.min_stratum = value as u32),
    ),
    ("noselect", Kind::Flag(SourceFlags::NOSELECT)),
    ("nts", Kind::Flag(SourceFlags::NTS)),
    (
        "ntsport",
        Kind::Integer(0, 65_535, |add, value| add.nts_port = value as u32),
    ),
    ("offline", Kind::Other(OtherOption::Offline)),
    (
        "offset",
        Kind::Float(|add, value| add.offset_s = value.into()),
    ),
    (
        "polltarget",
        Kind::Integer(1, INT_MAX, |add, value| add.poll_target = value as u32),
    ),
    (
        "port",
        Kind::Integer(0, 65_535, |add, value| add.port = value as u32),
    ),
    ("prefer", Kind::Flag(SourceFlags::PREFER)),
    (
        "presend",
        Kind::Integer(-32, 32, |add, value| add.presend_min_poll = value as i32),
    ),
    ("require", Kind::Flag(SourceFlags::REQUIRE)),
    ("trust", Kind::Flag(SourceFlags::TRUST)),
    (
        "version",
        Kind::Integer(1, 4, |add, value| add.version = value as u32),
    ),
    ("xleave", Kind::Flag(SourceFlags::INTERLEAVED)),
];

/// Names of the options, for completion.
pub(crate) fn option_names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

/// `add server|peer|pool NAME [OPTIONS]`.
pub(super) fn add(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    const SYNTAX: &str = "Invalid syntax for add command";
    let (kind, rest) = split_word(arguments);
    let kind = match kind.to_ascii_lowercase().as_str() {
        "server" => SourceKind::Server,
        "peer" => SourceKind::Peer,
        "pool" => SourceKind::Pool,
        _ => {
            let hint = suggestion(kind, second_words("add").iter().copied());
            return Err(Mistake::with_hint(SYNTAX, hint));
        }
    };
    let (name, mut rest) = split_word(rest);
    if name.is_empty() {
        return Err(Mistake::new(SYNTAX));
    }
    let mut source = AddSource::with_defaults(kind, SourceName::new(name.as_bytes()));
    while !rest.is_empty() {
        rest = take_option(&mut source, rest)?.trim_start();
    }
    // Client and daemon are taken to be on the same computer.
    if name.len() > MAX_NAME || resolver.host(name).is_none() {
        return Err(Mistake::with_hint(
            "Invalid host/IP address",
            format!("  {name} cannot be resolved here"),
        ));
    }
    Ok(Request::AddSource(source))
}

/// Takes the first option of `text` and gives what follows it.
fn take_option<'t>(source: &mut AddSource, text: &'t str) -> Result<&'t str, Mistake> {
    let (word, rest) = split_word(text);
    let Some((_, kind)) = OPTIONS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
    else {
        let hint = suggestion(word, option_names());
        return Err(Mistake::with_hint("Invalid option in add command", hint));
    };
    let taken = match kind {
        Kind::Flag(flag) => {
            source.flags = source.flags.union(*flag);
            Some(rest)
        }
        Kind::Float(set) => float_prefix(rest).map(|(value, after)| {
            set(source, value);
            after
        }),
        Kind::Integer(low, high, set) => integer_prefix(rest)
            .filter(|(value, _)| (*low..=*high).contains(value))
            .map(|(value, after)| {
                set(source, value);
                after
            }),
        Kind::Other(option) => take_other(source, *option, rest),
    };
    taken.ok_or_else(|| {
        let hint = format!("  option {word} has a missing or bad value");
        Mistake::with_hint("Invalid value in add command", hint)
    })
}

fn take_other<'t>(source: &mut AddSource, option: OtherOption, rest: &'t str) -> Option<&'t str> {
    let without = |flag: SourceFlags| SourceFlags(source.flags.0 & !flag.0);
    source.flags = match option {
        OtherOption::Offline => without(SourceFlags::ONLINE),
        // Of the two families the last one given wins.
        OtherOption::Ipv4 => without(SourceFlags::IPV6_ONLY).union(SourceFlags::IPV4_ONLY),
        OtherOption::Ipv6 => without(SourceFlags::IPV4_ONLY).union(SourceFlags::IPV6_ONLY),
        OtherOption::ExtensionField => {
            let digits = rest.trim_start();
            let digits = digits
                .strip_prefix("0x")
                .or(digits.strip_prefix("0X"))
                .unwrap_or(digits);
            let end = digits
                .find(|digit: char| !digit.is_ascii_hexdigit())
                .unwrap_or(digits.len());
            let (number, after) = digits.split_at(end);
            let flag = match u32::from_str_radix(number, 16).ok()? {
                0xf323 => SourceFlags::EXT_MONOTONIC_ROOT,
                0x10a | 0xf324 => SourceFlags::EXT_NETWORK_CORRECTION,
                _ => return None,
            };
            source.flags = source.flags.union(flag);
            return Some(after);
        }
    };
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::add;
    use crate::resolver::{Family, Resolver};
    use control_wire::Request;

    #[test]
    fn options() {
        let resolver = Resolver {
            family: Family::Any,
            reverse: false,
            debug: false,
        };
        let taken = add(
            &resolver,
            "Server 127.0.0.1 minpoll 3maxpoll 4 OFFLINE ipv6 ipv4",
        );
        let Ok(Request::AddSource(source)) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!(
            (source.min_poll, source.max_poll, source.flags.0),
            (3, 4, 0x2000)
        );
        let message = |arguments: &str| add(&resolver, arguments).unwrap_err().message;
        assert_eq!(message("server"), "Invalid syntax for add command");
        assert_eq!(
            message("server ::1 nosuch"),
            "Invalid option in add command"
        );
        assert_eq!(message("server ::1 key 0"), "Invalid value in add command");
        assert_eq!(
            message("server ::1 minpoll"),
            "Invalid value in add command"
        );
    }
}
