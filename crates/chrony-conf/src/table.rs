//! The directive table: every word of the language, how it is read, whether `-p` prints it.
//!
//! To add a directive: one entry here and a field in [`Config`].

use crate::arguments::{Arguments, keyword};
use crate::config::{AuthSelectMode, Config};
use crate::diagnostics::{Fault, Reason};
use crate::lexer::Word;
use crate::limits;
use crate::sources::{INTEGER_MAX, SourceKind};
use crate::text::to_path;
use crate::{clock, hwtimestamp, local, logging, nts, numbers, refclock, sources};

/// How the arguments of a directive are read.
pub enum Parser {
    /// No argument.
    Flag(fn(&mut Config)),
    /// One integer in a range, a whole word.
    Integer(i32, i32, fn(&mut Config, i32)),
    /// One number at the start of a word.
    Double(fn(&mut Config, f64)),
    /// One word, not interpreted.
    Text(fn(&mut Config, &str)),
    /// One literal address.
    Address(fn(&mut Config, std::net::IpAddr)),
    /// A grammar of its own.
    Custom(fn(&mut Config, &mut Arguments<'_>) -> Result<(), Fault>),
    /// Read by the loader, which knows files, resolver and command line.
    Loader(LoaderDirective),
    /// No longer supported: a warning, arguments ignored.
    Obsolete,
    /// Silently ignored with any arguments.
    Ignored,
}

/// Directives that need more than the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoaderDirective {
    /// `include`.
    Include,
    /// `confdir`.
    ConfDir,
    /// `initstepslew`.
    InitStepSlew,
    /// `makestep`, which `-R` changes.
    MakeStep,
    /// `allow` (true) or `deny` of NTP.
    Access(bool),
    /// `cmdallow` (true) or `cmddeny`.
    CommandAccess(bool),
}

/// A directive.
pub struct Directive {
    /// Name in lower case; matched without regard to case.
    pub name: &'static str,
    /// How it is read.
    pub parser: Parser,
}

impl Directive {
    /// Whether `-p` prints the line; what `include` and `confdir` pull in is printed instead.
    pub fn is_printed(&self) -> bool {
        !matches!(
            self.parser,
            Parser::Loader(LoaderDirective::Include | LoaderDirective::ConfDir)
        )
    }
}

/// Looks a directive up.
pub fn find(name: &str) -> Option<&'static Directive> {
    DIRECTIVES
        .iter()
        .find(|directive| directive.name.eq_ignore_ascii_case(name))
}

/// Names of all directives, for suggestions.
pub fn names() -> Vec<&'static str> {
    DIRECTIVES.iter().map(|directive| directive.name).collect()
}

/// Reads INT: a whole word, base 10, in a range.
pub(crate) fn integer(word: Word<'_>, min: i32, max: i32) -> Result<i32, Fault> {
    let fault = |reason| Fault::at(reason, word.start, word.text.len());
    let value = numbers::whole_integer(word.text).ok_or_else(|| {
        fault(Reason::CouldNotParse).expecting(format!("expected an integer from {min} to {max}"))
    })?;
    let (low, high) = (i64::from(min), i64::from(max));
    i32::try_from(value)
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| {
            fault(Reason::OutOfRange {
                value,
                min: low,
                max: high,
            })
            .expecting(format!("expected an integer from {min} to {max}"))
        })
}

fn address(arguments: &mut Arguments<'_>) -> Result<std::net::IpAddr, Fault> {
    let word = arguments.single()?;
    word.text.parse().map_err(|_| {
        Fault::at(Reason::CouldNotParse, word.start, word.text.len())
            .expecting("expected an IPv4 or IPv6 address")
    })
}

/// Reads the arguments of a directive that needs nothing but the configuration.
pub(crate) fn apply(
    directive: &Directive,
    config: &mut Config,
    arguments: &mut Arguments<'_>,
) -> Result<(), Fault> {
    match directive.parser {
        Parser::Flag(set) => {
            arguments.expect_count(0, 0)?;
            set(config);
        }
        Parser::Integer(min, max, set) => set(config, integer(arguments.single()?, min, max)?),
        Parser::Double(set) => {
            arguments.expect_count(1, 1)?;
            set(config, clock::leading_double(arguments)?);
        }
        Parser::Text(set) => set(config, arguments.single()?.text),
        Parser::Address(set) => set(config, address(arguments)?),
        Parser::Custom(parse) => parse(config, arguments)?,
        Parser::Loader(_) | Parser::Obsolete | Parser::Ignored => {}
    }
    Ok(())
}

