//! Packets of the sources, and what follows from them.

use discipline::reference::leap;
use discipline::time::RawTime;
use ntp_wire::LeapIndicator;
use ntp_wire::ptp::{PREFIX_LENGTH, PtpPrefix};

use super::selection::all_views;
use super::{Engine, Served};
use crate::action::{Action, Outgoing, Payload};
use crate::association::{
    Arrival, Association, Context, Disposition, LocalTimestamp, Outcome, SocketKind,
};
use crate::event::{Datagram, Now, SendFailed, Socket, TimestampSource, TransmitReport};
use crate::ids::SourceId;
use crate::names::Purpose;
use crate::registry::Origin;

/// Largest accepted difference between the daemon's time of an event and a timestamp of
/// the kernel or the hardware, seconds (ntp chapter, section 1).
const TIMESTAMP_DIFFERENCE_MAX_S: f64 = 1.0;

/// NTP mode of client requests, which are always served and never belong to a source.
const MODE_CLIENT: u8 = 3;

impl Engine {
    /// A datagram arrived on an NTP socket. [`Served::Yes`]: it is (possibly) a request, to
    /// be answered by the server.
    pub fn handle_datagram(&mut self, now: Now, datagram: &Datagram<'_>) -> Served {
        let (message, ptp_correction_s) = match self.unwrap_message(datagram) {
            Some(message) => message,
            None => return Served::No,
        };
        let mode = message.first().map_or(0, |first| first & 7);
        let Some(id) = self.source_of(datagram.socket, datagram.remote) else {
            return Served::if_listening(datagram.socket);
        };
        if mode == MODE_CLIENT {
            return Served::if_listening(datagram.socket);
        }
        let timestamp = self.arrival_time(now, datagram, ptp_correction_s);
        let arrival = Arrival {
            socket: self.socket_kind(id, datagram.socket),
            local_address: datagram.local,
            timestamp,
        };
        let disposition = self.with_association(id, now, |association, cx| {
            association.handle_datagram(message, &arrival, cx)
        });
        match disposition {
            Disposition::Serve => Served::if_listening(datagram.socket),
            Disposition::Done => Served::No,
        }
    }

    /// The packet of an [`Action::Send`] with a source was sent, at the raw time read just
    /// before, or could not be sent.
    pub fn handle_sent(&mut self, now: Now, id: SourceId, sent: Result<RawTime, SendFailed>) {
        let sent = sent.map(|raw| {
            let (time, error_s) = self.steering.cook(raw);
            LocalTimestamp::new(time, error_s, TimestampSource::Daemon)
        });
        self.with_association(id, now, |association, cx| association.handle_sent(sent, cx));
    }

    /// The kernel or the hardware tells when a packet left. [`Served::Yes`]: it was a
    /// response of the server.
    pub fn handle_transmit_report(&mut self, now: Now, report: &TransmitReport<'_>) -> Served {
        let Some(id) = self.source_of(report.socket, report.remote) else {
            return Served::if_listening(report.socket);
        };
        let message = match report.socket {
            Socket::Ptp => report.payload.get(PREFIX_LENGTH..).unwrap_or_default(),
            _ => report.payload,
        };
        let (remote, length) = (report.remote.ip(), report.payload.len());
        let hardware = self.hardware_departure(now, report.hardware.as_ref(), remote, length);
        let kernel = report
            .sent
            .filter(|sent| sent.raw.since(now.raw).abs() <= TIMESTAMP_DIFFERENCE_MAX_S)
            .map(|sent| {
                let (time, error_s) = self.steering.cook(sent.raw);
                LocalTimestamp::new(time, error_s, sent.source)
            });
        if let Some(timestamp) = hardware.or(kernel) {
            self.with_association(id, now, |association, cx| {
                association.handle_transmit_timestamp(message, timestamp, cx)
            });
        }
        Served::No
    }

