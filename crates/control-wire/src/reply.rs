//! Replies: header, checks, and all kinds of data (control-protocol chapter, sections 4.2, 8.2
//! and 10).

use crate::cursor::{Reader, Wire, Writer};
use crate::datagram::Datagram;
use crate::name::SourceName;
use crate::reply_data::{
    Activity, AuthData, ManualList, ManualTimestamp, NSources, Rtc, SelectData, Smoothing,
    SourceData, SourceStats, Tracking,
};
use crate::report_data::{ClientAccesses, NtpData, ServerStats};
use crate::request::{RequestHeader, VERSION};
use crate::status::Status;

/// Length of the header and of an error reply.
pub const REPLY_HEADER_LENGTH: usize = 28;
/// Bytes of a reply that the client reads at most.
pub const MAX_REPLY_LENGTH: usize = 524;
/// Packet type of a reply.
const PACKET_TYPE_REPLY: u8 = 2;

/// Header of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// Version of the protocol.
    pub version: u8,
    /// Code of the command answered.
    pub command: u16,
    /// Code of the data that follow.
    pub reply: u16,
    /// What became of the request.
    pub status: Status,
    /// Number from the request.
    pub sequence: u32,
}

impl ReplyHeader {
    /// Takes the header of a received datagram; `None` if it is no reply at all (shorter than
    /// a header, another packet type, reserved bytes 2 and 3 not zero), which a client ignores.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        let [version, packet_type, reserved1, reserved2] = reader.take()?;
        if packet_type != PACKET_TYPE_REPLY || reserved1 != 0 || reserved2 != 0 {
            return None;
        }
        let command = u16::read(&mut reader)?;
        let reply = u16::read(&mut reader)?;
        let status = Status::from_code(u16::read(&mut reader)?);
        let _reserved = reader.take::<6>()?;
        let sequence = u32::read(&mut reader)?;
        let _reserved = reader.take::<8>()?;
        Some(Self {
            version,
            command,
            reply,
            status,
            sequence,
        })
    }

    /// Whether this answers a request with the given header (section 8.2): command and sequence
    /// are the same, and the version is, or the daemon tells that it wants another.
    #[must_use]
    pub fn answers(&self, request: &RequestHeader) -> bool {
        /// Least version of a reply that may say "wrong version".
        const MIN_VERSION_WITH_MISMATCH: u8 = 4;
        let version_fits = self.version == request.version
            || (self.version >= MIN_VERSION_WITH_MISMATCH
                && self.status == Status::BadPacketVersion);
        version_fits && self.command == request.command && self.sequence == request.sequence
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&[self.version, PACKET_TYPE_REPLY, 0, 0]);
        self.command.write(writer);
        self.reply.write(writer);
        self.status.code().write(writer);
        writer.put(&[0; 6]);
        self.sequence.write(writer);
        writer.put(&[0; 8]);
    }
}

/// Why the data of a reply cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// Shorter than its code requires.
    Truncated,
    /// The code has no meaning here (withdrawn, or of a newer daemon).
    UnknownCode(u16),
}

macro_rules! replies {
    ($($(#[$meta:meta])* $variant:ident($data:ty) = $code:literal, $length:literal;)*) => {
        /// The data of a reply.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reply {
            /// No data (code 1): a status only.
            Null,
            $($(#[$meta])* $variant($data),)*
        }

        /// Code of a reply without data.
        pub const REPLY_NULL: u16 = 1;

        /// Length in bytes of a reply by its code; 0 for unknown codes (section 8.2).
        #[must_use]
        pub const fn reply_length(code: u16) -> usize {
            match code {
                REPLY_NULL => REPLY_HEADER_LENGTH,
                $($code => REPLY_HEADER_LENGTH + <$data as Wire>::LEN,)*
                _ => 0,
            }
        }

        impl Reply {
            /// The code of this kind of data.
            #[must_use]
            pub const fn code(&self) -> u16 {
                match self {
                    Self::Null => REPLY_NULL,
                    $(Self::$variant(_) => $code,)*
                }
            }

            fn read_data(code: u16, reader: &mut Reader<'_>) -> Result<Self, ReplyError> {
                let data = match code {
                    REPLY_NULL => Some(Self::Null),
                    $($code => Wire::read(reader).map(Self::$variant),)*
                    code => return Err(ReplyError::UnknownCode(code)),
                };
                data.ok_or(ReplyError::Truncated)
            }

            fn write_data(&self, writer: &mut Writer<'_>) {
                match self {
                    Self::Null => {}
                    $(Self::$variant(data) => data.write(writer),)*
                }
            }
        }

        #[cfg(test)]
        #[test]
        fn structs_have_the_lengths_of_the_table() {
            $(assert_eq!(
                REPLY_HEADER_LENGTH + <$data as Wire>::LEN, $length, stringify!($variant)
            );)*
        }
    };
}

replies! {
    /// Number of sources.
    NSources(NSources) = 2, 32;
    /// One source.
    SourceData(SourceData) = 3, 76;
    /// The reference.
    Tracking(Tracking) = 5, 104;
    /// Statistics of one source.
    SourceStats(SourceStats) = 6, 84;
    /// The real-time clock.
    Rtc(Rtc) = 7, 56;
    /// Numbers of sources online and offline.
    Activity(Activity) = 12, 48;
    /// Smoothing of served time.
    Smoothing(Smoothing) = 13, 52;
    /// Result of setting the time by hand.
    ManualTimestamp(ManualTimestamp) = 17, 40;
    /// Samples entered by hand.
    ManualList(ManualList) = 18, 416;
    /// Configured name of a source.
    NtpSourceName(SourceName) = 19, 284;
    /// Authentication of one source.
    AuthData(AuthData) = 20, 52;
    /// A page of client records.
    ClientAccesses(ClientAccesses) = 21, 520;
    /// Selection of one source.
    SelectData(SelectData) = 23, 76;
    /// Counters of the server.
    ServerStats(ServerStats) = 25, 196;
    /// The last response of one source.
    NtpData(NtpData) = 26, 172;
}

impl Reply {
    /// Takes the data of a reply whose header was accepted. Bytes beyond its length are ignored.
    ///
    /// # Errors
    /// Too short, or an unknown code.
    pub fn parse(header: &ReplyHeader, datagram: &[u8]) -> Result<Self, ReplyError> {
        let data = datagram
            .get(REPLY_HEADER_LENGTH..)
            .ok_or(ReplyError::Truncated)?;
        Self::read_data(header.reply, &mut Reader::new(data))
    }

    /// The daemon's answer to a request. Only a request with [`Status::Success`] may have data.
    #[must_use]
    pub fn answer(&self, request: &RequestHeader, status: Status) -> Datagram {
        self.emit(&ReplyHeader {
            version: VERSION,
            command: request.command,
            reply: self.code(),
            status,
            sequence: request.sequence,
        })
    }

    /// The datagram of this reply. The code in `header` is replaced by that of the data.
    #[must_use]
    pub fn emit(&self, header: &ReplyHeader) -> Datagram {
        Datagram::build(reply_length(self.code()), |writer| {
            let header = ReplyHeader {
                reply: self.code(),
                ..*header
            };
            header.write(writer);
            self.write_data(writer);
        })
    }
}
