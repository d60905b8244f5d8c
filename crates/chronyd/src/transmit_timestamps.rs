//! Transmit timestamps of the sources' packets, from the error queue.

use discipline::journal::Severity;
use engine::event::{PacketTime, Socket, TimestampSource, TransmitReport};
use os_linux::socket::{LoopedPacket, Received};

use crate::daemon::{Daemon, now};
use crate::sent_packets::NotFound;

impl Daemon {
    /// Gives the engine the transmit timestamps of the batch.
    pub(crate) fn handle_transmit_reports(&mut self, socket: Socket) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        for received in batch.iter() {
            self.handle_transmit_report(socket, &received);
        }
        self.batch = Some(batch);
    }

    fn handle_transmit_report(&mut self, socket: Socket, received: &Received<'_>) {
        let Some(sent) = received.ancillary.transmit else {
            return;
        };
        let mut hardware = self.hardware_stamp(&received.ancillary);
        let looped = LoopedPacket::parse(received.data);
        let from_frame = looped.as_ref().and_then(|looped| {
            let payload = received.data.get(looped.payload.clone())?;
            Some((looped.destination, payload))
        });
        // The frame shows how long frames of this link are.
        let length = looped.map_or(0, |looped| looped.payload.end);
        if let Some(hardware) = &mut hardware {
            hardware.frame_length = u32::try_from(length).unwrap_or(0);
        }
        let by_id = self.sent_by_id(sent.id);
        let owned = by_id.map(|(remote, payload)| (remote, payload.to_vec()));
        let Some((remote, payload)) = owned
            .as_ref()
            .map(|(remote, payload)| (*remote, payload.as_slice()))
            .or(from_frame)
        else {
            return;
        };
        let report = TransmitReport {
            socket,
            remote,
            payload,
            sent: received.ancillary.kernel_time.map(|raw| PacketTime {
                raw,
                source: TimestampSource::Kernel,
            }),
            hardware,
        };
        self.engine.handle_transmit_report(now(), &report);
    }

    /// The packet sent with an identifier, while `maxtxbuffers` is in force. What the kernel
    /// cannot do or the ring cannot hold is said once.
    fn sent_by_id(&mut self, id: u32) -> Option<(std::net::SocketAddr, &[u8])> {
        if !self.support.transmit_ids() {
            return None;
        }
        let problem = self.sockets.sent().find(id).err();
        match problem {
            None => {}
            Some(NotFound::NoId) => {
                self.support.disable_transmit_ids();
                let text = "Transmit ID not supported";
                self.output.write(Severity::Warning, text);
            }
            Some(NotFound::Replaced) if self.said_few_buffers => {}
            Some(NotFound::Replaced) => {
                self.said_few_buffers = true;
                let text = "maxtxbuffers too small";
                self.output.write(Severity::Warning, text);
            }
        }
        self.sockets.sent().find(id).ok()
    }
}
