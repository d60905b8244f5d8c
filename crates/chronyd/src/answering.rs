//! Answering requests from a socket, batch by batch (ntp chapter, section 6).
//!
//! The same code serves in the main loop and in server threads. Requests are read, answered
//! from the published snapshot and sent in batches; nothing is allocated on the way.

use std::os::fd::BorrowedFd;

use discipline::time::RawTime;
use engine::event::{PacketTime, TimestampSource};
use engine::names::Family;
use engine::server::{Outcome, Reader, Request, Responder, ResponseBuffer, ServerSnapshot};
use ntp_wire::HEADER_LENGTH;
use ntp_wire::ptp::PREFIX_LENGTH;
use os_linux::clock::raw_time;
use os_linux::socket::{
    Ancillary, BATCH_SIZE, LoopedPacket, Outgoing, ReceiveBatch, Received, SendBatch,
    TransmitStamp, is_link_local,
};

use crate::devices::hardware_stamp;

/// Batches read from one socket before others get their turn.
const BATCHES_MAX: usize = 8;

/// What answering cannot deal with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// A packet of a configured source, for its association.
    ForAssociation,
    /// The 48 bytes of the answer are to be signed by the MS-SNTP service.
    Sign {
        /// The key ID of the request.
        key_id: u32,
    },
}

/// What was noticed while answering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// A packet came without a kernel timestamp.
    pub missing_timestamp: bool,
    /// The interface of a hardware timestamp.
    pub stamped_interface: Option<u32>,
}

