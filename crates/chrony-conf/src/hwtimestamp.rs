//! `hwtimestamp` (configuration chapter, section 4.10).

use crate::arguments::{Arguments, OptionEntry, read_options};
use crate::diagnostics::Fault;
use crate::sources::INTEGER_MAX;

/// Which received packets the interface timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveFilter {
    /// `all`.
    All,
    /// `ntp`.
    Ntp,
    /// `ptp`.
    Ptp,
    /// `none`.
    None,
}

/// Hardware timestamping of an interface.
#[derive(Clone, Debug, PartialEq)]
pub struct HardwareTimestamping {
    /// Interface, or `*` for all remaining ones.
    pub interface: String,
    /// Shortest interval of readings of the interface's clock, log2 s.
    pub minpoll: i32,
    /// Longest interval, log2 s; none = `minpoll` + 1.
    pub maxpoll: Option<i32>,
    /// Fewest readings kept.
    pub minsamples: i32,
    /// Most readings kept.
    pub maxsamples: i32,
    /// Assumed precision of readings, s.
    pub precision_s: f64,
    /// Correction of transmit timestamps, s.
    pub tx_compensation_s: f64,
    /// Correction of receive timestamps, s.
    pub rx_compensation_s: f64,
    /// Do not use cross timestamps.
    pub nocrossts: bool,
    /// Filter of received packets; none = the best that the interface has.
    pub receive_filter: Option<ReceiveFilter>,
}

impl HardwareTimestamping {
    /// The settings of an interface named without options.
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            minpoll: 0,
            maxpoll: None,
            minsamples: 2,
            maxsamples: 16,
            precision_s: 1e-7,
            tx_compensation_s: 0.0,
            rx_compensation_s: 0.0,
            nocrossts: false,
            receive_filter: None,
        }
    }

    /// Shortest and longest interval, log2 s, within the range −6…20.
    pub fn effective_polls(&self) -> (i32, i32) {
        let minpoll = self.minpoll.clamp(-6, 20);
        (
            minpoll,
            self.maxpoll.unwrap_or(self.minpoll + 1).clamp(minpoll, 20),
        )
    }

    /// Fewest and most readings, both within 2…64.
    pub fn effective_samples(&self) -> (i32, i32) {
        let min = self.minsamples.clamp(2, 64);
        (min, self.maxsamples.clamp(2, 64).max(min))
    }
}

/// Reads `rxfilter`: only the first four characters of the word are looked at, the rest
/// becomes the next option (quirk).
fn receive_filter(
    settings: &mut HardwareTimestamping,
    arguments: &mut Arguments<'_>,
) -> Result<(), Fault> {
    const NAMES: [(&str, ReceiveFilter); 4] = [
        ("all", ReceiveFilter::All),
        ("ntp", ReceiveFilter::Ntp),
        ("ptp", ReceiveFilter::Ptp),
        ("none", ReceiveFilter::None),
    ];
    let word = arguments.next_word();
    let text = word.map_or("", |word| word.text);
    let length = text
        .char_indices()
        .nth(4)
        .map_or(text.len(), |(index, _)| index);
    let head = text.get(..length).unwrap_or(text);
    match (
        word,
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(head)),
    ) {
        (Some(word), Some((_, filter))) => {
            arguments.give_back(word, length);
            settings.receive_filter = Some(*filter);
            Ok(())
        }
        _ => Err(arguments
            .value_fault(word, "expected all, ntp, ptp or none")
            .among(NAMES.iter().map(|(name, _)| *name).collect())),
    }
}

macro_rules! entry {
    ($name:literal, double $field:ident) => {
        OptionEntry {
            name: $name,
            apply: |settings, arguments| {
                settings.$field = arguments.option_double()?;
                Ok(())
            },
        }
    };
    ($name:literal, integer $field:ident $min:expr, $max:expr) => {
        OptionEntry {
            name: $name,
            apply: |settings, arguments| {
                settings.$field = arguments.option_integer($min, $max)?;
                Ok(())
            },
        }
    };
}

/// Every option of `hwtimestamp`.
pub static HWTIMESTAMP_OPTIONS: &[OptionEntry<HardwareTimestamping>] = &[
    entry!("minpoll", integer minpoll -32, 32),
    OptionEntry {
        name: "maxpoll",
        apply: |settings, arguments| {
            settings.maxpoll = Some(arguments.option_integer(-32, 32)?);
            Ok(())
        },
    },
    entry!("minsamples", integer minsamples 0, INTEGER_MAX),
    entry!("maxsamples", integer maxsamples 0, INTEGER_MAX),
    entry!("precision", double precision_s),
    entry!("txcomp", double tx_compensation_s),
    entry!("rxcomp", double rx_compensation_s),
    OptionEntry {
        name: "nocrossts",
        apply: |settings, _| {
            settings.nocrossts = true;
            Ok(())
        },
    },
    OptionEntry {
        name: "rxfilter",
        apply: receive_filter,
    },
];

/// Reads the arguments of `hwtimestamp`.
pub fn parse(arguments: &mut Arguments<'_>) -> Result<HardwareTimestamping, Fault> {
    let Some(interface) = arguments.next_word() else {
        return Err(arguments.missing("expected an interface or *"));
    };
    let mut settings = HardwareTimestamping::new(interface.text);
    read_options(HWTIMESTAMP_OPTIONS, &mut settings, arguments)?;
    Ok(settings)
}
