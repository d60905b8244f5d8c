//! `server`, `pool` and `peer` with their options (configuration chapter, section 4.1).

use crate::arguments::{Arguments, ErrorStyle, OptionEntry, read_options};
use crate::diagnostics::{Fault, Reason};
use crate::lexer;

/// Upper bound of 32-bit integers, M of the specification.
pub const INTEGER_MAX: i32 = i32::MAX;
/// Poll exponent used when the configured one is below [`POLL_MIN`], for `minpoll`.
pub const MINPOLL_DEFAULT: i32 = 6;
/// Poll exponent used when the configured one is below [`POLL_MIN`], for `maxpoll`.
pub const MAXPOLL_DEFAULT: i32 = 10;
/// Smallest poll exponent (log2 s).
pub const POLL_MIN: i32 = -7;
/// Largest poll exponent (log2 s).
pub const POLL_MAX: i32 = 24;
/// Port of NTP.
pub const NTP_PORT: u16 = 123;
/// Port of NTS key establishment.
pub const NTS_KE_PORT: u16 = 4460;
/// Most sources that a pool keeps.
pub const POOL_SOURCES_MAX: i32 = 16;

/// Which directive names the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// `server`: client mode.
    Server,
    /// `pool`: several servers behind one name.
    Pool,
    /// `peer`: symmetric mode.
    Peer,
}

impl SourceKind {
    /// Kind of a directive word, without regard to case.
    pub fn from_directive(word: &str) -> Option<Self> {
        [
            (Self::Server, "server"),
            (Self::Pool, "pool"),
            (Self::Peer, "peer"),
        ]
        .into_iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(word))
        .map(|(kind, _)| kind)
    }
}

/// Address family for resolving names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressFamily {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl AddressFamily {
    /// Whether an address is of this family.
    pub fn contains(self, address: std::net::IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// Selection options of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectOptions {
    /// `prefer`: preferred over sources without it.
    pub prefer: bool,
    /// `noselect`: never selected.
    pub noselect: bool,
    /// `trust`: assumed to be right.
    pub trust: bool,
    /// `require`: at least one such source must be selectable.
    pub require: bool,
}

/// Experimental NTPv4 extension fields sent to a source (`extfield`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionFields {
    /// `extfield 10A` or `F324`: network correction.
    pub network_correction: bool,
    /// `extfield F323`: monotonic timestamp and root delay and dispersion in 4.28 format.
    pub monotonic_root: bool,
}

