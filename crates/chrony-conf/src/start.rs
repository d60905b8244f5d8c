//! Checks made at start, after the configuration is read (configuration chapter, section
//! 6), as far as they need nothing but the configuration and its files.
//!
//! The daemon calls each at its step of the start order (section 1.6); [`rehearse`] calls
//! all of them in that order.

use ntp_wire::KeyKind;

use crate::config::{Config, TemperatureCurve};
use crate::diagnostics::Message;
use crate::drift::{self, Drift};
use crate::files::Reader;
use crate::keys::{self, KeyFile};
use crate::leap::{self, LeapSource};
use crate::refclock::RefclockSpec;
use crate::temperature::{self, Point};
use crate::{access, sources};

/// Largest priority of the scheduler.
const SCHEDULER_PRIORITY_MAX: i32 = 99;

/// What the build and the machine can do, for the checks.
pub struct Features<'a> {
    /// Whether the PPS driver of reference clocks is there.
    pub pps: bool,
    /// Whether a type of key can be computed.
    pub key_types: &'a dyn Fn(KeyKind) -> bool,
}

/// `rtcfile` and `rtcsync` exclude each other (step 13).
pub fn check_rtc(config: &Config) -> Result<(), Message> {
    if config.rtc.file.is_some() && config.rtc.sync {
        return Err(Message::fatal(
            "rtcfile directive cannot be used with rtcsync",
        ));
    }
    Ok(())
}

/// Driver names with their options.
const REFCLOCK_DRIVERS: [(&str, &[&str]); 5] = [
    ("PPS", &["clear"]),
    ("SOCK", &[]),
    ("SHM", &["perm"]),
    ("PHC", &["nocrossts", "extpps", "pin", "channel", "clear"]),
    ("RTC", &["utc"]),
];

/// A reference clock before its driver opens anything (step 14).
pub fn check_refclock(
    spec: &RefclockSpec,
    config: &Config,
    features: &Features<'_>,
) -> Result<(), Message> {
    let Some((driver, options)) = REFCLOCK_DRIVERS
        .iter()
        .find(|(name, _)| *name == spec.driver)
    else {
        return Err(Message::fatal(format!(
            "unknown refclock driver {}",
            spec.driver
        )));
    };
    if *driver == "PPS" && !features.pps {
        return Err(Message::fatal("refclock driver PPS is not compiled in"));
    }
    if spec.tai && config.clock.leap_list.is_none() && config.clock.leap_timezone.is_none() {
        return Err(Message::fatal(
            "refclock tai option requires leapseclist or leapsectz",
        ));
    }
    let name = |option: &String| option.split('=').next().unwrap_or("").to_owned();
    if let Some(unknown) = spec
        .driver_options
        .iter()
        .find(|option| !options.contains(&name(option).as_str()))
    {
        return Err(Message::fatal(format!(
            "Invalid refclock driver option {unknown}"
        )));
    }
    if *driver == "RTC" && (config.rtc.sync || config.rtc.file.is_some()) {
        return Err(Message::fatal(
            "RTC refclock cannot be used together with rtcsync or rtcfile",
        ));
    }
    Ok(())
}

/// Which reference clock each one is locked to, by index, and the warnings (step 30).
pub fn resolve_locks(refclocks: &[RefclockSpec]) -> (Vec<Option<usize>>, Vec<Message>) {
    let mut messages = Vec::new();
    let refids: Vec<[u8; 4]> = refclocks
        .iter()
        .enumerate()
        .map(|(index, spec)| spec.effective_refid(index))
        .collect();
    let locks = refclocks.iter().enumerate().map(|(index, spec)| {
        let refid = spec.lock.as_ref()?;
        let mut wanted = [0; 4];
        wanted
            .iter_mut()
            .zip(crate::text::to_bytes(refid))
            .for_each(|(to, from)| *to = from);
        let found = refids.iter().position(|other| *other == wanted);
        let Some(found) = found.filter(|found| *found != index || spec.local) else {
            messages.push(Message::warning(format!("Invalid lock refid {refid}")));
            return None;
        };
        let other = refclocks.get(found)?;
        if lock_is_too_short(spec, other) {
            let name = |bytes: Option<&[u8; 4]>| {
                String::from_utf8_lossy(bytes.map_or(&[][..], |bytes| &bytes[..]))
                    .trim_end_matches('\0')
                    .to_owned()
            };
            messages.push(Message::warning(format!(
                "{} maxlockage too small for {}",
                name(refids.get(index)),
                name(refids.get(found))
            )));
        }
        Some(found)
    });
    let locks = locks.collect();
    (locks, messages)
}

