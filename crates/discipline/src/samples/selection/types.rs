//! What selection is told about sources and what it says about them (discipline chapter,
//! sections 6 and 7).

use ntp_wire::LeapIndicator;

use super::super::reachability::Reachability;
use super::super::statistics::SourceStatistics;
use crate::time::CookedTime;

/// Kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// An NTP server or peer.
    Ntp,
    /// A reference clock.
    ReferenceClock,
}

/// Options of a source that steer its selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SelectOptions {
    /// Never select.
    pub noselect: bool,
    /// Prefer over sources without it.
    pub prefer: bool,
    /// Trust its interval over those of sources without it.
    pub trust: bool,
    /// At least one source with it must be selectable.
    pub require: bool,
}

impl SelectOptions {
    /// `-`, or N, P, T, R, as in `selection.log` and the selectdata report.
    pub fn letters(self) -> [char; 4] {
        let letter = |set, letter| if set { letter } else { '-' };
        [
            letter(self.noselect, 'N'),
            letter(self.prefer, 'P'),
            letter(self.trust, 'T'),
            letter(self.require, 'R'),
        ]
    }
}

/// `authselectmode` (section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AuthSelectMode {
    /// Unauthenticated sources are never selected.
    Require,
    /// Unauthenticated sources are not selected when there are authenticated ones.
    Prefer,
    /// Authenticated sources and reference clocks are required and trusted when there are
    /// sources of both kinds.
    #[default]
    Mix,
    /// Authentication makes no difference.
    Ignore,
}

/// Global settings of selection and combining (section 7.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectionSettings {
    /// `minsources`
    pub min_sources: u32,
    /// `maxdistance`, seconds.
    pub max_distance_s: f64,
    /// `maxjitter`, seconds.
    pub max_jitter_s: f64,
    /// `minstratum` directive.
    pub min_stratum: u8,
    /// `maxstratum` directive.
    pub max_stratum: u8,
    /// `reselectdist`, seconds.
    pub reselect_distance_s: f64,
    /// `stratumweight`, seconds.
    pub stratum_weight_s: f64,
    /// `combinelimit`; 0 disables combining.
    pub combine_limit: f64,
    /// `maxclockerror` φ as s/s (directive in ppm).
    pub max_clock_error: f64,
    /// `authselectmode`
    pub auth_select_mode: AuthSelectMode,
    /// Stratum of `local stratum n orphan`; `None` without orphan mode.
    pub orphan_stratum: Option<u8>,
    /// Whether messages are written: only in normal mode, not with -q, -Q, initstepslew.
    pub messages: bool,
}

impl Default for SelectionSettings {
    fn default() -> Self {
        Self {
            min_sources: 1,
            max_distance_s: 3.0,
            max_jitter_s: 1.0,
            min_stratum: 0,
            max_stratum: 15,
            reselect_distance_s: 1e-4,
            stratum_weight_s: 1e-3,
            combine_limit: 3.0,
            max_clock_error: 1e-6,
            auth_select_mode: AuthSelectMode::Mix,
            orphan_stratum: None,
            messages: true,
        }
    }
}

/// One source as selection sees it, borrowed from its owner for one call.
#[derive(Clone, Copy, Debug)]
pub struct SourceView<'a> {
    /// Opaque and unique; never reused for another source while it is known here.
    pub key: u32,
    /// NTP or reference clock.
    pub kind: SourceKind,
    /// Name in messages: address, or `address (name)` when configured by a different name;
    /// the reference ID as text of a reference clock.
    pub display_name: &'a str,
    /// Address, or reference ID as text: the column of `selection.log`.
    pub log_name: &'a str,
    /// Samples and fit.
    pub statistics: &'a SourceStatistics,
    /// Configured options.
    pub options: SelectOptions,
    /// Whether responses are authenticated.
    pub authenticated: bool,
    /// Reachability.
    pub reachability: Reachability,
    /// `maxunreach` option (default 100000).
    pub max_unreach: u32,
    /// Stratum, already raised to the `minstratum` option.
    pub stratum: u8,
    /// Leap status it announces now.
    pub leap: LeapIndicator,
    /// Reference ID of the source: what clients of ours see when it is selected.
    pub reference_id: u32,
    /// Reference ID of the local address used towards it, for orphan mode; `None` when it
    /// is not known.
    pub local_reference_id: Option<u32>,
}

