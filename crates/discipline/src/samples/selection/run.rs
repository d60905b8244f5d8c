//! One run of the selection procedure (discipline chapter, section 7.4). The steps are
//! numbered as there.

use ntp_wire::LeapIndicator;

use super::combination::{Contribution, combine};
use super::intersection::{Intersection, Interval};
use super::memory::Memory;
use super::messages::{Loss, Reported, log_state, warn_of_state};
use super::types::{
    Outcome, ReferenceUpdate, SelectionSettings, SourceKind, SourceState, SourceView,
};
use crate::journal::{Journal, Severity};
use crate::samples::reachability::REGISTER_BITS;
use crate::time::CookedTime;

/// Score above which another source takes over (section 7.3).
const SCORE_LIMIT: f64 = 10.0;
/// Keeps scores finite when a challenger cannot take over for long.
const LARGEST_SCORE: f64 = 1e12;
/// Smallest distance that divides, seconds.
const MIN_DISTANCE_S: f64 = 1e-9;
/// Combining runs that a source is left out after it fell out (section 7.3).
const DISTANCE_PENALTY: u32 = 32;
/// The same for a source with few updates (section 8).
const SHORT_DISTANCE_PENALTY: u32 = 1;

/// State of a run. `memories` is parallel to `sources`; sources are named by index.
pub(crate) struct Run<'a> {
    pub(crate) settings: &'a SelectionSettings,
    pub(crate) now: CookedTime,
    pub(crate) trigger: Option<u32>,
    pub(crate) sources: &'a [SourceView<'a>],
    pub(crate) memories: Vec<Memory>,
    pub(crate) selected: &'a mut Option<u32>,
    pub(crate) reported: &'a mut Reported,
    pub(crate) journal: &'a mut Journal,
}

/// What step 2 notes about the sources.
#[derive(Default)]
struct Classification {
    /// Sources without objection.
    provisional: Vec<usize>,
    /// Sources without usable statistics.
    missing: usize,
    /// G: largest age of the oldest sample among reachable provisional sources.
    oldest_reachable_s: f64,
    provisional_register: u8,
    provisional_updates: u8,
    missing_register: u8,
    missing_updates: u8,
}

