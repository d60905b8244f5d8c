//! One simulated client: what it sends next, and whether an answer is right.

use ntp_wire::{Header, LeapIndicator, MessageWriter, Mode, NtpTimestamp, Packet};

use crate::{arguments, garbage};

/// Version of the requests.
const VERSION: u8 = 4;

/// State of a client: one source address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Client {
    transmit: NtpTimestamp,
    receive: NtpTimestamp,
    /// The receive timestamp of the last answer.
    server_receive: NtpTimestamp,
    /// Length of the requests.
    length: usize,
}

/// What an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To the last request, in basic mode.
    Basic,
    /// To the last request, in interleaved mode.
    Interleaved,
    /// To an earlier request.
    Late,
    /// Not an answer to a request of this client, or not as it must be.
    Wrong,
}

impl Client {
    /// Writes the next request; returns its length. `random` gives the timestamps that only
    /// have to be different.
    pub(crate) fn request(
        &mut self,
        mode: &arguments::Mode,
        random: &mut impl FnMut() -> u64,
        buffer: &mut [u8],
    ) -> usize {
        let interleaved = matches!(mode, arguments::Mode::Interleaved);
        self.transmit = NtpTimestamp::from_bits(random() | 1);
        self.receive = if interleaved && !self.server_receive.is_zero() {
            NtpTimestamp::from_bits(random() & !1)
        } else {
            NtpTimestamp::ZERO
        };
        let header = Header {
            leap: LeapIndicator::Normal,
            version: VERSION,
            mode: Mode::Client,
            poll_log2: 6,
            precision_log2: 32,
            origin: if interleaved {
                self.server_receive
            } else {
                NtpTimestamp::ZERO
            },
            receive: self.receive,
            transmit: self.transmit,
            ..Header::default()
        };
        let mut writer = MessageWriter::new(buffer);
        let mut written = writer.header(&header);
        if let arguments::Mode::Keyed(key) = mode {
            written = written.and_then(|()| writer.sign(key, VERSION));
        }
        // The buffer has room for any request.
        self.length = written.map_or(0, |()| writer.length());
        self.length
    }

    /// Looks at an answer.
    pub(crate) fn accept(&mut self, mode: &arguments::Mode, payload: &[u8]) -> Answer {
        let Ok(packet) = Packet::parse(payload) else {
            return Answer::Wrong;
        };
        let header = packet.header;
        if header.mode != Mode::Server
            || header.version != VERSION
            || header.origin.to_bits() == garbage::MARK
            || payload.len() != self.length
        {
            return Answer::Wrong;
        }
        if let arguments::Mode::Keyed(key) = mode
            && !packet
                .mac
                .is_some_and(|mac| key.verify(packet.authenticated_bytes(), &mac, header.version))
        {
            return Answer::Wrong;
        }
        let answer = if header.origin == self.transmit {
            Answer::Basic
        } else if !self.receive.is_zero() && header.origin == self.receive {
            Answer::Interleaved
        } else {
            return Answer::Late;
        };
        self.server_receive = header.receive;
        answer
    }
}
