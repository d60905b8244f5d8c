//! Commands that act on the clock and the reference (control-protocol chapter, sections 9.8
//! and 14; discipline chapter, sections 9.9, 10, 14 and 15).

use chrony_conf::config::LeapSecondMode;
use control_wire::{Float, Index, Local, ManualTimestamp, ModifyMakeStep, Reply, Status, Timespec};
use discipline::reference::{LocalReferenceSettings, MakeStep, ManualRefusal};

use super::super::Engine;
use super::wire::{cooked_time, float};
use super::{Answer, DONE};
use crate::event::Now;
use crate::server::Smoothing as ServedSmoothing;

/// `manual off`, `manual on`, `manual reset`.
const MANUAL_OFF: i32 = 0;
const MANUAL_ON: i32 = 1;
const MANUAL_RESET: i32 = 2;
/// `smoothtime reset`, `smoothtime activate`.
const SMOOTHING_RESET: i32 = 0;
const SMOOTHING_ACTIVATE: i32 = 1;
/// Strata that the local reference can announce.
const LOCAL_STRATA: std::ops::RangeInclusive<i32> = 1..=15;

fn refusal(refusal: ManualRefusal) -> Status {
    match refusal {
        ManualRefusal::NotEnabled => Status::NotEnabled,
        ManualRefusal::NotAccepted => Status::Failed,
        ManualRefusal::NoSample => Status::BadSample,
    }
}

impl Engine {
    pub(super) fn change_manual(&mut self, option: i32) -> Answer {
        let manual = &mut self.commands.manual;
        match option {
            MANUAL_OFF => manual.set_enabled(false),
            MANUAL_ON => manual.set_enabled(true),
            MANUAL_RESET => manual.reset(),
            _ => return Err(Status::Invalid),
        }
        DONE
    }

    pub(super) fn set_time(&mut self, now: Now, time: Timespec) -> Answer {
        let random = self.random.uniform();
        let manual = &mut self.commands.manual;
        let report = self.steering.act(now, &mut self.journal, |reference, act| {
            manual.set_time(cooked_time(time), random, reference, act)
        });
        self.propagate(now);
        let report = report.map_err(refusal)?;
        Ok(Reply::ManualTimestamp(ManualTimestamp {
            offset_s: float(report.offset_s),
            dfreq_ppm: float(report.frequency_change_ppm),
            new_afreq_ppm: float(report.frequency_ppm),
        }))
    }

    pub(super) fn delete_manual_sample(&mut self, now: Now, index: &Index) -> Answer {
        let index = usize::try_from(index.index).map_err(|_| Status::BadSample)?;
        let random = self.random.uniform();
        let manual = &mut self.commands.manual;
        let deleted = self.steering.act(now, &mut self.journal, |reference, act| {
            manual.delete(index, random, reference, act)
        });
        self.propagate(now);
        deleted.map_err(refusal)?;
        DONE
    }

    pub(super) fn change_local(&mut self, now: Now, request: &Local) -> Answer {
        let stratum = request
            .stratum
            .clamp(*LOCAL_STRATA.start(), *LOCAL_STRATA.end());
        let settings = (request.on_off != 0).then(|| LocalReferenceSettings {
            // Within 1 … 15.
            stratum: stratum as u8,
            distance_s: request.distance_s.value(),
            activate_s: request.activate_s.value(),
            orphan: request.orphan != 0,
            wait_synced_s: request.wait_synced_s.value(),
            wait_unsynced_s: request.wait_unsynced_s.value(),
        });
        self.selector.settings_mut().orphan_stratum = settings
            .filter(|local| local.orphan)
            .map(|local| local.stratum);
        self.steering.act(now, &mut self.journal, |reference, act| {
            reference.set_local(settings, act.journal);
        });
        self.propagate(now);
        DONE
    }

    pub(super) fn change_smoothing(&mut self, now: Now, option: i32) -> Answer {
        let (time, _) = self.steering.cook(now.raw);
        let smoothing = self.commands.smoothing.as_mut().ok_or(Status::NotEnabled)?;
        match option {
            SMOOTHING_RESET => smoothing.reset(time, &mut self.journal),
            SMOOTHING_ACTIVATE => smoothing.activate(time, &mut self.journal),
            _ => return Err(Status::Invalid),
        }
        self.serving.stale = true;
        DONE
    }

    pub(super) fn adjust_frequency(&mut self, now: Now, frequency_ppm: Float) -> Answer {
        self.steering.act(now, &mut self.journal, |_, act| {
            act.clock
                .add_frequency(act.now, frequency_ppm.value(), act.journal);
        });
        self.propagate(now);
        DONE
    }

    pub(super) fn adjust_offset(&mut self, now: Now, offset_s: Float) -> Answer {
        let adjusted = self.steering.act(now, &mut self.journal, |_, act| {
            act.clock.add_offset(act.now, offset_s.value(), act.journal)
        });
        self.propagate(now);
        adjusted.map_err(|_| Status::Failed)?;
        DONE
    }

    pub(super) fn make_step(&mut self, now: Now) -> Answer {
        let stepped = self.steering.act(now, &mut self.journal, |_, act| {
            act.now = act.clock.make_step(act.now, act.journal)?;
            Ok(act.now)
        });
        match stepped {
            Ok(after) => {
                self.propagate(after);
                DONE
            }
            Err(discipline::reference::ClockRefusal::NotSane)
            | Err(discipline::reference::ClockRefusal::StepFailed) => {
                self.propagate(now);
                Err(Status::Failed)
            }
        }
    }

    pub(super) fn change_make_step(&mut self, now: Now, request: &ModifyMakeStep) -> Answer {
        let make_step = MakeStep {
            threshold_s: request.threshold_s.value(),
            limit: request.limit,
        };
        self.steering.act(now, &mut self.journal, |reference, act| {
            reference.set_make_step(make_step, act.journal);
        });
        DONE
    }

    pub(super) fn change_max_update_skew(&mut self, now: Now, skew_ppm: Float) -> Answer {
        self.steering.act(now, &mut self.journal, |reference, act| {
            reference.set_max_update_skew(skew_ppm.value(), act.journal);
        });
        DONE
    }

    /// The smoothed offset as the answering threads take it: that of the present stage.
    pub(in super::super) fn served_smoothing(&self, now: Now) -> Option<ServedSmoothing> {
        let smoothing = self.commands.smoothing.as_ref()?;
        let (at, _) = self.steering.cook(now.raw);
        let report = smoothing.report(at);
        let active = |value: f64| if report.active { value } else { 0.0 };
        Some(ServedSmoothing {
            at,
            offset_s: active(report.offset_s),
            frequency: active(-report.frequency_ppm * 1e-6),
            wander: active(-report.wander_ppm * 1e-6),
            hides_leap: self.commands.leap_mode == LeapSecondMode::Slew,
        })
    }
}
