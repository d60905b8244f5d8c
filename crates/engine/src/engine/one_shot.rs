//! Measuring once: `-q`, `-Q` and `initstepslew` (discipline chapter, section 18). The
//! reference knows what the first update is for; here is when to give up, and what follows.

use discipline::reference::Mode;
use discipline::reference::state::can_still_synchronise;

use super::Engine;
use crate::action::Action;
use crate::association::OperatingMode;
use crate::event::Now;
use crate::ids::SourceId;
use crate::registry::Origin;

/// Normal operation begins this long after the initial correction, seconds.
const PAUSE_AFTER_INITIAL_CORRECTION_S: f64 = 2.0;

impl Engine {
    /// The mode.
    pub fn mode(&self) -> Mode {
        self.steering.mode()
    }

    /// Gives up when no active source can collect enough samples any more.
    pub(super) fn check_one_shot(&mut self, now: Now) {
        let waiting = !matches!(self.mode(), Mode::Normal | Mode::Ended);
        if waiting && self.sources_started && !self.has_hope() {
            self.steering.fail_mode(&mut self.journal);
        }
        self.end_special_mode(now);
    }

    fn has_hope(&self) -> bool {
        let active = self.registry.iter().filter(|source| {
            source.address().is_some()
                && source.association.operating_mode() != OperatingMode::Offline
        });
        let sources = active.map(|source| (source.association.reachability(), &source.statistics));
        let clocks = self
            .refclocks
            .iter()
            .filter(|_| !self.initial_correction)
            .map(|clock| (clock.reachability(), clock.statistics()));
        can_still_synchronise(sources.chain(clocks).map(|(reachability, statistics)| {
            // At most 64.
            let samples = statistics.samples().len() as u32;
            (u32::from(reachability.updates()), samples)
        }))
    }

    /// Acts on the end of a special mode, if it has ended.
    pub(super) fn end_special_mode(&mut self, now: Now) {
        let Some(success) = self.steering.take_mode_end() else {
            return;
        };
        if !self.initial_correction {
            self.actions.push_back(Action::Exit {
                status: u8::from(!success),
            });
            return;
        }
        let initial: Vec<SourceId> = self
            .registry
            .iter()
            .filter(|source| source.origin == Origin::InitStepSlew)
            .map(|source| source.id)
            .collect();
        // Selection runs at each removal and is silent in this mode, so that the loss of these
        // sources is not reported when normal operation begins.
        for id in initial {
            self.remove_source(now, id, Origin::Configuration);
        }
        self.sources_started = false;
        self.normal_mode_at = Some(now.monotonic.plus(PAUSE_AFTER_INITIAL_CORRECTION_S));
    }

    /// Normal operation begins: the owner now adds the configured sources.
    pub(super) fn start_normal_mode(&mut self) {
        self.initial_correction = false;
        self.steering.set_normal_mode();
        self.selector.settings_mut().messages = true;
        self.actions.push_back(Action::NormalMode);
    }
}