/// State of a source (section 7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceState {
    /// N: excluded by noselect.
    NoSelect,
    /// M: no usable statistics.
    #[default]
    MissingSamples,
    /// s: the source itself is not synchronised.
    Unsynchronised,
    /// r: stratum out of range.
    BadStratum,
    /// d: root distance above maxdistance.
    BadDistance,
    /// ~: jitter above maxjitter.
    Jittery,
    /// w: waits for other sources to have statistics.
    WaitsForStatistics,
    /// S: samples older than those of the reachable sources.
    Stale,
    /// O: orphan.
    Orphan,
    /// T: agrees, but not wholly inside the trusted interval.
    Untrusted,
    /// x: falseticker.
    Falseticker,
    /// W: waits for more or required sources.
    WaitsForSources,
    /// P: another source is preferred.
    NotPreferred,
    /// U: waits for a new sample.
    WaitsForUpdate,
    /// D: too distant to be combined.
    Distant,
    /// +: combined.
    Combined,
    /// *: selected.
    Selected,
}

impl SourceState {
    /// The letter of `selection.log` and the selectdata report.
    pub fn letter(self) -> char {
        match self {
            Self::NoSelect => 'N',
            Self::MissingSamples => 'M',
            Self::Unsynchronised => 's',
            Self::BadStratum => 'r',
            Self::BadDistance => 'd',
            Self::Jittery => '~',
            Self::WaitsForStatistics => 'w',
            Self::Stale => 'S',
            Self::Orphan => 'O',
            Self::Untrusted => 'T',
            Self::Falseticker => 'x',
            Self::WaitsForSources => 'W',
            Self::NotPreferred => 'P',
            Self::WaitsForUpdate => 'U',
            Self::Distant => 'D',
            Self::Combined => '+',
            Self::Selected => '*',
        }
    }

    /// The character of the sources report.
    pub fn report_letter(self) -> char {
        match self {
            Self::Falseticker => 'x',
            Self::Jittery => '~',
            Self::WaitsForSources | Self::NotPreferred | Self::WaitsForUpdate | Self::Distant => {
                '-'
            }
            Self::Combined => '+',
            Self::Selected => '*',
            _ => '?',
        }
    }

    /// Whether an NTP source that stays so should be replaced (section 6).
    pub(crate) fn is_bad(self) -> bool {
        matches!(
            self,
            Self::Falseticker | Self::BadDistance | Self::BadStratum | Self::Jittery
        )
    }
}

/// The row of the selectdata report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectionReport {
    /// State after the last run.
    pub state: SourceState,
    /// Configured options.
    pub configured: SelectOptions,
    /// Options in effect.
    pub effective: SelectOptions,
    /// Whether the source has a leap vote.
    pub votes: bool,
    /// Score.
    pub score: f64,
    /// Age of the newest sample in the last run, seconds.
    pub last_sample_age_s: f64,
    /// Low end of the interval (F+), seconds.
    pub low_s: f64,
    /// High end of the interval (F+), seconds.
    pub high_s: f64,
}

/// What the reference is to be updated with (sections 7.4 step 12 and 8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceUpdate {
    /// The selected source.
    pub key: u32,
    /// Voted leap status.
    pub leap: LeapIndicator,
    /// Stratum of the selected source.
    pub stratum: u8,
    /// Reference ID of the selected source.
    pub reference_id: u32,
    /// Number of sources combined, 1 or more.
    pub combined_sources: u32,
    /// Time of the fit: the reference time.
    pub time: CookedTime,
    /// Offset (F+) at `time`, seconds.
    pub offset_s: f64,
    /// Its standard deviation, seconds.
    pub offset_sd_s: f64,
    /// Frequency, s/s (positive: the local clock gains).
    pub frequency: f64,
    /// Its standard deviation, s/s.
    pub frequency_sd: f64,
    /// Skew, s/s.
    pub skew: f64,
    /// Root delay of the selected source, seconds.
    pub root_delay_s: f64,
    /// Root dispersion of the selected source, seconds.
    pub root_dispersion_s: f64,
}

/// What follows from a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing to do.
    None,
    /// Update the reference.
    Update(ReferenceUpdate),
    /// There was a selection and now no majority: the reference becomes unsynchronised
    /// (section 9.6).
    Unsynchronise,
}

/// Result of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// What to do with the reference.
    pub outcome: Outcome,
    /// An NTP source whose address should be replaced by another of its name (rate limited
    /// by the receiver).
    pub replace: Option<u32>,
}