/// Options of a source as written; [`SourceOptions::effective`] applies the clamps.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOptions {
    /// Shortest polling interval, log2 s.
    pub minpoll: i32,
    /// Longest polling interval, log2 s.
    pub maxpoll: i32,
    /// Burst of requests at start and when the source comes online.
    pub iburst: bool,
    /// Burst of requests when there is no good measurement.
    pub burst: bool,
    /// Symmetric key, 0 = none.
    pub key: u32,
    /// Network Time Security.
    pub nts: bool,
    /// Set of trusted certificates.
    pub certset: u32,
    /// Longest accepted round trip, s.
    pub maxdelay_s: f64,
    /// Longest accepted round trip relative to the shortest one; below 1 = off.
    pub maxdelayratio: f64,
    /// Longest accepted increase of the round trip relative to the offsets' deviation.
    pub maxdelaydevratio: f64,
    /// Quantile test of the round trip; 0 = off.
    pub maxdelayquant: f64,
    /// Fixed minimum of the round trip, s; 0 = off.
    pub mindelay_s: f64,
    /// Asymmetry of the network jitter; beyond ±0.5 = estimated.
    pub asymmetry: f64,
    /// Correction added to measured offsets, s.
    pub offset_s: f64,
    /// Fewest samples kept; none = the global `minsamples`.
    pub minsamples: Option<i32>,
    /// Most samples kept; none = the global `maxsamples`, 0 = 64.
    pub maxsamples: Option<i32>,
    /// Polls for which an unreachable source may stay selected.
    pub maxunreach: i32,
    /// Length of the median filter in polls; 0 = off.
    pub filter_length: i32,
    /// Do not poll until told to.
    pub offline: bool,
    /// Go offline when sending fails.
    pub auto_offline: bool,
    /// Options of selection.
    pub select: SelectOptions,
    /// Interleaved mode (RFC 9769).
    pub xleave: bool,
    /// Number of samples that polling aims at.
    pub polltarget: i32,
    /// UDP port of NTP.
    pub port: u16,
    /// TCP port of NTS-KE.
    pub ntsport: u16,
    /// Poll exponent from which an extra exchange precedes each; above 24 = off.
    pub presend: i32,
    /// Smallest stratum in selection.
    pub minstratum: i32,
    /// NTP version sent; none = chosen from the key.
    pub version: Option<u8>,
    /// Take over the source's reference ID and stratum.
    pub copy: bool,
    /// Extension fields to send.
    pub extension_fields: ExtensionFields,
    /// Family of addresses when the name is resolved.
    pub family: AddressFamily,
    /// Sources kept of a pool.
    pub maxsources: i32,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            minpoll: MINPOLL_DEFAULT,
            maxpoll: MAXPOLL_DEFAULT,
            iburst: false,
            burst: false,
            key: 0,
            nts: false,
            certset: 0,
            maxdelay_s: 3.0,
            maxdelayratio: 0.0,
            maxdelaydevratio: 10.0,
            maxdelayquant: 0.0,
            mindelay_s: 0.0,
            asymmetry: 1.0,
            offset_s: 0.0,
            minsamples: None,
            maxsamples: None,
            maxunreach: 100_000,
            filter_length: 0,
            offline: false,
            auto_offline: false,
            select: SelectOptions::default(),
            xleave: false,
            polltarget: 8,
            port: NTP_PORT,
            ntsport: NTS_KE_PORT,
            presend: 100,
            minstratum: 0,
            version: None,
            copy: false,
            extension_fields: ExtensionFields::default(),
            family: AddressFamily::Any,
            maxsources: 4,
        }
    }
}

impl SourceOptions {
    /// The options with the clamps of section 4.1, column "Effective range".
    ///
    /// `minsamples` and `maxsamples` stay as they are: their defaults are global, see
    /// [`effective_samples`].
    pub fn effective(&self) -> Self {
        let poll = |value: i32, default| {
            if value < POLL_MIN {
                default
            } else {
                value.min(POLL_MAX)
            }
        };
        let minpoll = poll(self.minpoll, MINPOLL_DEFAULT);
        Self {
            minpoll,
            maxpoll: poll(self.maxpoll, MAXPOLL_DEFAULT).max(minpoll),
            maxdelay_s: clamped(self.maxdelay_s, 0.0, 1000.0),
            maxdelayratio: clamped(self.maxdelayratio, 0.0, 1e6),
            maxdelaydevratio: clamped(self.maxdelaydevratio, 0.0, 1e6),
            maxdelayquant: if self.maxdelayquant > 0.0 {
                clamped(self.maxdelayquant, 0.05, 0.95)
            } else {
                0.0
            },
            filter_length: self.filter_length.min(256),
            minstratum: self.minstratum.min(15),
            maxsources: self.maxsources.min(POOL_SOURCES_MAX),
            ..self.clone()
        }
    }
}

/// `clamp` that lets "not a number" through as the lower bound.
fn clamped(value: f64, min: f64, max: f64) -> f64 {
    value.max(min).min(max)
}

/// Fewest and most samples a source keeps (`minsamples`, `maxsamples` of the source or
/// else the global ones): the most is in 1…64, 0 stands for 64; the fewest in 1…most.
pub fn effective_samples(min: Option<i32>, max: Option<i32>, global: (i32, i32)) -> (u32, u32) {
    const SAMPLES_MAX: u32 = 64;
    let whole = |value: i32| u32::try_from(value).unwrap_or(0);
    let most = match whole(max.unwrap_or(global.1)) {
        0 => SAMPLES_MAX,
        value => value.min(SAMPLES_MAX),
    };
    (whole(min.unwrap_or(global.0)).clamp(1, most), most)
}

