//! `refclock DRIVER PARAM[:OPT]... [option]...` (configuration chapter, section 4.3).

use crate::arguments::{Arguments, ErrorStyle, OptionEntry, read_options};
use crate::diagnostics::{Fault, Reason};
use crate::sources::{INTEGER_MAX, SelectOptions};

/// A reference clock as configured. Driver and parameter are examined at start only.
#[derive(Clone, Debug, PartialEq)]
pub struct RefclockSpec {
    /// Driver name as written; case matters.
    pub driver: String,
    /// Parameter before the first colon: device, socket path or unit.
    pub parameter: String,
    /// Driver options between the colons, as written.
    pub driver_options: Vec<String>,
    /// Processing interval, log2 s.
    pub poll: i32,
    /// Driver polling interval, log2 s; lowered to `poll` where the driver is polled.
    pub driver_poll: i32,
    /// Reference ID, 1–4 characters; none = from driver and index.
    pub refid: Option<String>,
    /// Reference ID of the clock that pulses are paired with.
    pub lock: Option<String>,
    /// Pulses per second.
    pub rate_hz: i32,
    /// Pulses for which the lock may be missing.
    pub maxlockage: i32,
    /// Pulse width, s; 0 = no filter.
    pub width_s: f64,
    /// Treat samples as pulses.
    pub pps: bool,
    /// Correction added to samples, s.
    pub offset_s: f64,
    /// Assumed delay, s; half of it counts as error.
    pub delay_s: f64,
    /// Stratum of the clock.
    pub stratum: i32,
    /// Precision, s; 0 = the system's.
    pub precision_s: f64,
    /// Largest accepted dispersion of a poll, s; 0 = no limit.
    pub maxdispersion_s: f64,
    /// Length of the filter in samples, 1–256 after [`RefclockSpec::effective_filter_length`].
    pub filter_length: i32,
    /// The clock keeps TAI.
    pub tai: bool,
    /// The clock is stable and free-running.
    pub local: bool,
    /// Fewest samples; none = the global `minsamples`.
    pub minsamples: Option<i32>,
    /// Most samples; none = the global `maxsamples`.
    pub maxsamples: Option<i32>,
    /// Polls for which it may stay selected when unreachable.
    pub maxunreach: i32,
    /// Options of selection.
    pub select: SelectOptions,
}

impl RefclockSpec {
    /// A reference clock with the defaults of section 4.3.
    pub fn new(driver: &str, parameter: &str) -> Self {
        let mut parts = parameter.split(':');
        Self {
            driver: driver.to_owned(),
            parameter: parts.next().unwrap_or("").to_owned(),
            driver_options: parts.map(str::to_owned).collect(),
            poll: 4,
            driver_poll: 0,
            refid: None,
            lock: None,
            rate_hz: 1,
            maxlockage: 2,
            width_s: 0.0,
            pps: false,
            offset_s: 0.0,
            delay_s: 1e-9,
            stratum: 0,
            precision_s: 0.0,
            maxdispersion_s: 0.0,
            filter_length: 64,
            tai: false,
            local: false,
            minsamples: None,
            maxsamples: None,
            maxunreach: 100_000,
            select: SelectOptions::default(),
        }
    }

    /// Filter length within 1…256.
    pub fn effective_filter_length(&self) -> usize {
        usize::try_from(self.filter_length)
            .unwrap_or(0)
            .clamp(1, 256)
    }

    /// Reference ID: the configured one, or the driver's first three letters and the index
    /// modulo 10 (from index 10 the third letter is the tens digit).
    pub fn effective_refid(&self, index: usize) -> [u8; 4] {
        let mut bytes = [0; 4];
        let digit = |value: usize| b'0' + (value % 10) as u8;
        match &self.refid {
            Some(refid) => copy(&mut bytes, refid.as_bytes()),
            None => {
                copy(
                    &mut bytes,
                    self.driver
                        .as_bytes()
                        .get(..3)
                        .unwrap_or(self.driver.as_bytes()),
                );
                bytes[3] = digit(index);
                if index >= 10 {
                    bytes[2] = digit(index / 10);
                }
            }
        }
        bytes
    }

    /// Looks up a driver option `name` or `name=value`; the value of a bare name is empty.
    pub fn driver_option(&self, name: &str) -> Option<&str> {
        self.driver_options
            .iter()
            .find_map(|option| match option.split_once('=') {
                Some((found, value)) if found == name => Some(value),
                None if option == name => Some(""),
                _ => None,
            })
    }
}