    /// When a datagram arrived, by the best clock that saw it.
    fn arrival_time(
        &self,
        now: Now,
        datagram: &Datagram<'_>,
        ptp_correction_s: f64,
    ) -> LocalTimestamp {
        let (remote, length) = (datagram.remote.ip(), datagram.payload.len());
        if let Some(arrival) =
            self.hardware_arrival(now, datagram.hardware.as_ref(), remote, length)
        {
            let duration_s = arrival.receive_duration_s;
            return arrival.with_receive_duration(duration_s, ptp_correction_s);
        }
        let received = datagram.received;
        let (raw, source) = if is_plausible(received.raw, now) {
            (received.raw, received.source)
        } else {
            (now.raw, TimestampSource::Daemon)
        };
        let (time, error_s) = self.steering.cook(raw);
        LocalTimestamp::new(time, error_s, source)
    }

    /// The NTP message of a datagram and, from a PTP socket, the correction in seconds.
    /// `None` when it is to be ignored.
    fn unwrap_message<'a>(&self, datagram: &Datagram<'a>) -> Option<(&'a [u8], f64)> {
        match datagram.socket {
            Socket::Ptp => {
                let domain = self.settings.ptp_domain;
                let (prefix, message) = ntp_wire::ptp::unwrap(datagram.payload, domain)?;
                Some((message, prefix.correction_s()))
            }
            _ => Some((datagram.payload, 0.0)),
        }
    }

    fn source_of(&self, socket: Socket, remote: std::net::SocketAddr) -> Option<SourceId> {
        match socket {
            Socket::Client(id) => {
                let source = self.registry.get(id)?;
                (source.remote() == Some(remote)).then_some(id)
            }
            Socket::Server | Socket::Shared | Socket::Ptp => self.registry.by_remote(remote),
        }
    }

    /// Which of the source's kinds of socket it is.
    fn socket_kind(&self, id: SourceId, socket: Socket) -> SocketKind {
        let is_client = self
            .registry
            .get(id)
            .is_some_and(|source| !source.is_peer());
        match socket {
            Socket::Server if self.settings.client_uses_server_socket && is_client => {
                SocketKind::Client
            }
            Socket::Client(_) | Socket::Shared => SocketKind::Client,
            Socket::Server => SocketKind::Server,
            Socket::Ptp => SocketKind::Ptp,
        }
    }

    /// Lets `event` happen to an association and acts on its outcome.
    pub(super) fn with_association(
        &mut self,
        id: SourceId,
        now: Now,
        event: impl FnOnce(&mut Association, &mut Context<'_>) -> Outcome,
    ) -> Disposition {
        let local = self.local_state(now);
        let (now_cooked, _) = self.steering.cook(now.raw);
        let selected = self.selector.selected() == Some(id.0);
        let Some(source) = self.registry.get_mut(id) else {
            return Disposition::Done;
        };
        let mut context = Context {
            now,
            now_cooked,
            selected,
            local: &local,
            statistics: &mut source.statistics,
            authenticator: source.authenticator.as_dyn(),
            schedule: &mut self.schedule,
            random: self.random.as_mut(),
            journal: &mut self.journal,
        };
        let outcome = event(&mut source.association, &mut context);
        let disposition = outcome.disposition;
        self.apply(id, now, outcome);
        self.start_key_establishment_if_wanted(now, id);
        self.say_nts_note(id);
        disposition
    }

    fn apply(&mut self, id: SourceId, now: Now, outcome: Outcome) {
        if outcome.close_socket {
            self.actions
                .push_back(Action::CloseClientSocket { source: id });
        }
        self.transmit(id, &outcome);
        let Some(source) = self.registry.get_mut(id) else {
            return;
        };
        if let Some(status) = outcome.status {
            let former = source.status.leap;
            source.status = status;
            self.follow_leap(id, now, former);
        }
        if outcome.source_reset {
            if let Some(source) = self.registry.get_mut(id) {
                source.forget_samples();
            }
            self.selector.reset_source(id.0);
        }
        let unreachable = self
            .registry
            .get(id)
            .is_some_and(|s| !s.association.reachability().is_reachable());
        if outcome.accumulated {
            self.select(now, Some(id));
        } else if outcome.reachability_updated && unreachable {
            self.select(now, None);
        }
        if outcome.reachability_updated {
            self.check_one_shot(now);
        }
        if outcome.confirmed {
            self.confirm(id, now);
        }
        if outcome.replacement_wanted {
            self.request_replacement(now, id);
        }
    }

    /// A source announced its leap status: a change is acted on at once, but not around a
    /// leap second, where sources disagree.
    fn follow_leap(&mut self, id: SourceId, now: Now, former: LeapIndicator) {
        let (cooked, _) = self.steering.cook(now.raw);
        let Some(source) = self.registry.get_mut(id) else {
            return;
        };
        if leap::is_close(self.steering.leap_second_s(), now.raw, &[cooked]) {
            source.status.leap = former;
        } else if source.status.leap != former {
            self.follow_votes(now);
        }
    }

    /// As [`Engine::follow_leap`] for the new leap status of a reference clock.
    pub(super) fn follow_refclock_leap(&mut self, now: Now, index: usize, leap: LeapIndicator) {
        let (cooked, _) = self.steering.cook(now.raw);
        let is_close = leap::is_close(self.steering.leap_second_s(), now.raw, &[cooked]);
        if let Some(clock) = self.refclocks.get_mut(index)
            && clock.leap() != leap
            && !is_close
        {
            clock.set_leap(leap);
            self.follow_votes(now);
        }
    }

    fn follow_votes(&mut self, now: Now) {
        let voted = self
            .selector
            .voted_leap(&all_views(&self.refclocks, &self.registry));
        self.steering.update_leap(now, voted, &mut self.journal);
        self.propagate(now);
    }

    fn transmit(&mut self, id: SourceId, outcome: &Outcome) {
        let Some(transmission) = &outcome.transmission else {
            return;
        };
        let remote = transmission.destination;
        let socket = match transmission.socket {
            SocketKind::Server => Socket::Server,
            SocketKind::Ptp => Socket::Ptp,
            SocketKind::Client if self.settings.shared_client_socket => Socket::Shared,
            SocketKind::Client => {
                self.actions
                    .push_back(Action::OpenClientSocket { source: id, remote });
                Socket::Client(id)
            }
        };
        let payload = self.framed(socket, transmission.payload);
        self.actions.push_back(Action::Send(Box::new(Outgoing {
            socket,
            remote,
            local: None,
            interface: 0,
            payload,
            source: Some(id),
            wants_timestamp: true,
        })));
    }

    /// An NTP message as it is sent through a socket: one of PTP wants a prefix.
    pub fn framed(&self, socket: Socket, message: Payload) -> Payload {
        match socket {
            Socket::Ptp => self.wrap_in_ptp(message.as_slice()),
            Socket::Server | Socket::Shared | Socket::Client(_) => message,
        }
    }

    fn wrap_in_ptp(&self, message: &[u8]) -> Payload {
        let mut bytes = [0; crate::action::PACKET_MAX];
        let sequence = self.server_shared().next_ptp_sequence();
        // At most 1140 bytes.
        let prefix = PtpPrefix::new(message.len() as u16, self.settings.ptp_domain, sequence);
        if let Some((head, tail)) = bytes.split_first_chunk_mut::<PREFIX_LENGTH>() {
            prefix.emit(head);
            tail.iter_mut()
                .zip(message)
                .for_each(|(to, from)| *to = *from);
        }
        Payload::new(&bytes[..bytes.len().min(PREFIX_LENGTH + message.len())])
    }

    /// A good response came from the present address.
    fn confirm(&mut self, id: SourceId, now: Now) {
        let Some(source) = self.registry.get_mut(id) else {
            return;
        };
        let pool = source.pool;
        if std::mem::take(&mut source.tentative)
            && let Some(pool) = pool
        {
            for superfluous in self.registry.superfluous(pool) {
                self.remove_source(now, superfluous, Origin::Configuration);
            }
        }
        self.refresh_if_due(now);
    }

    pub(super) fn request_replacement(&mut self, now: Now, id: SourceId) {
        let Some(source) = self
            .registry
            .get(id)
            .filter(|source| source.is_replaceable())
        else {
            return;
        };
        let question = source.question(Purpose::Replacement(id));
        let accepted =
            self.names
                .request_replacement(now.monotonic, question, self.random.as_mut());
        if accepted {
            self.drive_names(now);
        }
    }
}

/// Whether a timestamp is near enough to the event to be right.
fn is_plausible(raw: RawTime, now: Now) -> bool {
    raw.since(now.raw).abs() <= TIMESTAMP_DIFFERENCE_MAX_S
}
