//! Source selection and combining (discipline chapter, sections 6 to 8).
//!
//! The owner of the sources calls [`Selector::select`] with a [`SourceView`] of each, in
//! the order in which they were added, at every event of section 7.1. The selector keeps
//! what outlives a run (scores, penalties, marks of messages already written) by key.

mod combination;
mod intersection;
mod memory;
mod messages;
mod run;
mod types;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ntp_wire::LeapIndicator;

pub use types::{
    AuthSelectMode, Outcome, ReferenceUpdate, SelectOptions, Selection, SelectionReport,
    SelectionSettings, SourceKind, SourceState, SourceView,
};

use crate::journal::Journal;
use crate::time::CookedTime;
use memory::{Memory, effective_options};
use messages::Reported;
use run::Run;

/// Chooses the source that the clock follows.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    settings: SelectionSettings,
    memories: BTreeMap<u32, Memory>,
    selected: Option<u32>,
    reported: Reported,
}

impl Selector {
    /// A selector that knows no source yet.
    pub fn new(settings: SelectionSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Runs selection at `now` (cooked event time). `trigger` is the source whose new
    /// sample is the reason, if that is the reason (section 7.1).
    pub fn select(
        &mut self,
        now: CookedTime,
        trigger: Option<u32>,
        sources: &[SourceView<'_>],
        journal: &mut Journal,
    ) -> Selection {
        if let Some(key) = trigger {
            self.mark_updated(key);
        }
        self.refresh_options(sources);
        let mut known = std::mem::take(&mut self.memories);
        let memories = sources
            .iter()
            .map(|source| known.remove(&source.key).unwrap_or_default())
            .collect();
        let mut run = Run {
            settings: &self.settings,
            now,
            trigger,
            sources,
            memories,
            selected: &mut self.selected,
            reported: &mut self.reported,
            journal,
        };
        let outcome = run.select();
        self.memories = sources
            .iter()
            .map(|source| source.key)
            .zip(run.memories)
            .collect();
        Selection {
            outcome,
            replace: trigger.and_then(|key| self.count_bad(key, sources)),
        }
    }

    /// Notes an update of a source without running selection: every source after dumps were
    /// loaded (section 5).
    pub fn mark_updated(&mut self, key: u32) {
        let memory = self.memories.entry(key).or_default();
        memory.updates = memory.updates.saturating_add(1);
    }

    /// Recomputes the options in effect; call it when sources are added, removed or their
    /// options changed, if reports are to show them before the next run.
    pub fn refresh_options(&mut self, sources: &[SourceView<'_>]) {
        for (source, effective) in sources
            .iter()
            .zip(effective_options(sources, self.settings.auth_select_mode))
        {
            self.memories.entry(source.key).or_default().effective = effective;
        }
    }

    /// Forgets a removed source; selection has to run afterwards.
    pub fn remove(&mut self, key: u32) {
        self.memories.remove(&key);
        if self.selected == Some(key) {
            self.selected = None;
            self.reported.lost();
        }
    }

    /// Forgets what was learnt about a source that got another address: score, penalties,
    /// pending updates. Selection has to run afterwards if it was the selected one.
    pub fn reset_source(&mut self, key: u32) {
        if let Some(memory) = self.memories.get_mut(&key) {
            *memory = Memory {
                effective: memory.effective,
                ..Memory::default()
            };
        }
    }

    /// The reselect command: forgets the selected source; selection has to run afterwards.
    pub fn reselect(&mut self) {
        self.selected = None;
    }

    /// The selected source.
    pub fn selected(&self) -> Option<u32> {
        self.selected
    }

    /// The settings.
    pub fn settings(&self) -> &SelectionSettings {
        &self.settings
    }

    /// Changes settings other than the reselect distance, which has a message of its own.
    pub fn settings_mut(&mut self) -> &mut SelectionSettings {
        &mut self.settings
    }

    /// The reselect distance command (section 7.5), seconds.
    pub fn set_reselect_distance(&mut self, distance_s: f64, journal: &mut Journal) {
        if self.settings.reselect_distance_s != distance_s {
            self.settings.reselect_distance_s = distance_s;
            journal.info(format!("New reselect distance {distance_s:.6}"));
        }
    }

    /// Leap status by the votes of the last run and what the sources announce now
    /// (section 11.2): more than half of the voters must agree.
    pub fn voted_leap(&self, sources: &[SourceView<'_>]) -> LeapIndicator {
        let votes = sources
            .iter()
            .filter(|source| {
                self.memories
                    .get(&source.key)
                    .is_some_and(|memory| memory.votes)
            })
            .map(|source| source.leap);
        vote(votes)
    }

    /// State of a source after the last run.
    pub fn state(&self, key: u32) -> SourceState {
        self.memories
            .get(&key)
            .map_or(SourceState::default(), |memory| memory.state)
    }

    /// The row of the selectdata report.
    pub fn report(&self, source: &SourceView<'_>) -> SelectionReport {
        let memory = self.memories.get(&source.key).copied().unwrap_or_default();
        SelectionReport {
            state: memory.state,
            configured: source.options,
            effective: memory.effective,
            votes: memory.votes,
            score: memory.score,
            last_sample_age_s: memory.newest_age_s,
            low_s: memory.low_s,
            high_s: memory.high_s,
        }
    }

    /// Counts how often in a row a source ended in a bad state on its own updates (section
    /// 6; ntp chapter, section 16.3); returns it when it should be replaced.
    fn count_bad(&mut self, key: u32, sources: &[SourceView<'_>]) -> Option<u32> {
        let memory = self.memories.get_mut(&key)?;
        if !memory.state.is_bad() {
            memory.bad = 0;
            return None;
        }
        memory.bad = memory.bad.saturating_add(1);
        let is_ntp = sources
            .iter()
            .any(|source| source.key == key && source.kind == SourceKind::Ntp);
        (memory.bad >= memory::BAD_THRESHOLD && is_ntp).then_some(key)
    }
}

/// The leap status that more than half of the votes agree on.
fn vote(votes: impl Iterator<Item = LeapIndicator>) -> LeapIndicator {
    let (mut all, mut insert, mut delete) = (0, 0, 0);
    for leap in votes {
        all += 1;
        match leap {
            LeapIndicator::InsertSecond => insert += 1,
            LeapIndicator::DeleteSecond => delete += 1,
            _ => {}
        }
    }
    if insert > all / 2 {
        LeapIndicator::InsertSecond
    } else if delete > all / 2 {
        LeapIndicator::DeleteSecond
    } else {
        LeapIndicator::Normal
    }
}