/// A source as configured. Equality of all parts decides whether a reload keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSpec {
    /// Address or host name as written (bytes beyond UTF-8 are carried, see [`crate::text`]).
    pub name: String,
    /// Directive.
    pub kind: SourceKind,
    /// Options.
    pub options: SourceOptions,
}

impl SourceSpec {
    /// Whether the name can be an address or host name: printable ASCII without spaces.
    pub fn has_valid_name(&self) -> bool {
        is_valid_name(&self.name)
    }

    /// The name as a literal address.
    pub fn literal_address(&self) -> Option<std::net::IpAddr> {
        self.name.parse().ok()
    }
}

/// Whether a source's name is printable ASCII without spaces.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads the arguments of `server`, `pool` or `peer`.
pub fn parse(kind: SourceKind, arguments: &mut Arguments<'_>) -> Result<SourceSpec, Fault> {
    arguments.with_style(ErrorStyle::Named);
    let Some(name) = arguments.next_word() else {
        return Err(Fault::new(Reason::InvalidSyntax).expecting("expected a host name or address"));
    };
    let mut options = SourceOptions::default();
    read_options(SOURCE_OPTIONS, &mut options, arguments)?;
    Ok(SourceSpec {
        name: name.text.to_owned(),
        kind,
        options,
    })
}

/// Reads `NAME [OPTION]...`, as chronyc's `add server` has it after its own words.
///
/// The fault's place is relative to `line`.
pub fn parse_line(kind: SourceKind, line: &str) -> Result<SourceSpec, Fault> {
    let words = lexer::split(line);
    parse(kind, &mut Arguments::new(&words))
}

fn narrow(value: i32) -> u16 {
    u16::try_from(value).unwrap_or(0)
}

fn extension_field(
    options: &mut SourceOptions,
    arguments: &mut Arguments<'_>,
) -> Result<(), Fault> {
    let word = arguments.next_word();
    let text = word.map_or("", |word| word.text);
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    match u32::from_str_radix(digits, 16) {
        Ok(0x10A | 0xF324) => options.extension_fields.network_correction = true,
        Ok(0xF323) => options.extension_fields.monotonic_root = true,
        _ => return Err(arguments.value_fault(word, "expected 10A or F323")),
    }
    Ok(())
}

fn key(options: &mut SourceOptions, arguments: &mut Arguments<'_>) -> Result<(), Fault> {
    let (value, word) = arguments.option_unsigned()?;
    if value == 0 {
        return Err(arguments.value_fault(Some(word), "expected a key ID from 1 to 4294967295"));
    }
    options.key = value;
    Ok(())
}

macro_rules! entry {
    ($name:literal, flag $($field:ident).+) => {
        OptionEntry { name: $name, apply: |options, _| { options.$($field).+ = true; Ok(()) } }
    };
    ($name:literal, family $family:ident) => {
        OptionEntry {
            name: $name,
            apply: |options, _| { options.family = AddressFamily::$family; Ok(()) },
        }
    };
    ($name:literal, double $field:ident) => {
        OptionEntry {
            name: $name,
            apply: |options, arguments| { options.$field = arguments.option_double()?; Ok(()) },
        }
    };
    ($name:literal, integer $field:ident $min:expr, $max:expr) => {
        OptionEntry {
            name: $name,
            apply: |options, arguments| {
                options.$field = arguments.option_integer($min, $max)?;
                Ok(())
            },
        }
    };
    ($name:literal, with $convert:expr, $field:ident $min:expr, $max:expr) => {
        OptionEntry {
            name: $name,
            apply: |options, arguments| {
                options.$field = $convert(arguments.option_integer($min, $max)?);
                Ok(())
            },
        }
    };
}