/// Whether the locked clock is polled less often than the lock lasts; all drivers but SOCK
/// are polled, at most every 2^poll s.
fn lock_is_too_short(spec: &RefclockSpec, other: &RefclockSpec) -> bool {
    let polled = |spec: &RefclockSpec| spec.driver != "SOCK";
    let interval_s = 2f64.powi(other.driver_poll.min(other.poll));
    polled(spec)
        && polled(other)
        && f64::from(spec.maxlockage) / f64::from(spec.rate_hz) < interval_s
}

/// Priority of the scheduler, `-P` or `sched_priority` (step 19).
pub fn check_scheduler_priority(priority: i32) -> Result<(), Message> {
    if (0..=SCHEDULER_PRIORITY_MAX).contains(&priority) {
        return Ok(());
    }
    Err(Message::fatal(format!(
        "Bad scheduler priority: {priority}"
    )))
}

/// Rate limiting needs the client log (step 21).
pub fn check_client_log(config: &Config) -> Result<(), Message> {
    let limits = [
        config.server.rate_limit,
        config.nts.rate_limit,
        config.command.rate_limit,
    ];
    if config.server.no_client_log && limits.iter().any(|limit| limit.enabled) {
        return Err(Message::fatal(
            "Rate limiting cannot be enabled with noclientlog",
        ));
    }
    Ok(())
}

/// Mail needs system calls that the filter forbids (step 23).
pub fn check_mail(config: &Config, filter_enabled: bool) -> Result<(), Message> {
    if filter_enabled && config.logging.mail_on_change.is_some() {
        return Err(Message::fatal(
            "mailonchange directive cannot be used with -F enabled",
        ));
    }
    Ok(())
}

/// The points of `tempcomp`; none without points (step 21).
pub fn load_temperature_points(
    config: &Config,
    reader: &dyn Reader,
) -> Result<Option<Vec<Point>>, Message> {
    match config
        .clock
        .temperature_compensation
        .as_ref()
        .map(|compensation| &compensation.curve)
    {
        Some(TemperatureCurve::Points(path)) => temperature::load(path, reader).map(Some),
        _ => Ok(None),
    }
}

/// What sources say when they are created, as far as the configuration shows it: weak and
/// missing keys, NTS with peers (configuration chapter, section 4.1).
pub fn source_warnings(spec: &sources::SourceSpec, keys: &KeyFile) -> Vec<Message> {
    let options = &spec.options;
    if options.nts {
        let peer = spec.kind == sources::SourceKind::Peer;
        return peer
            .then(|| Message::warning("NTS not supported with peers"))
            .into_iter()
            .collect();
    }
    let id = options.key;
    let problem = match keys.find(id) {
        _ if id == 0 => None,
        None => Some("missing"),
        Some(key) if key.is_weak() => Some("too short"),
        Some(_) => None,
    };
    problem
        .map(|problem| Message::warning(format!("Key {id} is {problem}")))
        .into_iter()
        .collect()
}

/// What the start found in the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartState {
    /// Keys.
    pub keys: KeyFile,
    /// Source of leap seconds.
    pub leap: Option<LeapSource>,
    /// Saved frequency.
    pub drift: Option<Drift>,
    /// Points of temperature compensation.
    pub temperature_points: Option<Vec<Point>>,
    /// Messages in the order of the log; a fatal one is the last.
    pub messages: Vec<Message>,
}

/// Runs every check of this module in the order of the start.
pub fn rehearse(config: &Config, reader: &dyn Reader, features: &Features<'_>) -> StartState {
    let mut state = StartState::default();
    if let Err(fatal) = run_checks(config, reader, features, &mut state) {
        state.messages.push(fatal);
    }
    state
}

fn run_checks(
    config: &Config,
    reader: &dyn Reader,
    features: &Features<'_>,
    state: &mut StartState,
) -> Result<(), Message> {
    config.nts.server_credentials()?;
    check_rtc(config)?;
    config
        .refclocks
        .iter()
        .try_for_each(|spec| check_refclock(spec, config, features))?;
    if let Some(path) = &config.process.key_file {
        state.keys = keys::load(path, reader, features.key_types);
        state.messages.append(&mut state.keys.messages.clone());
    }
    access::check(&config.server.access)?;
    access::check(&config.command.access)?;
    check_scheduler_priority(config.process.scheduler_priority)?;
    let (leap, messages) = leap::choose(&config.clock, reader);
    state.leap = leap;
    state.messages.extend(messages);
    if let Some(path) = &config.clock.drift_file {
        let (drift, message) = drift::load(path, reader);
        state.drift = drift;
        state.messages.extend(message);
    }
    check_client_log(config)?;
    state.temperature_points = load_temperature_points(config, reader)?;
    if let Some(compensation) = &config.clock.temperature_compensation {
        state
            .messages
            .extend(temperature::read_sensor(&compensation.sensor_file, reader).err());
    }
    for spec in &config.sources {
        state.messages.extend(source_warnings(spec, &state.keys));
    }
    state.messages.extend(resolve_locks(&config.refclocks).1);
    Ok(())
}
