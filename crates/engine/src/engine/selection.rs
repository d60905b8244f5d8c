//! From samples to the clock: selection, the reference update, and the changes of the
//! clock that everything stored has to follow (discipline chapter, sections 1.4, 7 and 9).

use discipline::reference::driver::INTERFERENCE;
use discipline::samples::{Outcome, ReferenceUpdate, SourceView};

use super::Engine;
use crate::event::Now;
use crate::ids::SourceId;
use crate::refclock::Refclock;
use crate::registry::{Registry, Source};
use crate::steering::Change;

/// What selection sees of all sources, in the order of their creation.
pub(super) fn all_views<'a>(
    refclocks: &'a [Refclock],
    registry: &'a Registry,
) -> Vec<SourceView<'a>> {
    refclocks
        .iter()
        .map(Refclock::view)
        .chain(registry.iter().map(Source::view))
        .collect()
}

impl Engine {
    /// Selection options follow a change of the sources.
    pub(super) fn refresh_options(&mut self) {
        self.selector
            .refresh_options(&all_views(&self.refclocks, &self.registry));
    }

    /// Runs selection. `trigger` is the source whose new sample is the reason, if that is
    /// the reason.
    pub(super) fn select(&mut self, now: Now, trigger: Option<SourceId>) {
        let (cooked, _) = self.steering.cook(now.raw);
        let selection = self.selector.select(
            cooked,
            trigger.map(|id| id.0),
            &all_views(&self.refclocks, &self.registry),
            &mut self.journal,
        );
        match selection.outcome {
            Outcome::None => {}
            Outcome::Update(update) => self.update_reference(now, &update),
            Outcome::Unsynchronise => self.lose_synchronisation(now),
        }
        if let Some(key) = selection.replace {
            self.request_replacement(now, SourceId(key));
        }
        self.drive_names(now);
    }

    fn update_reference(&mut self, now: Now, update: &ReferenceUpdate) {
        let id = SourceId(update.key);
        let source = self.registry.get(id).map(Source::address_text);
        let Some(name) = source.or_else(|| self.refclock(id).map(Refclock::name)) else {
            return;
        };
        // A few bytes every few seconds.
        let name = name.to_owned();
        self.follow_reference(id);
        self.steering.update(now, update, &name, &mut self.journal);
        self.propagate(now);
        self.end_special_mode(now);
    }

    fn lose_synchronisation(&mut self, now: Now) {
        self.steering.lose_synchronisation(now, &mut self.journal);
        self.propagate(now);
        self.end_special_mode(now);
    }

    /// Everything that stores a local time follows the changes of the clock, in the order
    /// in which they were made; what the reference wants written or done becomes actions.
    pub(super) fn propagate(&mut self, now: Now) {
        let mut history_is_void = false;
        self.serving.stale = true;
        while let Some(change) = self.steering.poll_change() {
            match change {
                Change::Announced(announcement) => {
                    self.devices.handle_announcement(&announcement);
                    self.follow_announcement(&announcement);
                }
                Change::Known(change) => {
                    self.serving.adjustments.count = self.serving.adjustments.count.wrapping_add(1);
                    self.serving.adjustments.latest_offset_s = change.offset_s;
                    self.nts.clock_updates += 1;
                    self.shift_cards(Some(&change));
                    self.shift_refclocks(Some(&change));
                    for source in self.registry.iter_mut() {
                        source.statistics.shift(&change);
                        source.association.handle_adjustment(&change);
                    }
                }
                Change::Unknown => {
                    history_is_void = true;
                    self.shift_cards(None);
                    self.shift_refclocks(None);
                    if let Some(log) = self.server_shared().client_log() {
                        log.timestamps().clear();
                    }
                    let sources: Vec<_> = self.registry.iter().map(|source| source.id).collect();
                    for id in sources {
                        self.forget_after_unknown_step(now, id);
                    }
                }
                Change::Dispersion(dispersion_s) => {
                    for clock in &mut self.refclocks {
                        clock.handle_dispersion(dispersion_s);
                    }
                    for source in self.registry.iter_mut() {
                        source.statistics.add_dispersion(dispersion_s);
                        source.association.handle_dispersion(dispersion_s);
                    }
                }
            }
        }
        if self.steering.take_interference() {
            self.journal.warning(INTERFERENCE);
        }
        while let Some(action) = self.steering.poll_action() {
            self.actions.push_back(action);
        }
        if history_is_void {
            self.select(now, None);
        }
    }

    fn forget_after_unknown_step(&mut self, now: Now, id: SourceId) {
        if let Some(source) = self.registry.get_mut(id) {
            source.forget_samples();
        }
        self.with_association(id, now, |association, cx| {
            association.handle_unknown_step(cx)
        });
    }
}
