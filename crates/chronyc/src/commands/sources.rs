//! Commands about NTP sources and their selection (chronyc chapter, sections 8.2 and 8.3).

use std::net::IpAddr;

use control_wire::{
    Address, Burst, MaskedAddress, ModifyFloat, ModifyInteger, ModifyOffset, ModifySelectOptions,
    Request, SelectOptions, SingleAddress, SourceFlags,
};

use super::{Mistake, split_word};
use crate::diagnosis::suggestion;
use crate::numbers::{float_prefix, int_prefix, integer_prefix};
use crate::resolver::{Resolver, source_id};

const NO_ADDRESS: &str = "Could not get address for hostname";

/// An *address* (section 5.3).
fn address(resolver: &Resolver, word: &str) -> Result<Address, Mistake> {
    resolver
        .address(word)
        .ok_or_else(|| Mistake::new(NO_ADDRESS))
}

/// A *mask* (section 5.5).
fn mask(resolver: &Resolver, text: &str) -> Result<MaskedAddress, Mistake> {
    let syntax = || Mistake::new("Invalid syntax for mask/address");
    if text.is_empty() {
        return Ok(MaskedAddress::default());
    }
    let Some((before, after)) = text.split_once('/') else {
        let address = address(resolver, text)?;
        let mask = address
            .ip()
            .map_or(Address::Unspecified, |ip| Address::mask(ip, -1));
        return Ok(MaskedAddress { mask, address });
    };
    let first: IpAddr = before.parse().map_err(|_| syntax())?;
    if let Ok(second) = after.parse::<IpAddr>() {
        if first.is_ipv4() != second.is_ipv4() {
            return Err(syntax());
        }
        return Ok(MaskedAddress {
            mask: first.into(),
            address: second.into(),
        });
    }
    match integer_prefix(after) {
        Some((bits, "")) => Ok(MaskedAddress {
            mask: Address::mask(first, bits),
            address: first.into(),
        }),
        _ => Err(syntax()),
    }
}

pub(super) fn online(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    mask(resolver, arguments).map(Request::Online)
}

pub(super) fn offline(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    mask(resolver, arguments).map(Request::Offline)
}

pub(super) fn burst(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let (numbers, rest) = split_word(arguments);
    let counts = int_prefix(numbers).and_then(|(good, rest)| {
        let (total, _) = int_prefix(rest.strip_prefix('/')?)?;
        Some((good, total))
    });
    let (n_good_samples, n_total_samples) =
        counts.ok_or_else(|| Mistake::new("Invalid syntax for burst command"))?;
    let (word, _) = split_word(rest);
    Ok(Request::Burst(Burst {
        sources: mask(resolver, word)?,
        n_good_samples,
        n_total_samples,
    }))
}

pub(super) fn delete(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let (word, _) = split_word(arguments);
    if word.is_empty() {
        return Err(Mistake::new("Invalid syntax for address"));
    }
    let address = address(resolver, word)?;
    Ok(Request::DelSource(SingleAddress { address }))
}

/// An address and a value; the value is looked at first.
fn address_value<T>(
    resolver: &Resolver,
    arguments: &str,
    value: fn(&str) -> Option<(T, &str)>,
) -> Result<(Address, T), Mistake> {
    let (word, rest) = split_word(arguments);
    let (value, _) = value(rest).ok_or_else(|| Mistake::new("Invalid syntax for address value"))?;
    Ok((address(resolver, word)?, value))
}

fn modify_integer(resolver: &Resolver, arguments: &str) -> Result<ModifyInteger, Mistake> {
    let (address, value) = address_value(resolver, arguments, int_prefix)?;
    Ok(ModifyInteger { address, value })
}

fn modify_float(resolver: &Resolver, arguments: &str) -> Result<ModifyFloat, Mistake> {
    let (address, value) = address_value(resolver, arguments, float_prefix)?;
    Ok(ModifyFloat {
        address,
        value: value.into(),
    })
}

pub(super) fn minpoll(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    modify_integer(resolver, arguments).map(Request::ModifyMinPoll)
}

pub(super) fn maxpoll(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    modify_integer(resolver, arguments).map(Request::ModifyMaxPoll)
}

pub(super) fn minstratum(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    modify_integer(resolver, arguments).map(Request::ModifyMinStratum)
}

pub(super) fn polltarget(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    modify_integer(resolver, arguments).map(Request::ModifyPollTarget)
}

pub(super) fn maxdelay(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    modify_float(resolver, arguments).map(Request::ModifyMaxDelay)
}

pub(super) fn maxdelayratio(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    modify_float(resolver, arguments).map(Request::ModifyMaxDelayRatio)
}

pub(super) fn maxdelaydevratio(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    modify_float(resolver, arguments).map(Request::ModifyMaxDelayDevRatio)
}

