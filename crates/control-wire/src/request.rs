//! Requests: header, checks, and all commands with their data (control-protocol chapter,
//! sections 4.1, 5 and 9).

use crate::command::Command;
use crate::cursor::{Reader, Wire, Writer};
use crate::datagram::Datagram;
use crate::request_data::{
    AddSource, Burst, ClientAccessesRequest, Index, Local, MaskedAddress, ModifyFloat,
    ModifyInteger, ModifyMakeStep, ModifyOffset, ModifySelectOptions, SetTime, SingleAddress,
    SingleFloat, SingleOption, Subnet,
};
use crate::status::Status;

/// Version of the protocol.
pub const VERSION: u8 = 6;
/// Version of clients before 1.30, to which a client falls back (section 8.3).
pub const FALLBACK_VERSION: u8 = 5;
/// Length of the header, also the least length of a version 5 request.
pub const REQUEST_HEADER_LENGTH: usize = 20;
/// Least length of a datagram the daemon looks at.
pub const MIN_REQUEST_LENGTH: usize = 28;
/// Largest length of a datagram the daemon looks at.
pub const MAX_REQUEST_LENGTH: usize = 860;
/// Packet type of a request.
const PACKET_TYPE_REQUEST: u8 = 1;

/// Header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Version of the protocol.
    pub version: u8,
    /// Code of the command, known or not.
    pub command: u16,
    /// 0 for the first sending, one more for each repetition. The daemon ignores it.
    pub attempt: u16,
    /// Random number which the reply repeats.
    pub sequence: u32,
}

/// Why a datagram gets no answer and is not counted (section 5, steps 3 and 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotARequest {
    /// Length below 28 or above 860 bytes.
    Length,
    /// Packet type other than request, or reserved bytes 2 and 3 not zero.
    Header,
}

/// Why a request is not executed (section 5, steps 6 to 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No answer: a version before 5.
    Silent,
    /// A reply without data and this status.
    Status(Status),
}

impl RequestHeader {
    /// Takes the header of a received datagram (section 5, steps 3 and 4). After it come the
    /// rate limit, [`Request::parse`], and the permission of the command.
    ///
    /// # Errors
    /// The datagram is to be dropped.
    pub fn parse(datagram: &[u8]) -> Result<Self, NotARequest> {
        if !(MIN_REQUEST_LENGTH..=MAX_REQUEST_LENGTH).contains(&datagram.len()) {
            return Err(NotARequest::Length);
        }
        Self::parse_unpadded(datagram).ok_or(NotARequest::Header)
    }

    /// Takes the header of any request, however short its data (version 5 has no padding).
    #[must_use]
    pub fn parse_unpadded(datagram: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        let [version, packet_type, reserved1, reserved2] = reader.take()?;
        if packet_type != PACKET_TYPE_REQUEST || reserved1 != 0 || reserved2 != 0 {
            return None;
        }
        let header = Self {
            version,
            command: u16::read(&mut reader)?,
            attempt: u16::read(&mut reader)?,
            sequence: u32::read(&mut reader)?,
        };
        reader.take::<8>().map(|_| header)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&[self.version, PACKET_TYPE_REQUEST, 0, 0]);
        self.command.write(writer);
        self.attempt.write(writer);
        self.sequence.write(writer);
        writer.put(&[0; 8]);
    }
}

macro_rules! requests {
    (data { $($variant:ident($data:ty)),* $(,)? } empty { $($empty:ident),* $(,)? }) => {
        /// A command with its data.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(
            clippy::large_enum_variant,
            reason = "one message lives on the stack at a time; boxing would allocate per datagram"
        )]
        pub enum Request {
            $(#[doc = concat!("See [`Command::", stringify!($variant), "`].")] $variant($data),)*
            $(#[doc = concat!("See [`Command::", stringify!($empty), "`].")] $empty,)*
        }

        impl Request {
            /// Which command it is.
            #[must_use]
            pub const fn command(&self) -> Command {
                match self {
                    $(Self::$variant(_) => Command::$variant,)*
                    $(Self::$empty => Command::$empty,)*
                }
            }

            /// Length of the data this command has.
            #[cfg(test)]
            fn data_length(command: Command) -> usize {
                match command {
                    $(Command::$variant => <$data as Wire>::LEN,)*
                    $(Command::$empty => 0,)*
                }
            }

            fn read_data(command: Command, reader: &mut Reader<'_>) -> Option<Self> {
                Some(match command {
                    $(Command::$variant => Self::$variant(Wire::read(reader)?),)*
                    $(Command::$empty => Self::$empty,)*
                })
            }

            fn write_data(&self, writer: &mut Writer<'_>) {
                match self {
                    $(Self::$variant(data) => data.write(writer),)*
                    $(Self::$empty => {})*
                }
            }
        }
    };
}

