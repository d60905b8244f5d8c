//! Clocks of network cards (PHC) and the timestamps taken with them (ntp chapter, section
//! 15.3; discipline chapter, section 17.9).
//!
//! The owner reads a card's clock when [`Engine::card_reading_due`] says so on arrival of a
//! hardware timestamp, and at [`Action::ReadCard`], and hands the readings to
//! [`Engine::handle_card_readings`]. From then on timestamps are converted.

use std::net::IpAddr;

use discipline::samples::{ClockChange, DeviceTime, HardwareClock, Reading};
use discipline::time::{CookedTime, MonotonicTime, RawTime};

use super::Engine;
use crate::action::Action;
use crate::association::LocalTimestamp;
use crate::event::{HardwareStamp, Now, TimestampSource};
use crate::names::Family;
use crate::server::card_times::{CardTimes, Link};

/// Largest accepted difference between a timestamp and the event, seconds.
const DIFFERENCE_MAX_S: f64 = 1.0;

/// What `hwtimestamp` says about an interface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardSettings {
    /// Index of the interface.
    pub interface: u32,
    /// Shortest interval of readings, log2 s.
    pub min_poll: i32,
    /// Longest interval of readings, log2 s.
    pub max_poll: i32,
    /// Fewest samples of the tracker.
    pub min_samples: usize,
    /// Most samples of the tracker.
    pub max_samples: usize,
    /// Assumed precision of readings, seconds.
    pub precision_s: f64,
    /// Added to transmit timestamps, seconds.
    pub transmit_compensation_s: f64,
    /// Subtracted from receive timestamps, seconds.
    pub receive_compensation_s: f64,
}

/// A card and its tracked clock.
#[derive(Debug)]
pub(super) struct Card {
    settings: CardSettings,
    tracker: HardwareClock,
    /// Error bound of the last sample, seconds.
    error_s: f64,
    /// When the clock was read last.
    read_at: Option<MonotonicTime>,
    link: Link,
    /// A reading by timer was asked for.
    asked: bool,
}

/// A hardware timestamp on the daemon's time scale.
struct Converted {
    time: CookedTime,
    error_s: f64,
    duration_s: f64,
}

impl Card {
    fn new(settings: CardSettings, clock_precision_s: f64) -> Self {
        let spacing_s = 2f64.powi(settings.min_poll);
        let tracker = HardwareClock::new(spacing_s, settings.precision_s)
            .with_clock_precision(clock_precision_s)
            .with_samples(settings.min_samples, settings.max_samples);
        Self {
            settings,
            tracker,
            error_s: settings.precision_s,
            read_at: None,
            link: Link::UNKNOWN,
            asked: false,
        }
    }

    fn next_timeout(&self) -> Option<MonotonicTime> {
        let interval_s = 2f64.powi(self.settings.max_poll);
        self.read_at
            .filter(|_| !self.asked)
            .map(|at| at.plus(interval_s))
    }

    fn received(&self, stamp: &HardwareStamp, family: Family, payload: usize) -> Option<Converted> {
        let duration_s = self.link.receive_duration_s(stamp, family, payload);
        let time = self.tracker.cook(DeviceTime::from_ns(stamp.clock_ns))?;
        Some(Converted {
            time: time.plus(duration_s - self.settings.receive_compensation_s),
            error_s: self.error_s,
            duration_s,
        })
    }

    fn sent(&self, stamp: &HardwareStamp) -> Option<Converted> {
        let time = self.tracker.cook(DeviceTime::from_ns(stamp.clock_ns))?;
        Some(Converted {
            time: time.plus(self.settings.transmit_compensation_s),
            error_s: self.error_s,
            duration_s: 0.0,
        })
    }
}

impl Engine {
    /// Follows the clock of an interface's card from its first timestamp on.
    pub fn attach_card(&mut self, settings: CardSettings) {
        let precision_s = self.settings.source_defaults.precision_s;
        self.cards.push(Card::new(settings, precision_s));
    }

    /// Whether the card of an interface is to be read now, as one of its timestamps came and
    /// the last readings are old.
    pub fn card_reading_due(&self, now: Now, interface: u32) -> bool {
        self.card(interface).is_some_and(|card| {
            let interval_s = 2f64.powi(card.settings.min_poll);
            card.read_at
                .is_none_or(|at| now.monotonic.since(at) >= interval_s)
        })
    }

