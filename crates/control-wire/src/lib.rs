//! chrony's control protocol: the datagrams between `chronyc` and `chronyd`, typed, in both
//! directions. No I/O.
//!
//! A message is a fixed header and, depending on a code, one fixed layout of data. Every
//! layout is a plain struct made by one macro from a table of fields (`wire_struct!`), which
//! yields length, reading and writing together, so the two directions cannot disagree.
//! [`Request`] and [`Reply`] are the enums of all layouts.
//!
//! **The daemon** takes a datagram in the steps of the control-protocol chapter, section 5:
//!
//! 1. [`RequestHeader::parse`] (steps 3 and 4; on error drop it uncounted),
//! 2. its own rate limit (step 5),
//! 3. [`Request::parse`] (steps 6 to 9; the error says whether and what to answer),
//! 4. [`OpenCommands::permits`] (step 10, else [`Status::Unauthorised`]),
//! 5. execution, then [`Reply::answer`].
//!
//! **The client** sends [`Request::emit`], matches what comes back with [`ReplyHeader::parse`]
//! and [`ReplyHeader::answers`], and takes the data with [`Reply::parse`].
//!
//! Numbers keep the bits of the wire ([`Float`], [`Timespec`]) and enumerations keep values
//! they do not know, so decoding and encoding a message gives the same bytes. Parsing never
//! panics and never allocates; a message is emitted on the stack ([`Datagram`]).

mod address;
mod command;
mod cursor;
mod datagram;
mod enumeration;
mod float;
mod name;
mod reply;
mod reply_data;
mod report_data;
mod request;
mod request_data;
mod source_flags;
mod status;
mod timespec;

pub use address::Address;
pub use command::{
    Command, CommandClass, DEFAULT_OPEN_COMMAND_WORDS, OPEN_COMMAND_WORDS, OpenCommands, Transport,
};
pub use cursor::Reserved;
pub use datagram::Datagram;
pub use enumeration::{
    AuthMode, LeapStatus, NtpDataFlags, SelectOptions, SmoothingFlags, SourceMode, SourceState,
    TimestampSource,
};
pub use float::Float;
pub use name::SourceName;
pub use reply::{
    MAX_REPLY_LENGTH, REPLY_HEADER_LENGTH, REPLY_NULL, Reply, ReplyError, ReplyHeader, reply_length,
};
pub use reply_data::{
    Activity, AuthData, MAX_MANUAL_SAMPLES, ManualList, ManualSample, ManualTimestamp, NEVER_S,
    NSources, Rtc, SelectData, Smoothing, SourceData, SourceStats, Tracking,
};
pub use report_data::{
    ClientAccesses, ClientRecord, MAX_CLIENT_RECORDS, NtpData, ServerStats, UNKNOWN_INTERVAL,
};
pub use request::{
    FALLBACK_VERSION, MAX_REQUEST_LENGTH, MIN_REQUEST_LENGTH, NotARequest, REQUEST_HEADER_LENGTH,
    Refusal, Request, RequestHeader, VERSION,
};
pub use request_data::{
    AddSource, Burst, ClientAccessesRequest, Index, Local, MaskedAddress, ModifyFloat,
    ModifyInteger, ModifyMakeStep, ModifyOffset, ModifySelectOptions, SetTime, SingleAddress,
    SingleFloat, SingleOption, SourceKind, Subnet,
};
pub use source_flags::SourceFlags;
pub use status::Status;
pub use timespec::Timespec;

/// The version that both programs show: first the version of chrony whose behaviour they
/// have, because scripts compare it, then their own.
pub const PROGRAM_VERSION: &str = concat!("4.9-isochrony-", env!("CARGO_PKG_VERSION"));
