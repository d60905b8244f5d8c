//! Packets that nobody asked for: the directive `broadcast` (ntp chapter, section 6.10).

use std::net::SocketAddr;

use chrony_conf::config::Config;
use discipline::time::MonotonicTime;

use super::Engine;
use crate::action::{Action, Outgoing, Payload};
use crate::association::schedule::TransmissionClass;
use crate::event::{Now, Socket};
use crate::server::broadcast::broadcast_header;

/// Separation of broadcasts, seconds (ntp chapter, section 7).
const SEPARATION_S: f64 = 0.2;

/// One destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broadcast {
    interval_s: f64,
    destination: SocketAddr,
    next: Option<MonotonicTime>,
}

impl Broadcast {
    /// The destinations of a configuration; nothing is planned yet.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let broadcasts = config.server.broadcasts.iter();
        broadcasts
            .map(|broadcast| Self {
                interval_s: f64::from(broadcast.effective_interval_s()),
                destination: SocketAddr::new(broadcast.address, broadcast.port),
                next: None,
            })
            .collect()
    }
}

impl Engine {
    /// Plans the first packet to each destination, after one interval.
    pub(super) fn start_broadcasts(&mut self, now: Now) {
        for index in 0..self.broadcasts.len() {
            if self.broadcasts[index].next.is_none() {
                self.plan_broadcast(index, now);
            }
        }
    }

    fn plan_broadcast(&mut self, index: usize, now: Now) {
        let broadcast = &mut self.broadcasts[index];
        broadcast.next = Some(self.schedule.plan(
            TransmissionClass::Broadcast,
            index as u64,
            now.monotonic,
            broadcast.interval_s,
            SEPARATION_S,
            self.random.as_mut(),
        ));
    }

    /// When the next broadcast is due.
    pub(super) fn next_broadcast(&self) -> Option<MonotonicTime> {
        self.broadcasts
            .iter()
            .filter_map(|broadcast| broadcast.next)
            .min()
    }

    /// Sends one broadcast that is due; false if there is none.
    pub(super) fn broadcast_if_due(&mut self, now: Now) -> bool {
        let is_due = |broadcast: &Broadcast| broadcast.next.is_some_and(|at| at <= now.monotonic);
        let Some(index) = self.broadcasts.iter().position(is_due) else {
            return false;
        };
        self.schedule
            .fired(TransmissionClass::Broadcast, index as u64, now.monotonic);
        self.publish(now);
        let Broadcast {
            interval_s,
            destination,
            ..
        } = self.broadcasts[index];
        let mut snapshots = self.server_snapshots();
        let header = broadcast_header(snapshots.get(), interval_s, now.raw, self.random.as_mut());
        self.actions.push_back(Action::Send(Box::new(Outgoing {
            socket: Socket::Server,
            remote: destination,
            local: None,
            interface: 0,
            payload: Payload::new(&header.to_bytes()),
            source: None,
            wants_timestamp: false,
        })));
        self.plan_broadcast(index, now);
        true
    }
}
