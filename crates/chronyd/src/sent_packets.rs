//! The last packets sent, by their identifiers (`maxtxbuffers`; system chapter, section 6.4).
//!
//! The kernel gives the identifier back with the transmit timestamp, so that the packet is
//! found without its frame: in tunnels and on links other than Ethernet.

use std::net::SocketAddr;

use engine::action::{Outgoing, Payload};

/// The first identifier; those below may be the kernel's own.
const FIRST_ID: u32 = 0x1000;

#[derive(Clone, Debug)]
struct Sent {
    id: u32,
    remote: SocketAddr,
    payload: Payload,
}

/// Why a sent packet is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// It came back without an identifier of ours.
    NoId,
    /// It was replaced by a later packet.
    Replaced,
}

/// A ring of sent packets.
#[derive(Debug)]
pub struct SentPackets {
    ring: Vec<Option<Sent>>,
    next_id: u32,
}

impl SentPackets {
    /// Room for this many packets.
    pub fn new(room: usize) -> Self {
        Self {
            ring: vec![None; room],
            next_id: FIRST_ID,
        }
    }

    /// Keeps a packet and gives the identifier to send it with; `None` without room.
    pub fn keep(&mut self, outgoing: &Outgoing) -> Option<u32> {
        let id = self.next_id;
        let place = self.place(id)?;
        self.next_id = id.checked_add(1).unwrap_or(FIRST_ID);
        *self.ring.get_mut(place)? = Some(Sent {
            id,
            remote: outgoing.remote,
            payload: outgoing.payload,
        });
        Some(id)
    }

    /// The destination and payload of a packet that came back.
    ///
    /// # Errors
    ///
    /// See [`NotFound`].
    pub fn find(&self, id: u32) -> Result<(SocketAddr, &[u8]), NotFound> {
        let slot = self.place(id).and_then(|place| self.ring.get(place));
        match slot.ok_or(NotFound::NoId)? {
            Some(sent) if sent.id == id => Ok((sent.remote, sent.payload.as_slice())),
            Some(sent) if sent.id > id => Err(NotFound::Replaced),
            _ => Err(NotFound::NoId),
        }
    }

    fn place(&self, id: u32) -> Option<usize> {
        let number = id.checked_sub(FIRST_ID)? as usize;
        number.checked_rem(self.ring.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::event::Socket;

    #[test]
    fn the_last_packets_are_found() {
        let mut sent = SentPackets::new(2);
        let packet = |port| Outgoing {
            socket: Socket::Server,
            remote: ([192, 0, 2, 1], port).into(),
            local: None,
            interface: 0,
            payload: Payload::new(&[port as u8]),
            source: None,
            wants_timestamp: true,
        };
        let ids: Vec<u32> = (1..=3)
            .filter_map(|port| sent.keep(&packet(port)))
            .collect();
        assert_eq!(ids, [0x1000, 0x1001, 0x1002]);
        assert_eq!(sent.find(0x1000), Err(NotFound::Replaced));
        assert_eq!(
            sent.find(0x1002),
            Ok((packet(3).remote, packet(3).payload.as_slice()))
        );
        for unknown in [0, 1, 0x1003, u32::MAX] {
            assert_eq!(sent.find(unknown), Err(NotFound::NoId), "{unknown}");
        }
        assert_eq!(SentPackets::new(0).keep(&packet(1)), None);
    }
}