impl Run<'_> {
    /// All steps.
    pub(crate) fn select(&mut self) -> Outcome {
        for memory in &mut self.memories {
            memory.votes = false;
        }
        if self.sources.is_empty() {
            return self.lose(Loss::NoSources, &[]);
        }
        let mut found = self.classify();
        self.reported.consider_first_failure(
            found.provisional_updates.max(found.missing_updates),
            self.selected.is_some(),
        );
        self.leave_out_stale(&mut found);
        self.consider_orphans(&mut found.provisional);
        if self.must_wait(&found) {
            self.mark_all(&found.provisional, SourceState::WaitsForStatistics);
            return Outcome::None;
        }
        if found.provisional.is_empty() {
            let unreachable = (0..self.sources.len())
                .filter(|&i| !self.memories[i].effective.noselect)
                .filter(|&i| !self.sources[i].reachability.is_reachable())
                .count();
            return self.lose(Loss::NothingSelectable(unreachable), &[]);
        }
        let (survivors, trusted) = match self.intersect(&found.provisional) {
            Ok(found) => found,
            Err(outcome) => return outcome,
        };
        if let Some(loss) = self.missing_condition(&survivors) {
            return self.lose(loss, &survivors);
        }
        self.give_votes(&survivors, trusted);
        let candidates = self.preferred(survivors);
        self.choose(&candidates)
    }

    /// Step 2.
    fn classify(&mut self) -> Classification {
        let mut found = Classification::default();
        for i in 0..self.sources.len() {
            let reach = self.sources[i].reachability;
            match self.objection(i) {
                None => {
                    found.provisional.push(i);
                    found.provisional_register = found.provisional_register.max(reach.register());
                    found.provisional_updates = found.provisional_updates.max(reach.updates());
                    if reach.is_reachable() {
                        let age = self.memories[i].oldest_age_s;
                        found.oldest_reachable_s = found.oldest_reachable_s.max(age);
                    }
                }
                Some(state) => {
                    if state == SourceState::MissingSamples {
                        found.missing += 1;
                        found.missing_register = found.missing_register.max(reach.register());
                        found.missing_updates = found.missing_updates.max(reach.updates());
                    }
                    self.mark(i, state);
                }
            }
        }
        found
    }

    /// Why a source cannot be provisional, first match; updates its interval.
    fn objection(&mut self, i: usize) -> Option<SourceState> {
        let (source, memory, settings) = (&self.sources[i], &mut self.memories[i], self.settings);
        if memory.effective.noselect {
            return Some(SourceState::NoSelect);
        }
        let Some(data) = source
            .statistics
            .selection_data(self.now, settings.max_clock_error)
        else {
            return Some(SourceState::MissingSamples);
        };
        memory.newest_age_s = data.newest_age_s;
        memory.oldest_age_s = data.oldest_age_s;
        memory.root_distance_s = data.root_distance_s;
        memory.low_s = data.offset_s - data.root_distance_s;
        memory.high_s = data.offset_s + data.root_distance_s;
        if !data.usable {
            return Some(SourceState::MissingSamples);
        }
        if source.leap == LeapIndicator::Unsynchronised {
            return Some(SourceState::Unsynchronised);
        }
        if source.stratum < settings.min_stratum || source.stratum > settings.max_stratum {
            return Some(SourceState::BadStratum);
        }
        let near = data.root_distance_s <= settings.max_distance_s;
        let ordered = memory.low_s <= memory.high_s;
        if !(near && ordered) {
            return Some(SourceState::BadDistance);
        }
        // An unknown jitter passes as maxjitter.
        let jitter = data.sample_sd_s.unwrap_or(settings.max_jitter_s);
        (jitter > settings.max_jitter_s).then_some(SourceState::Jittery)
    }

    /// Step 3, first part.
    fn leave_out_stale(&mut self, found: &mut Classification) {
        let oldest = found.oldest_reachable_s;
        for i in std::mem::take(&mut found.provisional) {
            let source = &self.sources[i];
            let reach = source.reachability;
            let stale = !reach.is_reachable()
                && (self.memories[i].newest_age_s > oldest
                    || reach.zero_updates() > source.max_unreach);
            if stale {
                self.mark(i, SourceState::Stale);
            } else {
                found.provisional.push(i);
            }
        }
    }

    /// Step 3, second part.
    fn consider_orphans(&mut self, provisional: &mut Vec<usize>) {
        let Some(orphan_stratum) = self.settings.orphan_stratum else {
            return;
        };
        let mut candidate: Option<usize> = None;
        for i in std::mem::take(provisional) {
            let source = &self.sources[i];
            if source.kind != SourceKind::Ntp || source.stratum < orphan_stratum {
                provisional.push(i);
                continue;
            }
            let smaller = candidate
                .is_none_or(|other| source.reference_id < self.sources[other].reference_id);
            if source.stratum == orphan_stratum && source.reachability.is_reachable() && smaller {
                candidate = Some(i);
            }
            self.mark(i, SourceState::Orphan);
        }
        let Some(i) = candidate.filter(|_| provisional.is_empty()) else {
            return;
        };
        match self.sources[i].local_reference_id {
            Some(own) if self.sources[i].reference_id < own => provisional.push(i),
            Some(_) => {}
            None => self.message(Severity::Error, "Unknown local refid in orphan mode".into()),
        }
    }

    /// Step 4: servers polled in step all get their third sample first.
    fn must_wait(&self, found: &Classification) -> bool {
        found.missing > 0
            && !found.provisional.is_empty()
            && self.selected.is_none()
            && found.provisional_updates < REGISTER_BITS
            && found.provisional_register >> 1 == found.missing_register
    }

    /// Steps 6 to 8 up to the conditions: survivors and whether trust decided.
    fn intersect(&mut self, provisional: &[usize]) -> Result<(Vec<usize>, bool), Outcome> {
        let intervals: Vec<Interval> = provisional
            .iter()
            .map(|&i| &self.memories[i])
            .map(|memory| Interval {
                low: memory.low_s,
                high: memory.high_s,
                trusted: memory.effective.trust,
            })
            .collect();
        let found = Intersection::of(&intervals);
        let trusted = found.trusted_depth > 0;
        let (agreeing, all) = if trusted {
            (
                found.trusted_depth,
                intervals.iter().filter(|one| one.trusted).count(),
            )
        } else {
            (found.depth, intervals.len())
        };
        if agreeing <= all / 2 {
            return Err(self.no_majority(provisional, agreeing, all, trusted));
        }
        let mut survivors = Vec::with_capacity(provisional.len());
        for (&i, interval) in provisional.iter().zip(&intervals) {
            if !found.accepts(interval) {
                self.mark(i, SourceState::Falseticker);
                warn_of_state(
                    self.settings,
                    &self.sources[i],
                    &mut self.memories[i],
                    self.journal,
                );
            } else if !found.trusts(interval) {
                self.mark(i, SourceState::Untrusted);
            } else {
                survivors.push(i);
            }
        }
        Ok((survivors, trusted))
    }

    /// Step 7.
    fn no_majority(
        &mut self,
        provisional: &[usize],
        agreeing: usize,
        all: usize,
        trusted: bool,
    ) -> Outcome {
        self.reported.report_no_majority(
            agreeing,
            all,
            trusted,
            self.settings.messages,
            self.journal,
        );
        let had_selection = self.selected.take().is_some();
        self.mark_all(provisional, SourceState::Falseticker);
        if had_selection {
            Outcome::Unsynchronise
        } else {
            Outcome::None
        }
    }

    /// Step 8: why the survivors are not enough.
    fn missing_condition(&self, survivors: &[usize]) -> Option<Loss> {
        let required_anywhere = self.memories.iter().any(|memory| memory.effective.require);
        let required_found = survivors
            .iter()
            .any(|&i| self.memories[i].effective.require);
        if survivors.is_empty() {
            Some(Loss::NoSurvivor)
        } else if required_anywhere && !required_found {
            Some(Loss::NoRequired)
        } else if survivors.len() < self.settings.min_sources as usize {
            Some(Loss::NotEnough)
        } else {
            None
        }
    }

    /// Step 9, first part: survivors vote, with trust only the trusted ones.
    fn give_votes(&mut self, survivors: &[usize], trusted: bool) {
        for &i in survivors {
            let memory = &mut self.memories[i];
            memory.votes = !trusted || memory.effective.trust;
        }
    }

    /// Step 9, second part.
    fn preferred(&mut self, survivors: Vec<usize>) -> Vec<usize> {
        if !survivors.iter().any(|&i| self.memories[i].effective.prefer) {
            return survivors;
        }
        let (preferred, others): (Vec<usize>, Vec<usize>) = survivors
            .into_iter()
            .partition(|&i| self.memories[i].effective.prefer);
        self.mark_all(&others, SourceState::NotPreferred);
        preferred
    }

    /// Steps 10 to 12.
    fn choose(&mut self, candidates: &[usize]) -> Outcome {
        self.update_scores(candidates);
        let Some(best) = self.best_of(candidates) else {
            return Outcome::None;
        };
        let current = self.selected_index().filter(|i| candidates.contains(i));
        let chosen = match current {
            Some(current) if current == best || self.memories[best].score <= SCORE_LIMIT => current,
            _ if self.memories[best].updates == 0 => {
                if self.selected.take().is_some() {
                    self.reported.lost();
                }
                self.mark_all(candidates, SourceState::WaitsForUpdate);
                return Outcome::None;
            }
            _ => {
                self.switch_to(best);
                best
            }
        };
        self.mark(chosen, SourceState::Selected);
        if self.memories[chosen].updates == 0 {
            self.mark_unchanged(chosen, candidates);
            return Outcome::None;
        }
        Outcome::Update(self.update_with(chosen, candidates))
    }

    /// Step 10.
    fn update_scores(&mut self, candidates: &[usize]) {
        let lowest_stratum = candidates
            .iter()
            .map(|&i| self.sources[i].stratum)
            .min()
            .unwrap_or_default();
        let selected = self.selected_index();
        let selected_distance = selected.map(|i| self.distance(i, lowest_stratum));
        for i in 0..self.sources.len() {
            if !candidates.contains(&i) {
                self.memories[i].score = 1.0;
                self.memories[i].distance_penalty = DISTANCE_PENALTY;
                continue;
            }
            let distance = self.distance(i, lowest_stratum) + self.handicap(i);
            let key = self.sources[i].key;
            let memory = &mut self.memories[i];
            match selected_distance {
                Some(selected_distance) => {
                    if self
                        .trigger
                        .is_some_and(|by| by == key || Some(by) == *self.selected)
                    {
                        let score = memory.score * selected_distance / distance;
                        memory.score = score.clamp(1.0, LARGEST_SCORE);
                    }
                }
                None => memory.score = 1.0 / distance,
            }
        }
    }

    /// Root distance with the weight of the stratum, seconds.
    fn distance(&self, i: usize, lowest_stratum: u8) -> f64 {
        let strata = f64::from(self.sources[i].stratum) - f64::from(lowest_stratum);
        let distance = self.memories[i].root_distance_s + strata * self.settings.stratum_weight_s;
        distance.max(MIN_DISTANCE_S)
    }

    /// `reselectdist` of an NTP source, seconds.
    fn handicap(&self, i: usize) -> f64 {
        match self.sources[i].kind {
            SourceKind::Ntp => self.settings.reselect_distance_s,
            SourceKind::ReferenceClock => 0.0,
        }
    }

    /// The first with the largest score.
    fn best_of(&self, candidates: &[usize]) -> Option<usize> {
        candidates.iter().copied().reduce(|best, i| {
            if self.memories[i].score > self.memories[best].score {
                i
            } else {
                best
            }
        })
    }

    fn selected_index(&self) -> Option<usize> {
        let key = (*self.selected)?;
        self.sources.iter().position(|source| source.key == key)
    }

    /// Step 11.
    fn switch_to(&mut self, i: usize) {
        *self.selected = Some(self.sources[i].key);
        self.reported.switched();
        for memory in &mut self.memories {
            memory.score = 1.0;
            memory.distance_penalty = 0;
            memory.reported = false;
        }
        let text = format!("Selected source {}", self.sources[i].display_name);
        self.message(Severity::Info, text);
    }

    /// End of step 11: no new sample of the selected source.
    fn mark_unchanged(&mut self, chosen: usize, candidates: &[usize]) {
        for &i in candidates.iter().filter(|&&i| i != chosen) {
            let state = if self.memories[i].distance_penalty > 0 {
                SourceState::Distant
            } else {
                SourceState::Combined
            };
            self.mark(i, state);
        }
    }

    /// Step 12.
    fn update_with(&mut self, chosen: usize, candidates: &[usize]) -> ReferenceUpdate {
        for memory in &mut self.memories {
            memory.updates = 0;
        }
        let selected = self.contribution(chosen);
        let mut others = Vec::new();
        for &i in candidates.iter().filter(|&&i| i != chosen) {
            let other = self.contribution(i);
            if self.is_combined(chosen, &selected, i, &other) {
                self.mark(i, SourceState::Combined);
                others.push(other);
            } else {
                self.mark(i, SourceState::Distant);
            }
        }
        let combined = combine(&selected, &others);
        let source = &self.sources[chosen];
        let (root_delay_s, root_dispersion_s) = source
            .statistics
            .tracking_data()
            .map_or((0.0, 0.0), |data| {
                (data.root_delay_s, data.root_dispersion_s)
            });
        let voters = self
            .sources
            .iter()
            .zip(&self.memories)
            .filter(|(_, memory)| memory.votes);
        ReferenceUpdate {
            key: source.key,
            leap: super::vote(voters.map(|(source, _)| source.leap)),
            stratum: source.stratum,
            reference_id: source.reference_id,
            combined_sources: 1 + others.len() as u32,
            time: combined.time,
            offset_s: combined.offset_s,
            offset_sd_s: combined.offset_sd_s,
            frequency: combined.frequency,
            frequency_sd: combined.frequency_sd,
            skew: combined.skew,
            root_delay_s,
            root_dispersion_s,
        }
    }

    fn contribution(&self, i: usize) -> Contribution {
        Contribution {
            estimate: *self.sources[i].statistics.estimate(),
            root_distance_s: self.memories[i].root_distance_s,
        }
    }

    /// Whether a source is near enough to be combined (section 8); counts its penalty.
    fn is_combined(
        &mut self,
        chosen: usize,
        selected: &Contribution,
        i: usize,
        other: &Contribution,
    ) -> bool {
        let limit = self.settings.combine_limit;
        let distance = selected.root_distance_s + self.handicap(chosen);
        let (ours, theirs) = (&selected.estimate, &other.estimate);
        let skew = ours.skew + theirs.skew + self.settings.max_clock_error;
        let memory = &mut self.memories[i];
        if other.root_distance_s > limit * distance
            || (ours.frequency - theirs.frequency).abs() > limit * skew
        {
            memory.distance_penalty = if self.sources[i].reachability.updates() >= REGISTER_BITS {
                DISTANCE_PENALTY
            } else {
                SHORT_DISTANCE_PENALTY
            };
        } else {
            memory.distance_penalty = memory.distance_penalty.saturating_sub(1);
        }
        memory.distance_penalty == 0
    }

    /// Drops the selection, says why once, and marks the survivors as waiting.
    fn lose(&mut self, loss: Loss, survivors: &[usize]) -> Outcome {
        if self.selected.take().is_some() {
            self.reported.lost();
        }
        self.reported
            .report_loss(loss, self.settings.messages, self.journal);
        self.mark_all(survivors, SourceState::WaitsForSources);
        Outcome::None
    }

    fn mark_all(&mut self, sources: &[usize], state: SourceState) {
        for &i in sources {
            self.mark(i, state);
        }
    }

    /// Assigns a state and writes its line; warns of bad states but falsetickers, which
    /// step 8 reports and step 7 does not.
    fn mark(&mut self, i: usize, state: SourceState) {
        let (source, memory) = (&self.sources[i], &mut self.memories[i]);
        memory.state = state;
        log_state(self.now, source, memory, self.journal);
        if state != SourceState::Falseticker {
            warn_of_state(self.settings, source, memory, self.journal);
        }
    }

    fn message(&mut self, severity: Severity, text: String) {
        if !self.settings.messages {
            return;
        }
        match severity {
            Severity::Error => self.journal.error(text),
            _ => self.journal.info(text),
        }
    }
}