/// Takes what is left over: why, the datagram, and the answer to be signed.
pub type Forward<'a> = &'a mut dyn FnMut(Leftover, &Received<'_>, &[u8]);

/// Answers requests; one for each thread.
pub struct Answering {
    responder: Responder,
    snapshots: Reader<ServerSnapshot>,
    received: ReceiveBatch,
    replies: SendBatch,
    buffer: Box<ResponseBuffer>,
    /// Flags that ask for a transmit timestamp.
    stamp_flags: Option<u32>,
}

impl Answering {
    /// `stamp_flags` as of [`os_linux::socket::SocketSupport::message_flags`].
    pub fn new(
        responder: Responder,
        snapshots: Reader<ServerSnapshot>,
        stamp_flags: Option<u32>,
    ) -> Self {
        Self {
            responder,
            snapshots,
            received: ReceiveBatch::new(),
            replies: SendBatch::new(),
            buffer: Box::new([0; _]),
            stamp_flags,
        }
    }

    /// Answers what waits on a socket.
    pub fn serve(&mut self, socket: BorrowedFd<'_>, on_ptp: bool, forward: Forward<'_>) -> Noticed {
        let mut noticed = Noticed::default();
        for _ in 0..BATCHES_MAX {
            let Ok(count) = self.received.receive(socket) else {
                break;
            };
            self.answer_batch(on_ptp, forward, &mut noticed);
            // A reply that cannot be sent is lost, as on the network.
            self.replies.flush(socket, |_, _| {});
            if count < BATCH_SIZE {
                break;
            }
        }
        noticed
    }

    fn answer_batch(&mut self, on_ptp: bool, forward: Forward<'_>, noticed: &mut Noticed) {
        let arrival = raw_time();
        let Self {
            responder,
            snapshots,
            received,
            replies,
            buffer,
            stamp_flags,
        } = self;
        let snapshot = snapshots.get();
        for datagram in received.iter().filter(|datagram| !datagram.truncated) {
            let Some(remote) = datagram.source else {
                continue;
            };
            let kernel = datagram.ancillary.kernel_time;
            noticed.missing_timestamp |= kernel.is_none();
            let stamp = hardware_stamp(&datagram.ancillary);
            noticed.stamped_interface = stamp
                .map(|stamp| stamp.interface)
                .or(noticed.stamped_interface);
            let hardware = stamp.and_then(|stamp| {
                let family = Family::of(&remote.ip());
                let card = snapshot.card(stamp.interface)?;
                let (time, duration_s) = card.received(&stamp, family, datagram.data.len());
                is_plausible(time.raw, arrival).then_some((time, duration_s))
            });
            let request = Request {
                payload: datagram.data,
                remote,
                on_ptp,
                received: hardware.map_or(packet_time(kernel, arrival), |(time, _)| time),
                receive_duration_s: hardware.map(|(_, duration_s)| duration_s),
                from_association: false,
            };
            match responder.respond(&request, snapshot, raw_time, buffer) {
                Outcome::Ignored(_) => {}
                Outcome::ForAssociation => forward(Leftover::ForAssociation, &datagram, &[]),
                Outcome::Sign { key_id } => {
                    let unsigned = &buffer[if on_ptp { PREFIX_LENGTH } else { 0 }..];
                    let unsigned = &unsigned[..HEADER_LENGTH];
                    forward(Leftover::Sign { key_id }, &datagram, unsigned);
                }
                Outcome::Reply {
                    length,
                    wants_timestamp,
                } => {
                    let stamp = stamp_flags.filter(|_| wants_timestamp);
                    push(replies, &buffer[..length], &datagram, stamp);
                }
            }
        }
    }

    /// Answers a packet that an association passed back: a request of a configured server.
    pub fn answer_one(
        &mut self,
        socket: BorrowedFd<'_>,
        datagram: &Received<'_>,
        on_ptp: bool,
        received: PacketTime,
    ) {
        let Some(remote) = datagram.source else {
            return;
        };
        let request = Request {
            payload: datagram.data,
            remote,
            on_ptp,
            received,
            receive_duration_s: None,
            from_association: true,
        };
        let snapshot = self.snapshots.get();
        let outcome = self
            .responder
            .respond(&request, snapshot, raw_time, &mut self.buffer);
        if let Outcome::Reply {
            length,
            wants_timestamp,
        } = outcome
        {
            let stamp = self.stamp_flags.filter(|_| wants_timestamp);
            push(&mut self.replies, &self.buffer[..length], datagram, stamp);
            self.replies.flush(socket, |_, _| {});
        }
    }

    /// Takes the transmit timestamps of answers from a socket's error queue. Those that do
    /// not belong to answers go to `forward`: destination, payload and time.
    pub fn take_transmit_timestamps(
        &mut self,
        socket: BorrowedFd<'_>,
        on_ptp: bool,
        forward: &mut dyn FnMut(std::net::SocketAddr, &[u8], PacketTime),
    ) {
        if self.received.receive_errors(socket).is_err() {
            return;
        }
        let snapshot = self.snapshots.get();
        for report in self
            .received
            .iter()
            .filter(|r| r.ancillary.transmit.is_some())
        {
            let Some(sent) = sent_at(&report.ancillary, snapshot) else {
                continue;
            };
            let Some(looped) = LoopedPacket::parse(report.data) else {
                continue;
            };
            let Some(payload) = report.data.get(looped.payload) else {
                continue;
            };
            if snapshot.sources.binary_search(&looped.destination).is_ok() {
                forward(looped.destination, payload, sent);
            }
            self.responder
                .note_transmit(payload, on_ptp, sent, snapshot);
        }
    }
}

fn push(replies: &mut SendBatch, reply: &[u8], request: &Received<'_>, stamp: Option<u32>) {
    let Some(space) = replies
        .buffer()
        .and_then(|space| space.get_mut(..reply.len()))
    else {
        return;
    };
    space.copy_from_slice(reply);
    let link_local = request
        .source
        .is_some_and(|source| is_link_local(source.ip()));
    let outgoing = Outgoing {
        destination: request.source,
        source: request.ancillary.local,
        interface: if link_local {
            request.ancillary.interface
        } else {
            0
        },
        transmit_stamp: stamp.map(|flags| TransmitStamp { flags, id: None }),
    };
    replies.commit(reply.len(), &outgoing);
}

/// When a packet was sent, by the best clock that saw it.
fn sent_at(ancillary: &Ancillary, snapshot: &ServerSnapshot) -> Option<PacketTime> {
    let hardware = hardware_stamp(ancillary).and_then(|stamp| {
        let card = snapshot.card(stamp.interface)?;
        Some(card.sent(&stamp))
    });
    let now = raw_time();
    hardware
        .filter(|time| is_plausible(time.raw, now))
        .or_else(|| {
            Some(PacketTime {
                raw: ancillary.kernel_time?,
                source: TimestampSource::Kernel,
            })
        })
}

/// Whether a timestamp is near enough to the event to be true.
fn is_plausible(time: RawTime, event: RawTime) -> bool {
    /// Largest accepted difference, seconds (ntp chapter, section 1).
    const DIFFERENCE_MAX_S: f64 = 1.0;
    time.since(event).abs() <= DIFFERENCE_MAX_S
}

/// The time of a packet: the kernel's if it is plausible, else the daemon's.
pub fn packet_time(kernel: Option<RawTime>, arrival: RawTime) -> PacketTime {
    match kernel {
        Some(raw) if is_plausible(raw, arrival) => PacketTime {
            raw,
            source: TimestampSource::Kernel,
        },
        _ => PacketTime {
            raw: arrival,
            source: TimestampSource::Daemon,
        },
    }
}