    /// A card was read; without readings when that failed. `speed_mbps` is the speed of the
    /// link as told afterwards, 0 when it has none.
    pub fn handle_card_readings(
        &mut self,
        now: Now,
        interface: u32,
        readings: &[Reading],
        speed_mbps: Option<u32>,
    ) {
        let Self {
            cards,
            steering,
            random,
            journal,
            ..
        } = self;
        let Some(card) = cards
            .iter_mut()
            .find(|card| card.settings.interface == interface)
        else {
            return;
        };
        card.asked = false;
        card.read_at = Some(now.monotonic);
        let tracked = steering.track(&mut card.tracker, readings, random.as_mut());
        journal.debug(|| {
            let sample = tracked.map(|(sample, _)| sample);
            format!("Polling PHC on interface {interface}: {sample:?}")
        });
        if let Some((_, Some(error_s))) = tracked {
            card.error_s = error_s;
        }
        if let Some(speed) = speed_mbps {
            card.link.speed_mbps = speed;
        }
        self.serving.stale = true;
    }

    /// When a card was received by the hardware, if that can be told.
    pub(super) fn hardware_arrival(
        &self,
        now: Now,
        stamp: Option<&HardwareStamp>,
        remote: IpAddr,
        payload: usize,
    ) -> Option<LocalTimestamp> {
        let stamp = stamp?;
        let converted =
            self.card(stamp.interface)?
                .received(stamp, Family::of(&remote), payload)?;
        self.timestamp(now, &converted)
    }

    /// When a packet was sent by the hardware, if that can be told.
    pub(super) fn hardware_departure(
        &mut self,
        now: Now,
        stamp: Option<&HardwareStamp>,
        remote: IpAddr,
        payload: usize,
    ) -> Option<LocalTimestamp> {
        let stamp = stamp?;
        let card = self
            .cards
            .iter_mut()
            .find(|card| card.settings.interface == stamp.interface)?;
        // The looped frame shows where payloads of this link begin.
        if let Some(start) = stamp.frame_length.checked_sub(payload as u32)
            && stamp.frame_length > 0
        {
            card.link.payload_start[Family::of(&remote) as usize] = start;
        }
        let converted = card.sent(stamp)?;
        self.timestamp(now, &converted)
    }

    /// A converted time as a timestamp, unless it is too far from the event to be true.
    fn timestamp(&self, now: Now, converted: &Converted) -> Option<LocalTimestamp> {
        let (event, _) = self.steering.cook(now.raw);
        let near = converted.time.since(event).abs() <= DIFFERENCE_MAX_S;
        near.then(|| {
            let source = TimestampSource::Hardware;
            LocalTimestamp::new(converted.time, converted.error_s, source)
                .with_receive_duration(converted.duration_s, 0.0)
        })
    }

    fn card(&self, interface: u32) -> Option<&Card> {
        self.cards
            .iter()
            .find(|card| card.settings.interface == interface)
    }

    pub(super) fn next_card_timeout(&self) -> Option<MonotonicTime> {
        self.cards.iter().filter_map(Card::next_timeout).min()
    }

    /// Asks for the readings that are due; whether there were any.
    pub(super) fn drive_cards(&mut self, now: Now) -> bool {
        let mut any = false;
        for card in &mut self.cards {
            if card.next_timeout().is_some_and(|due| due <= now.monotonic) {
                card.asked = true;
                any = true;
                self.actions.push_back(Action::ReadCard {
                    interface: card.settings.interface,
                });
            }
        }
        any
    }

    /// What the threads that serve need for converting, as linear functions.
    pub(super) fn card_times(&self) -> Vec<CardTimes> {
        let clock = self.steering.clock();
        let raw_at = |card: &Card, ns: i64| -> Option<RawTime> {
            Some(clock.uncook(card.tracker.cook(DeviceTime::from_ns(ns))?))
        };
        let times = self.cards.iter().filter_map(|card| {
            let base_ns = card.tracker.newest()?.as_ns();
            let base = raw_at(card, base_ns)?;
            let after = raw_at(card, base_ns.saturating_add(1_000_000_000))?;
            Some(CardTimes {
                interface: card.settings.interface,
                base_ns,
                base,
                rate: after.since(base),
                link: card.link,
                receive_compensation_s: card.settings.receive_compensation_s,
                transmit_compensation_s: card.settings.transmit_compensation_s,
            })
        });
        times.collect()
    }

    /// Every card's tracker follows a change of the clock; `None` when it is not known by how
    /// much it changed.
    pub(super) fn shift_cards(&mut self, change: Option<&ClockChange>) {
        for card in &mut self.cards {
            match change {
                Some(change) => card.tracker.shift(change),
                None => card.tracker.restart(),
            }
        }
    }
}