fn copy(target: &mut [u8; 4], text: &[u8]) {
    target
        .iter_mut()
        .zip(text)
        .for_each(|(to, from)| *to = *from);
}

/// Reads the arguments of `refclock`.
pub fn parse(arguments: &mut Arguments<'_>) -> Result<RefclockSpec, Fault> {
    let (Some(driver), Some(parameter)) = (arguments.next_word(), arguments.next_word()) else {
        return Err(arguments.missing("expected a driver and its parameter"));
    };
    arguments.with_style(ErrorStyle::Named);
    let mut spec = RefclockSpec::new(driver.text, parameter.text);
    read_options(REFCLOCK_OPTIONS, &mut spec, arguments)?;
    Ok(spec)
}

/// A reference ID: a whole word of at most four bytes.
fn reference_id(arguments: &mut Arguments<'_>) -> Result<Option<String>, Fault> {
    match arguments.next_word() {
        Some(word) if crate::text::to_bytes(word.text).len() <= 4 => Ok(Some(word.text.to_owned())),
        word => Err(Fault {
            reason: Reason::InvalidValue,
            ..arguments.value_fault(word, "expected 1 to 4 characters")
        }),
    }
}

macro_rules! entry {
    ($name:literal, flag $($field:ident).+) => {
        OptionEntry { name: $name, apply: |spec, _| { spec.$($field).+ = true; Ok(()) } }
    };
    ($name:literal, refid $field:ident) => {
        OptionEntry {
            name: $name,
            apply: |spec, arguments| { spec.$field = reference_id(arguments)?; Ok(()) },
        }
    };
    ($name:literal, double $field:ident) => {
        OptionEntry {
            name: $name,
            apply: |spec, arguments| { spec.$field = arguments.option_double()?; Ok(()) },
        }
    };
    ($name:literal, integer $field:ident $min:expr, $max:expr) => {
        OptionEntry {
            name: $name,
            apply: |spec, arguments| { spec.$field = arguments.option_integer($min, $max)?; Ok(()) },
        }
    };
    ($name:literal, optional $field:ident $min:expr, $max:expr) => {
        OptionEntry {
            name: $name,
            apply: |spec, arguments| {
                spec.$field = Some(arguments.option_integer($min, $max)?);
                Ok(())
            },
        }
    };
}

/// Every option of `refclock`.
pub static REFCLOCK_OPTIONS: &[OptionEntry<RefclockSpec>] = &[
    entry!("poll", integer poll -32, 32),
    entry!("dpoll", integer driver_poll -32, 32),
    entry!("refid", refid refid),
    entry!("lock", refid lock),
    entry!("rate", integer rate_hz 1, INTEGER_MAX),
    entry!("maxlockage", integer maxlockage 0, INTEGER_MAX),
    entry!("width", double width_s),
    entry!("pps", flag pps),
    entry!("offset", double offset_s),
    entry!("delay", double delay_s),
    entry!("stratum", integer stratum 0, 15),
    entry!("precision", double precision_s),
    entry!("maxdispersion", double maxdispersion_s),
    entry!("filter", integer filter_length 0, INTEGER_MAX),
    entry!("tai", flag tai),
    entry!("local", flag local),
    entry!("minsamples", optional minsamples 0, INTEGER_MAX),
    entry!("maxsamples", optional maxsamples 0, INTEGER_MAX),
    entry!("maxunreach", integer maxunreach 0, INTEGER_MAX),
    entry!("prefer", flag select.prefer),
    entry!("noselect", flag select.noselect),
    entry!("trust", flag select.trust),
    entry!("require", flag select.require),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer;

    fn spec(line: &str) -> Result<RefclockSpec, Fault> {
        parse(&mut Arguments::new(&lexer::split(line)))
    }

    #[test]
    fn parameter_is_split_at_colons() {
        let read = spec("PHC /dev/ptp0:extpps:pin=2:clear poll 3pps").expect("refclock");
        assert_eq!(read.parameter, "/dev/ptp0");
        assert_eq!(read.driver_option("pin"), Some("2"));
        assert_eq!(read.driver_option("clear"), Some(""));
        assert_eq!(read.driver_option("channel"), None);
        assert!(read.pps && read.poll == 3);
    }

    #[test]
    fn reference_ids_are_built_from_driver_and_index() {
        let read = spec("SHM 0").expect("refclock");
        assert_eq!(&read.effective_refid(0), b"SHM0");
        assert_eq!(&read.effective_refid(12), b"SH12");
        assert_eq!(
            &spec("SHM 0 refid A refid BB")
                .expect("refclock")
                .effective_refid(0),
            b"BB\0\0"
        );
    }
}