fn bind_command_address(config: &mut Config, arguments: &mut Arguments<'_>) -> Result<(), Fault> {
    let word = arguments.single()?;
    if word.text.starts_with('/') {
        config.command.socket = (word.text != "/").then(|| to_path(word.text));
        return Ok(());
    }
    let address = word.text.parse().map_err(|_| {
        Fault::at(Reason::CouldNotParse, word.start, word.text.len())
            .expecting("expected an IPv4 or IPv6 address, or an absolute path")
    })?;
    config.command.bind_addresses.set(address);
    Ok(())
}

/// Most server threads.
const SERVER_THREADS_MAX: i32 = 1024;

fn client_log_limit(config: &mut Config, arguments: &mut Arguments<'_>) -> Result<(), Fault> {
    let word = arguments.single()?;
    let (bytes, _) = numbers::unsigned_prefix(word.text).ok_or_else(|| {
        Fault::at(Reason::CouldNotParse, word.start, word.text.len())
            .expecting("expected a number of bytes")
    })?;
    config.server.client_log_limit_bytes = bytes;
    Ok(())
}

/// `serverthreads N|auto`, a directive of our own.
fn server_threads(config: &mut Config, arguments: &mut Arguments<'_>) -> Result<(), Fault> {
    let word = arguments.single()?;
    config.server.threads = if word.text.eq_ignore_ascii_case("auto") {
        0
    } else {
        let threads = integer(word, 1, SERVER_THREADS_MAX)?;
        u32::try_from(threads).unwrap_or(1)
    };
    Ok(())
}

fn source(
    kind: SourceKind,
    config: &mut Config,
    arguments: &mut Arguments<'_>,
) -> Result<(), Fault> {
    let spec = sources::parse(kind, arguments)?;
    config.sources.push(spec);
    Ok(())
}

fn port(value: i32) -> u16 {
    u16::try_from(value).unwrap_or(0)
}

fn octet(value: i32) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

const AUTH_MODES: &[(&str, AuthSelectMode)] = &[
    ("require", AuthSelectMode::Require),
    ("prefer", AuthSelectMode::Prefer),
    ("mix", AuthSelectMode::Mix),
    ("ignore", AuthSelectMode::Ignore),
];

const PORT_MAX: i32 = 65535;

use LoaderDirective as L;
use Parser::{Address, Custom, Double, Flag, Ignored, Integer, Loader, Obsolete, Text};

const fn entry(name: &'static str, parser: Parser) -> Directive {
    Directive { name, parser }
}

