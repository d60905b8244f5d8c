//! Answering requests from a socket, batch by batch (ntp chapter, section 6).
//!
//! The same code serves in the main loop and in server threads. Requests are read, answered
//! from the published snapshot and sent in batches; nothing is allocated on the way.

use std::os::fd::BorrowedFd;

use engine::event::{PacketTime, TimestampSource};
use engine::server::{Outcome, Reader, Request, Responder, ResponseBuffer, ServerSnapshot};
use os_linux::clock::raw_time;
use os_linux::socket::{
    BATCH_SIZE, LoopedPacket, Outgoing, ReceiveBatch, Received, SendBatch, TransmitStamp,
    is_link_local,
};

/// Batches read from one socket before others get their turn.
const BATCHES_MAX: usize = 8;

/// What answering cannot deal with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// A packet of a configured source, for its association.
    ForAssociation,
    /// The 48 bytes in the buffer are to be signed by the MS-SNTP service.
    Sign {
        /// The key ID of the request.
        key_id: u32,
    },
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

    /// Answers what waits on a socket. Returns whether a packet came without a kernel
    /// timestamp.
    pub fn serve(&mut self, socket: BorrowedFd<'_>, on_ptp: bool, forward: Forward<'_>) -> bool {
        let mut missing_timestamp = false;
        for _ in 0..BATCHES_MAX {
            let Ok(count) = self.received.receive(socket) else {
                break;
            };
            missing_timestamp |= self.answer_batch(on_ptp, forward);
            // A reply that cannot be sent is lost, as on the network.
            self.replies.flush(socket, |_, _| {});
            if count < BATCH_SIZE {
                break;
            }
        }
        missing_timestamp
    }

    fn answer_batch(&mut self, on_ptp: bool, forward: Forward<'_>) -> bool {
        let arrival = raw_time();
        let mut missing_timestamp = false;
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
            missing_timestamp |= kernel.is_none();
            let request = Request {
                payload: datagram.data,
                remote,
                on_ptp,
                received: packet_time(kernel, arrival),
                receive_duration_s: None,
                from_association: false,
            };
            match responder.respond(&request, snapshot, raw_time, buffer) {
                Outcome::Ignored(_) => {}
                Outcome::ForAssociation => forward(Leftover::ForAssociation, &datagram, &[]),
                Outcome::Sign { key_id } => {
                    forward(Leftover::Sign { key_id }, &datagram, &buffer[..]);
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
        missing_timestamp
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
            let Some(raw) = report.ancillary.kernel_time else {
                continue;
            };
            let Some(looped) = LoopedPacket::parse(report.data) else {
                continue;
            };
            let Some(payload) = report.data.get(looped.payload) else {
                continue;
            };
            let sent = PacketTime {
                raw,
                source: TimestampSource::Kernel,
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

/// The time of a packet: the kernel's if it is plausible, else the daemon's.
pub fn packet_time(
    kernel: Option<discipline::time::RawTime>,
    arrival: discipline::time::RawTime,
) -> PacketTime {
    /// Largest accepted difference, seconds (ntp chapter, section 1).
    const DIFFERENCE_MAX_S: f64 = 1.0;
    match kernel {
        Some(raw) if raw.since(arrival).abs() <= DIFFERENCE_MAX_S => PacketTime {
            raw,
            source: TimestampSource::Kernel,
        },
        _ => PacketTime {
            raw: arrival,
            source: TimestampSource::Daemon,
        },
    }
}
