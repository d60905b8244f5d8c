//! Messages of selection and how often they are written (discipline chapter, section 7.5).

use super::memory::{BAD_THRESHOLD, Memory};
use super::types::{SelectionSettings, SourceState, SourceView};
use crate::journal::{Journal, LogFile};
use crate::samples::reachability::REGISTER_BITS;
use crate::samples::text::{padded_exponent, utc};
use crate::time::CookedTime;

/// Why there is no selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    NoSources,
    /// With the number of unreachable sources.
    NothingSelectable(usize),
    NoSurvivor,
    NoRequired,
    NotEnough,
}

impl Loss {
    fn text(self) -> String {
        match self {
            Self::NoSources => "no sources".into(),
            Self::NothingSelectable(unreachable) => {
                format!("no selectable sources ({unreachable} unreachable sources)")
            }
            Self::NoSurvivor => "no selectable sources".into(),
            Self::NoRequired => "no required source in selectable sources".into(),
            Self::NotEnough => "not enough selectable sources".into(),
        }
    }
}

/// Which messages wait to be written or were written already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reported {
    /// A selection was lost and nothing said about it yet.
    loss_pending: bool,
    /// The absence of a majority was reported since the last switch.
    no_majority: bool,
    /// The first failure after start has been considered.
    first_failure: bool,
}

impl Reported {
    /// A selection was dropped.
    pub(crate) fn lost(&mut self) {
        self.loss_pending = true;
    }

    /// Another source was selected.
    pub(crate) fn switched(&mut self) {
        self.loss_pending = false;
        self.no_majority = false;
    }

    /// Lets one failure be reported if the sources had eight updates and none was ever
    /// selected.
    pub(crate) fn consider_first_failure(&mut self, largest_updates: u8, is_selected: bool) {
        if !self.first_failure && largest_updates >= REGISTER_BITS {
            self.first_failure = true;
            self.loss_pending |= !is_selected;
        }
    }

    /// Says once per loss why nothing is selected.
    pub(crate) fn report_loss(&mut self, loss: Loss, wanted: bool, journal: &mut Journal) {
        if self.loss_pending {
            self.loss_pending = false;
            if wanted {
                journal.warning(format!("Can't synchronise: {}", loss.text()));
            }
        }
    }

    /// Says once until the next switch that there is no majority: `agreeing` of `all`.
    pub(crate) fn report_no_majority(
        &mut self,
        agreeing: usize,
        all: usize,
        trusted: bool,
        wanted: bool,
        journal: &mut Journal,
    ) {
        self.loss_pending = false;
        if std::mem::replace(&mut self.no_majority, true) || !wanted {
            return;
        }
        let kind = if trusted {
            "trusted sources"
        } else {
            "sources"
        };
        let detail = if agreeing < 2 {
            format!("no agreement among {all} {kind}")
        } else {
            format!("only {agreeing} of {all} {kind} agree")
        };
        journal.warning(format!("Can't synchronise: no majority ({detail})"));
    }
}

/// Writes the line of `selection.log` for a state that was just assigned.
pub(crate) fn log_state(
    now: CookedTime,
    source: &SourceView<'_>,
    memory: &Memory,
    journal: &mut Journal,
) {
    journal.line(LogFile::Selection, || {
        let [n, p, t, r] = memory.effective.letters();
        format!(
            "{} {:<15} {} -{n}{p}{t}{r} {:4o} {:5.2} {} {} {}",
            utc(now.seconds()),
            source.log_name,
            memory.state.letter(),
            source.reachability.register(),
            memory.score,
            padded_exponent(memory.newest_age_s, 10, 3),
            padded_exponent(memory.low_s, 10, 3),
            padded_exponent(memory.high_s, 10, 3),
        )
    });
}

/// Warns once per source until the next switch about a state that was just assigned: at
/// once about a falseticker, about the other bad states when they last.
pub(crate) fn warn_of_state(
    settings: &SelectionSettings,
    source: &SourceView<'_>,
    memory: &mut Memory,
    journal: &mut Journal,
) {
    let lasting = memory.bad >= BAD_THRESHOLD;
    if memory.reported || !settings.messages {
        return;
    }
    let name = source.display_name;
    let text = match memory.state {
        SourceState::Falseticker => format!("Detected falseticker {name}"),
        SourceState::BadStratum if lasting && source.stratum < settings.min_stratum => {
            format!(
                "Stratum of {name} below minstratum of {}",
                settings.min_stratum
            )
        }
        SourceState::BadStratum if lasting => {
            format!(
                "Stratum of {name} above maxstratum of {}",
                settings.max_stratum
            )
        }
        SourceState::BadDistance if lasting => format!(
            "Root distance of {name} exceeds maxdistance of {:.3} seconds",
            settings.max_distance_s
        ),
        SourceState::Jittery if lasting => {
            format!(
                "Jitter of {name} exceeds maxjitter of {:.3} seconds",
                settings.max_jitter_s
            )
        }
        _ => return,
    };
    memory.reported = true;
    journal.warning(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::testing::messages;

    #[test]
    fn a_loss_is_reported_once_until_the_next() {
        let (mut reported, mut journal) = (Reported::default(), Journal::new());
        // There is always a survivor where most intervals overlap: the one that opened last
        // reaches as far as any. The text is kept for trust that leaves none.
        reported.report_loss(Loss::NoSurvivor, true, &mut journal);
        assert!(journal.is_empty());
        reported.lost();
        reported.report_loss(Loss::NoSurvivor, true, &mut journal);
        reported.report_loss(Loss::NoSurvivor, true, &mut journal);
        assert_eq!(
            messages(&mut journal),
            ["Can't synchronise: no selectable sources"]
        );
    }
}
