//! Which timestamps the kernel and the network cards shall take (system chapter, section
//! 6.4).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::options::set_option;
use crate::clock::KernelRelease;

const TRANSMIT_HARDWARE: u32 = libc::SOF_TIMESTAMPING_TX_HARDWARE;
const TRANSMIT_SOFTWARE: u32 = libc::SOF_TIMESTAMPING_TX_SOFTWARE;

/// Reception by the kernel, reported per packet.
const RECEIVE_SOFTWARE: u32 = libc::SOF_TIMESTAMPING_RX_SOFTWARE
    | libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_OPT_CMSG;

/// Reception by the card.
const RECEIVE_HARDWARE: u32 =
    libc::SOF_TIMESTAMPING_RX_HARDWARE | libc::SOF_TIMESTAMPING_RAW_HARDWARE;

/// From this kernel on, transmit timestamps can be asked for per message.
const PER_MESSAGE_KERNEL: KernelRelease = KernelRelease::new(4, 7, 0);

/// From this kernel on, messages can carry an identifier of our own.
const OWN_ID_KERNEL: KernelRelease = KernelRelease::new(6, 13, 0);

/// `SCM_TS_OPT_ID`: control message with the identifier (not in libc yet).
pub(super) const CONTROL_TRANSMIT_ID: libc::c_int = 81;

/// When a socket's transmit timestamps are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransmitTimestamps {
    /// For every packet: client sockets.
    Always,
    /// For the packets that ask for it: server sockets.
    PerMessage,
}

/// The kind of receive timestamps that the kernel gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveTimestamps {
    /// `SO_TIMESTAMPING`: nanoseconds, and timestamps of cards and of sending too.
    Full,
    /// `SO_TIMESTAMPNS`, else `SO_TIMESTAMP`: only of reception.
    ReceiveOnly,
}

/// The timestamping options in force.
#[derive(Debug)]
pub(super) struct Timestamping {
    receive: ReceiveTimestamps,
    receive_flags: u32,
    transmit_flags: u32,
    with_ids: bool,
    per_message: bool,
    own_ids: bool,
    /// A socket kept open so that the kernel keeps taking timestamps.
    keeper: Option<OwnedFd>,
}

impl Timestamping {
    /// What a kernel offers, before anything was refused.
    pub(super) fn new(release: Option<KernelRelease>) -> Self {
        Self {
            receive: ReceiveTimestamps::Full,
            receive_flags: RECEIVE_SOFTWARE,
            transmit_flags: TRANSMIT_SOFTWARE,
            with_ids: false,
            per_message: release >= Some(PER_MESSAGE_KERNEL),
            own_ids: release >= Some(OWN_ID_KERNEL),
            keeper: None,
        }
    }

    pub(super) fn receive(&self) -> ReceiveTimestamps {
        self.receive
    }

    /// Adds the cards' timestamps, with the options that the kernel accepts on `trial`.
    pub(super) fn add_hardware(&mut self, trial: BorrowedFd<'_>) {
        self.receive_flags |= RECEIVE_HARDWARE;
        self.transmit_flags |= TRANSMIT_HARDWARE;
        for option in [
            libc::SOF_TIMESTAMPING_OPT_PKTINFO,
            libc::SOF_TIMESTAMPING_OPT_TX_SWHW,
        ] {
            if set_flags(trial, self.receive_flags | option) {
                self.receive_flags |= option;
            }
        }
    }

    /// Has messages carry identifiers; false if the kernel does not offer it.
    pub(super) fn add_ids(&mut self, trial: BorrowedFd<'_>) -> bool {
        let wanted = self.receive_flags | libc::SOF_TIMESTAMPING_OPT_ID;
        self.with_ids = self.own_ids && set_flags(trial, wanted);
        self.with_ids
    }

    pub(super) fn remove_ids(&mut self) {
        self.with_ids = false;
    }

    pub(super) fn with_ids(&self) -> bool {
        self.with_ids
    }