requests! {
    data {
        Online(MaskedAddress), Offline(MaskedAddress), Burst(Burst),
        ModifyMinPoll(ModifyInteger), ModifyMaxPoll(ModifyInteger),
        ModifyMaxDelay(ModifyFloat), ModifyMaxDelayRatio(ModifyFloat),
        ModifyMaxDelayDevRatio(ModifyFloat), ModifyMaxUpdateSkew(SingleFloat),
        ModifyMinStratum(ModifyInteger), ModifyPollTarget(ModifyInteger),
        ModifyMakeStep(ModifyMakeStep), ModifySelectOptions(ModifySelectOptions),
        ModifyOffset(ModifyOffset),
        SetTime(SetTime), Manual(SingleOption), ManualDelete(Index),
        SourceData(Index), SourceStats(Index), SelectData(Index),
        NtpData(SingleAddress), NtpSourceName(SingleAddress), AuthData(SingleAddress),
        Allow(Subnet), AllowAll(Subnet), Deny(Subnet), DenyAll(Subnet),
        CommandAllow(Subnet), CommandAllowAll(Subnet),
        CommandDeny(Subnet), CommandDenyAll(Subnet),
        AccessCheck(SingleAddress), CommandAccessCheck(SingleAddress),
        AddSource(AddSource), DelSource(SingleAddress),
        AdjustFrequency(SingleFloat), AdjustOffset(SingleFloat),
        ReselectDistance(SingleFloat), SmoothTime(SingleOption),
        ClientAccesses(ClientAccessesRequest), Local(Local),
    }
    empty {
        Dump, NSources, Rekey, WriteRtc, Tracking, RtcReport, TrimRtc, CycleLogs, ManualList,
        MakeStep, Activity, Reselect, Smoothing, Refresh, ServerStats, Shutdown, OnOffline,
        ResetSources, ReloadSources,
    }
}

impl Request {
    /// Takes command and data of a datagram whose header was accepted (section 5, steps 6 to 9).
    /// Whether the sender may use the command is the next question
    /// ([`OpenCommands::permits`](crate::OpenCommands::permits)).
    ///
    /// # Errors
    /// The answer to be given instead.
    pub fn parse(header: &RequestHeader, datagram: &[u8]) -> Result<Self, Refusal> {
        match header.version {
            VERSION => {}
            FALLBACK_VERSION.. => return Err(Refusal::Status(Status::BadPacketVersion)),
            _ => return Err(Refusal::Silent),
        }
        let command = Command::from_code(header.command).ok_or(Refusal::Status(Status::Invalid))?;
        if datagram.len() < command.request_length() {
            return Err(Refusal::Status(Status::BadPacketLength));
        }
        Self::parse_data(command, datagram).ok_or(Refusal::Status(Status::BadPacketLength))
    }

    /// Takes the data of a request of any version, padded or not; `None` if it is too short.
    #[must_use]
    pub fn parse_data(command: Command, datagram: &[u8]) -> Option<Self> {
        let data = datagram.get(REQUEST_HEADER_LENGTH..)?;
        Self::read_data(command, &mut Reader::new(data))
    }

    /// The datagram of this request. Version 6 is padded with zeros to the length the daemon
    /// demands, version 5 is not (section 4.4). The code in `header` is replaced by that of the request.
    #[must_use]
    pub fn emit(&self, header: &RequestHeader) -> Datagram {
        let command = self.command();
        let length = if header.version == FALLBACK_VERSION {
            command.data_end()
        } else {
            command.request_length()
        };
        Datagram::build(length, |writer| {
            let header = RequestHeader {
                command: command.code(),
                ..*header
            };
            header.write(writer);
            self.write_data(writer);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, REQUEST_HEADER_LENGTH, Request};

    /// The structs are as long as the table says; DUMP alone has data that mean nothing.
    #[test]
    fn data_lengths() {
        for &command in Command::ALL {
            let ignored = if command == Command::Dump { 4 } else { 0 };
            assert_eq!(
                REQUEST_HEADER_LENGTH + Request::data_length(command) + ignored,
                command.data_end(),
                "{command:?}"
            );
        }
    }
}