/// Every directive of the language.
#[rustfmt::skip] // one line per directive
pub static DIRECTIVES: &[Directive] = &[
    entry("acquisitionport", Integer(0, PORT_MAX, |c, v| c.client.acquisition_port = Some(port(v)))),
    entry("allow", Loader(L::Access(true))),
    entry("authselectmode", Custom(|c, a| { c.selection.auth_mode = keyword(a, AUTH_MODES)?; Ok(()) })),
    entry("bindacqaddress", Address(|c, v| c.client.bind_addresses.set(v))),
    entry("bindacqdevice", Text(|c, v| c.client.bind_device = Some(v.into()))),
    entry("bindaddress", Address(|c, v| c.server.bind_addresses.set(v))),
    entry("bindcmdaddress", Custom(bind_command_address)),
    entry("bindcmddevice", Text(|c, v| c.command.bind_device = Some(v.into()))),
    entry("binddevice", Text(|c, v| c.server.bind_device = Some(v.into()))),
    entry("broadcast", Custom(|c, a| { c.server.broadcasts.push(clock::broadcast(a)?); Ok(()) })),
    entry("clientloglimit", Custom(client_log_limit)),
    entry("clockprecision", Double(|c, v| c.clock.precision_s = Some(v))),
    entry("cmdallow", Loader(L::CommandAccess(true))),
    entry("cmddeny", Loader(L::CommandAccess(false))),
    entry("cmdport", Integer(0, PORT_MAX, |c, v| c.command.port = port(v))),
    entry("cmdratelimit", Custom(|c, a| limits::parse(&mut c.command.rate_limit, false, a))),
    entry("combinelimit", Double(|c, v| c.selection.combine_limit = v)),
    entry("commandkey", Obsolete),
    entry("confdir", Loader(L::ConfDir)),
    entry("corrtimeratio", Double(|c, v| c.clock.correction_time_ratio = v)),
    entry("deny", Loader(L::Access(false))),
    entry("driftfile", Custom(|c, a| clock::drift_file(&mut c.clock, a))),
    entry("dscp", Integer(0, 63, |c, v| c.client.dscp = octet(v))),
    entry("dumpdir", Text(|c, v| c.process.dump_directory = Some(to_path(v)))),
    entry("dumponexit", Ignored),
    entry("estimator", Custom(|c, a| { c.clock.estimator = keyword(a, clock::ESTIMATORS)?; Ok(()) })),
    entry("fallbackdrift", Custom(|c, a| { c.clock.fallback_drift = clock::fallback_drift(a)?; Ok(()) })),
    entry("generatecommandkey", Obsolete),
    entry("hwclockfile", Text(|c, v| c.rtc.hwclock_file = Some(to_path(v)))),
    entry("hwtimestamp", Custom(|c, a| { c.process.hwtimestamp.push(hwtimestamp::parse(a)?); Ok(()) })),
    entry("hwtstimeout", Double(|c, v| c.process.hwtimestamp_timeout_s = v)),
    entry("include", Loader(L::Include)),
    entry("initstepslew", Loader(L::InitStepSlew)),
    entry("keyfile", Text(|c, v| c.process.key_file = Some(to_path(v)))),
    entry("leapseclist", Text(|c, v| c.clock.leap_list = Some(to_path(v)))),
    entry("leapsecmode", Custom(|c, a| { c.clock.leap_mode = keyword(a, clock::LEAP_MODES)?; Ok(()) })),
    entry("leapsectz", Text(|c, v| c.clock.leap_timezone = Some(v.into()))),
    entry("linux_freq_scale", Obsolete),
    entry("linux_hz", Obsolete),
    entry("local", Custom(|c, a| { c.server.local = Some(local::parse(a)?); Ok(()) })),
    entry("lock_all", Flag(|c| c.process.lock_memory = true)),
    entry("log", Custom(|c, a| logging::log(&mut c.logging.files, a))),
    entry("logbanner", Integer(0, INTEGER_MAX, |c, v| c.logging.banner_interval = v)),
    entry("logchange", Double(|c, v| c.logging.change_threshold_s = v)),
    entry("logdir", Text(|c, v| c.logging.directory = Some(to_path(v)))),
    entry("mailonchange", Custom(|c, a| { c.logging.mail_on_change = Some(clock::mail_on_change(a)?); Ok(()) })),
    entry("makestep", Loader(L::MakeStep)),
    entry("manual", Flag(|c| c.client.manual = true)),
    entry("maxchange", Custom(|c, a| { c.clock.maxchange = Some(clock::maxchange(a)?); Ok(()) })),
    entry("maxclockerror", Double(|c, v| c.clock.max_clock_error_ppm = v)),
    entry("maxdistance", Double(|c, v| c.selection.max_distance_s = v)),
    entry("maxdrift", Double(|c, v| c.clock.max_drift_ppm = v)),
    entry("maxjitter", Double(|c, v| c.selection.max_jitter_s = v)),
    entry("maxntsconnections", Integer(1, INTEGER_MAX, |c, v| c.nts.max_connections = v)),
    entry("maxsamples", Integer(0, INTEGER_MAX, |c, v| c.client.maxsamples = v)),
    entry("maxslewrate", Double(|c, v| c.clock.max_slew_rate_ppm = v)),
    entry("maxstratum", Integer(0, INTEGER_MAX, |c, v| c.selection.max_stratum = v)),
    entry("maxtxbuffers", Integer(0, 1_048_576, |c, v| c.process.max_tx_buffers = v)),
    entry("maxupdateskew", Double(|c, v| c.clock.max_update_skew_ppm = v)),
    entry("minsamples", Integer(0, INTEGER_MAX, |c, v| c.client.minsamples = v)),
    entry("minsources", Integer(1, INTEGER_MAX, |c, v| c.selection.min_sources = v)),
    entry("minstratum", Integer(0, INTEGER_MAX, |c, v| c.selection.min_stratum = v)),
    entry("nocerttimecheck", Integer(0, INTEGER_MAX, |c, v| c.nts.no_time_check_updates = v)),
    entry("noclientlog", Flag(|c| c.server.no_client_log = true)),
    entry("nosystemcert", Flag(|c| c.nts.no_system_certificates = true)),
    entry("ntpsigndsocket", Text(|c, v| c.server.signd_directory = Some(to_path(v)))),
    entry("ntsaeads", Custom(|c, a| { c.nts.aeads = nts::aeads(a)?; Ok(()) })),
    entry("ntscachedir", Text(|c, v| c.nts.dump_directory = Some(to_path(v)))),
    entry("ntsdumpdir", Text(|c, v| c.nts.dump_directory = Some(to_path(v)))),
    entry("ntsntpserver", Text(|c, v| c.nts.ntp_server = Some(v.into()))),
    entry("ntsport", Integer(0, PORT_MAX, |c, v| c.nts.port = port(v))),
    entry("ntsprocesses", Integer(0, 1000, |c, v| c.nts.processes = v)),
    entry("ntsratelimit", Custom(|c, a| limits::parse(&mut c.nts.rate_limit, false, a))),
    entry("ntsrefresh", Integer(0, INTEGER_MAX, |c, v| c.nts.refresh_s = v)),
    entry("ntsrotate", Integer(0, INTEGER_MAX, |c, v| c.nts.rotate_s = v)),
    entry("ntsservercert", Text(|c, v| c.nts.server_certificates.push(to_path(v)))),
    entry("ntsserverkey", Text(|c, v| c.nts.server_keys.push(to_path(v)))),
    entry("ntstrustedcerts", Custom(|c, a| { c.nts.trusted_certificates.push(nts::trusted_certificates(a)?); Ok(()) })),
    entry("opencommands", Custom(|c, a| { c.command.open_commands = logging::open_commands(a)?; Ok(()) })),
    entry("peer", Custom(|c, a| source(SourceKind::Peer, c, a))),
    entry("pidfile", Text(|c, v| c.process.pid_file = (v != "/").then(|| to_path(v)))),
    entry("pool", Custom(|c, a| source(SourceKind::Pool, c, a))),
    entry("port", Integer(0, PORT_MAX, |c, v| c.server.port = port(v))),
    entry("ptpdomain", Integer(0, 255, |c, v| c.server.ptp_domain = octet(v))),
    entry("ptpport", Integer(0, PORT_MAX, |c, v| c.server.ptp_port = port(v))),
    entry("ratelimit", Custom(|c, a| limits::parse(&mut c.server.rate_limit, true, a))),
    entry("refclock", Custom(|c, a| { c.refclocks.push(refclock::parse(a)?); Ok(()) })),
    entry("refresh", Integer(0, INTEGER_MAX, |c, v| c.client.refresh_s = v)),
    entry("reselectdist", Double(|c, v| c.selection.reselect_distance_s = v)),
    entry("rtcautotrim", Double(|c, v| c.rtc.autotrim_s = v)),
    entry("rtcdevice", Text(|c, v| c.rtc.device = to_path(v))),
    entry("rtcfile", Text(|c, v| c.rtc.file = Some(to_path(v)))),
    entry("rtconutc", Flag(|c| c.rtc.on_utc = true)),
    entry("rtcsync", Flag(|c| c.rtc.sync = true)),
    entry("sched_priority", Integer(0, 100, |c, v| c.process.scheduler_priority = v)),
    entry("server", Custom(|c, a| source(SourceKind::Server, c, a))),
    entry("serverthreads", Custom(server_threads)),
    entry("smoothtime", Custom(|c, a| { c.clock.smooth_time = Some(clock::smooth_time(a)?); Ok(()) })),
    entry("sourcedir", Custom(|c, a| {
        c.source_directories.push(a.rest().map(|word| to_path(word.text)).collect());
        Ok(())
    })),
    entry("stratumweight", Double(|c, v| c.selection.stratum_weight_s = v)),
    entry("tempcomp", Custom(|c, a| { c.clock.temperature_compensation = Some(clock::temperature(a)?); Ok(()) })),
    entry("user", Text(|c, v| c.process.user = v.into())),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Directives that chrony does not have.
    const OUR_OWN: [&str; 2] = ["estimator", "serverthreads"];

    /// The configuration chapter, section 4.11: the language has 100 words.
    #[test]
    fn all_words_are_there_once_and_in_order() {
        assert_eq!(DIRECTIVES.len(), 100 + OUR_OWN.len());
        assert!(OUR_OWN.iter().all(|name| find(name).is_some()));
        assert!(names().is_sorted_by(|a, b| a < b));
    }
}