/// Every option of `server`, `pool` and `peer`.
pub static SOURCE_OPTIONS: &[OptionEntry<SourceOptions>] = &[
    entry!("minpoll", integer minpoll i32::MIN, i32::MAX),
    entry!("maxpoll", integer maxpoll -32, 32),
    entry!("iburst", flag iburst),
    entry!("burst", flag burst),
    OptionEntry {
        name: "key",
        apply: key,
    },
    entry!("nts", flag nts),
    OptionEntry {
        name: "certset",
        apply: |options, arguments| {
            options.certset = arguments.option_unsigned()?.0;
            Ok(())
        },
    },
    entry!("maxdelay", double maxdelay_s),
    entry!("maxdelayratio", double maxdelayratio),
    entry!("maxdelaydevratio", double maxdelaydevratio),
    entry!("maxdelayquant", double maxdelayquant),
    entry!("mindelay", double mindelay_s),
    entry!("asymmetry", double asymmetry),
    entry!("offset", double offset_s),
    entry!("minsamples", with Some, minsamples 0, INTEGER_MAX),
    entry!("maxsamples", with Some, maxsamples 0, INTEGER_MAX),
    entry!("maxunreach", integer maxunreach 0, INTEGER_MAX),
    entry!("filter", integer filter_length 0, INTEGER_MAX),
    entry!("offline", flag offline),
    entry!("auto_offline", flag auto_offline),
    entry!("prefer", flag select.prefer),
    entry!("noselect", flag select.noselect),
    entry!("trust", flag select.trust),
    entry!("require", flag select.require),
    entry!("xleave", flag xleave),
    entry!("polltarget", integer polltarget 1, INTEGER_MAX),
    entry!("port", with narrow, port 0, 65535),
    entry!("ntsport", with narrow, ntsport 0, 65535),
    entry!("presend", integer presend -32, 32),
    entry!("minstratum", integer minstratum 0, 16),
    entry!("version", with |value| u8::try_from(value).ok(), version 1, 4),
    entry!("copy", flag copy),
    OptionEntry {
        name: "extfield",
        apply: extension_field,
    },
    entry!("ipv4", family Ipv4),
    entry!("ipv6", family Ipv6),
    entry!("maxsources", integer maxsources 1, INTEGER_MAX),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> SourceOptions {
        parse_line(SourceKind::Server, line).expect(line).options
    }

    #[test]
    fn rest_of_a_number_is_the_next_option() {
        let read = options("a maxpoll 4iburst key -1");
        assert_eq!((read.maxpoll, read.iburst, read.key), (4, true, u32::MAX));
    }

    #[test]
    fn clamps_of_the_effective_range() {
        let read = options("a minpoll -8 maxpoll -20 maxdelayquant 2 minstratum 16 maxsources 17")
            .effective();
        assert_eq!((read.minpoll, read.maxpoll), (6, 10));
        assert_eq!((read.minstratum, read.maxsources), (15, 16));
        assert_eq!(read.maxdelayquant, 0.95);
        let fast = options("a minpoll 30 maxpoll 4").effective();
        assert_eq!((fast.minpoll, fast.maxpoll), (24, 24));
    }

    #[test]
    fn samples_fall_back_to_the_global_settings() {
        assert_eq!(effective_samples(None, None, (6, 0)), (6, 64));
        assert_eq!(effective_samples(Some(0), Some(100), (6, 0)), (1, 64));
        assert_eq!(effective_samples(Some(5), None, (6, 1)), (1, 1));
    }

    #[test]
    fn fault_marks_the_word() {
        let fault = parse_line(SourceKind::Server, "a iburst prefr").expect_err("prefr");
        assert_eq!(
            (fault.reason, fault.start, fault.length),
            (Reason::InvalidOption, Some(9), 5)
        );
    }

    #[test]
    fn extension_fields_are_hexadecimal() {
        let read = options("a extfield 0x10a extfield F323").extension_fields;
        assert!(read.network_correction && read.monotonic_root);
        assert!(parse_line(SourceKind::Peer, "a extfield +F323x").is_err());
    }
}