pub(super) fn reload(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    match arguments {
        "sources" => Ok(Request::ReloadSources),
        _ => Err(Mistake::new("Invalid syntax for reload command")),
    }
}

pub(super) fn reset(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    match arguments {
        "sources" => Ok(Request::ResetSources),
        _ => Err(Mistake::new("Invalid syntax for reset command")),
    }
}

/// An *address or refid*; a reference ID has 1 to 4 bytes, left-aligned. Not subject to a family.
fn address_or_ref_id(word: &str) -> Option<(Address, u32)> {
    if let Some(id) = source_id(word) {
        return Some((id, 0));
    }
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some((ip.into(), 0));
    }
    let bytes = word.as_bytes();
    let mut padded = [0; 4];
    padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
    (!bytes.is_empty()).then_some((Address::Unspecified, u32::from_be_bytes(padded)))
}

pub(super) fn offset(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    let (word, rest) = split_word(arguments);
    let parts = address_or_ref_id(word).zip(float_prefix(rest));
    let ((address, ref_id), (offset_s, _)) =
        parts.ok_or_else(|| Mistake::new("Invalid syntax for offset command"))?;
    Ok(Request::ModifyOffset(ModifyOffset {
        address,
        ref_id,
        offset_s: offset_s.into(),
    }))
}

/// The options with their bits in the mask and in the values.
const SELECT_OPTIONS: [(&str, SelectOptions, SourceFlags); 4] = [
    ("noselect", SelectOptions::NOSELECT, SourceFlags::NOSELECT),
    ("prefer", SelectOptions::PREFER, SourceFlags::PREFER),
    ("require", SelectOptions::REQUIRE, SourceFlags::REQUIRE),
    ("trust", SelectOptions::TRUST, SourceFlags::TRUST),
];

pub(super) fn selectopts(_resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    const SYNTAX: &str = "Invalid syntax for selectopts command";
    let (word, rest) = split_word(arguments);
    let (address, ref_id) = address_or_ref_id(word).ok_or_else(|| Mistake::new(SYNTAX))?;
    let mut mask = SelectOptions::default();
    let mut options = SourceFlags::default();
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let signed = word.strip_prefix('+').map(|name| (true, name));
        let signed = signed.or_else(|| word.strip_prefix('-').map(|name| (false, name)));
        let (set, name) = signed.ok_or_else(|| {
            Mistake::with_hint(SYNTAX, "  an option starts with + or -".to_owned())
        })?;
        let known = SELECT_OPTIONS
            .iter()
            .find(|(known, ..)| known.eq_ignore_ascii_case(name));
        let (_, bit, flag) = known.ok_or_else(|| {
            let candidates = SELECT_OPTIONS.iter().map(|(known, ..)| *known);
            Mistake::with_hint(SYNTAX, suggestion(name, candidates))
        })?;
        mask = mask.union(*bit);
        // A later minus does not take back an earlier plus (quirk).
        options = options.with(*flag, set);
    }
    Ok(Request::ModifySelectOptions(ModifySelectOptions {
        address,
        ref_id,
        mask: mask.0.into(),
        options,
    }))
}

#[cfg(test)]
mod tests {
    use super::{address_or_ref_id, mask, selectopts};
    use crate::resolver::{Family, Resolver};
    use control_wire::{Address, Request};

    const RESOLVER: Resolver = Resolver {
        family: Family::Any,
        reverse: false,
        debug: false,
    };

    #[test]
    fn masks() {
        let text = |argument: &str| {
            mask(&RESOLVER, argument).map(|taken| format!("{}/{}", taken.mask, taken.address))
        };
        assert_eq!(text("10.0.0.0/8").unwrap(), "255.0.0.0/10.0.0.0");
        assert_eq!(text("255.0.0.0/10.0.0.0").unwrap(), "255.0.0.0/10.0.0.0");
        assert_eq!(text("10.0.0.1/33").unwrap(), "255.255.255.255/10.0.0.1");
        assert_eq!(text("ID#5x").unwrap(), "[UNSPEC]/ID#0000000005");
        assert!(text("127/8").is_err());
        assert!(text("10.0.0.0/x").is_err());
        assert!(text("10.0.0.0/8x").is_err());
    }

    #[test]
    fn reference_ids() {
        assert_eq!(
            address_or_ref_id("GPS"),
            Some((Address::Unspecified, 0x4750_5300))
        );
        assert_eq!(address_or_ref_id(""), None);
        assert_eq!(address_or_ref_id("ABCDE"), None);
    }

    #[test]
    fn options_keep_a_plus() {
        let Ok(Request::ModifySelectOptions(taken)) = selectopts(&RESOLVER, "GPS +Trust -trust")
        else {
            panic!("not taken");
        };
        assert_eq!((taken.mask, taken.options.0), (4, 0x20));
    }
}