    /// The flags with which a message asks for its transmit timestamp, `None` when they
    /// are not given per message.
    pub(super) fn message_flags(&self) -> Option<u32> {
        let full = self.receive == ReceiveTimestamps::Full;
        (full && self.per_message).then_some(self.transmit_flags)
    }

    /// The value of `SO_TIMESTAMPING`.
    pub(super) fn socket_flags(&self, transmit: TransmitTimestamps) -> u32 {
        let mut flags = self.receive_flags;
        if transmit == TransmitTimestamps::Always || !self.per_message {
            flags |= self.transmit_flags;
        }
        if self.with_ids {
            flags |= libc::SOF_TIMESTAMPING_OPT_ID;
        }
        flags
    }

    /// Sets the options of a socket. A kernel that refuses them once is not asked again;
    /// it gives receive timestamps of the older kinds, or none.
    pub(super) fn apply(&mut self, socket: BorrowedFd<'_>, transmit: TransmitTimestamps) {
        let set = |name| set_option(socket, libc::SOL_SOCKET, name, 1);
        if self.receive == ReceiveTimestamps::Full {
            let flags = self.socket_flags(transmit);
            if set(libc::SO_SELECT_ERR_QUEUE).is_ok() && set_flags(socket, flags) {
                return;
            }
            self.receive = ReceiveTimestamps::ReceiveOnly;
        }
        if set(libc::SO_TIMESTAMPNS).is_err() {
            // Without either, the time of the wake-up is the best there is.
            let _ = set(libc::SO_TIMESTAMP);
        }
    }

    /// Keeps a socket with timestamping open for the rest of the run.
    pub(super) fn keep_on(&mut self, open: impl FnOnce() -> Option<OwnedFd>) {
        if self.keeper.is_none()
            && self.receive == ReceiveTimestamps::Full
            && let Some(socket) = open()
        {
            set_flags(socket.as_fd(), self.receive_flags);
            self.keeper = Some(socket);
        }
    }
}

fn set_flags(socket: BorrowedFd<'_>, flags: u32) -> bool {
    // The flags are far below the sign bit.
    let value = flags as libc::c_int;
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_specification() {
        let new = Some(KernelRelease::new(6, 13, 0));
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
        let mut stamps = Timestamping::new(new);
        assert_eq!(stamps.socket_flags(TransmitTimestamps::PerMessage), 1048);
        assert_eq!(stamps.socket_flags(TransmitTimestamps::Always), 1050);
        assert_eq!(stamps.message_flags(), Some(2));
        stamps.add_hardware(socket.as_fd());
        // This test needs a kernel with both options (4.13 and later).
        assert_eq!(
            stamps.socket_flags(TransmitTimestamps::PerMessage),
            1048 + 4 + 64 + 8192 + 16384
        );
        assert_eq!(stamps.message_flags(), Some(3));
        assert!(stamps.add_ids(socket.as_fd()));
        assert_eq!(
            stamps.socket_flags(TransmitTimestamps::Always),
            1050 + 1 + 4 + 64 + 8192 + 16384 + 128
        );
        stamps.remove_ids();
        assert!(!stamps.with_ids());
    }

    #[test]
    fn old_kernels_stamp_every_packet_and_know_no_ids() {
        let mut stamps = Timestamping::new(Some(KernelRelease::new(4, 6, 9)));
        assert_eq!(stamps.socket_flags(TransmitTimestamps::PerMessage), 1050);
        assert_eq!(stamps.message_flags(), None);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
        assert!(!stamps.add_ids(socket.as_fd()));
    }

    #[test]
    fn a_refusal_leads_to_the_older_options_for_good() {
        let mut stamps = Timestamping::new(Some(KernelRelease::new(6, 1, 0)));
        // Flags that no kernel knows are refused.
        stamps.receive_flags = 1 << 30;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
        stamps.apply(socket.as_fd(), TransmitTimestamps::Always);
        assert_eq!(stamps.receive(), ReceiveTimestamps::ReceiveOnly);
        assert_eq!(stamps.message_flags(), None);
        let timestamp_ns =
            super::super::options::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
        assert_eq!(timestamp_ns.expect("option"), 1);
    }
}
