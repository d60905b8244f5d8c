//! Status of a reply (control-protocol chapter, section 7).

use crate::enumeration::wire_enum;

wire_enum! {
    /// What became of a request.
    pub enum Status {
        /// Done.
        Success = 0,
        /// Could not be done.
        Failed = 1,
        /// Not permitted on this socket.
        Unauthorised = 2,
        /// Unknown or withdrawn command, or a parameter without meaning.
        Invalid = 3,
        /// No source of this address, index, reference ID or mask.
        NoSuchSource = 4,
        /// Historic, never sent.
        InvalidTimestamp = 5,
        /// The facility is not enabled in the daemon.
        NotEnabled = 6,
        /// Prefix length or family out of range.
        BadSubnet = 7,
        /// Answer of an access check: allowed. A success.
        AccessAllowed = 8,
        /// Answer of an access check: denied. A success.
        AccessDenied = 9,
        /// Historic, never sent.
        NoHostAccess = 10,
        /// A source with this address exists.
        SourceAlreadyKnown = 11,
        /// The table of sources is full.
        TooManySources = 12,
        /// No real-time clock driver.
        NoRtc = 13,
        /// Parameters of the real-time clock cannot be written.
        BadRtcFile = 14,
        /// Client logging is off.
        Inactive = 15,
        /// No manual sample of this index.
        BadSample = 16,
        /// Address not of the demanded family.
        InvalidAddressFamily = 17,
        /// Protocol version not supported.
        BadPacketVersion = 18,
        /// Request shorter than its command requires.
        BadPacketLength = 19,
        /// The name is not a possible host name.
        InvalidName = 21,
    }
}

impl Status {
    /// Whether the client counts it as a success (exit status 0).
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(
            self,
            Self::Success | Self::AccessAllowed | Self::AccessDenied
        )
    }

    /// The line the client prints for it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Success => "200 OK",
            Self::Failed => "500 Failure",
            Self::Unauthorised => "501 Not authorised",
            Self::Invalid => "502 Invalid command",
            Self::NoSuchSource => "503 No such source",
            Self::InvalidTimestamp => "504 Duplicate or stale logon detected",
            Self::NotEnabled => "505 Facility not enabled in daemon",
            Self::BadSubnet => "507 Bad subnet",
            Self::AccessAllowed => "208 Access allowed",
            Self::AccessDenied => "209 Access denied",
            Self::NoHostAccess => "510 No command access from this host",
            Self::SourceAlreadyKnown => "511 Source already present",
            Self::TooManySources => "512 Too many sources present",
            Self::NoRtc => "513 RTC driver not running",
            Self::BadRtcFile => "514 Can't write RTC parameters",
            Self::Inactive => "519 Client logging is not active in the daemon",
            Self::BadSample => "516 Sample index out of range",
            Self::InvalidAddressFamily => "515 Invalid address family",
            Self::BadPacketVersion => "517 Protocol version mismatch",
            Self::BadPacketLength => "518 Packet length mismatch",
            Self::InvalidName => "521 Invalid name",
            Self::Unknown(_) => "520 Got unexpected error from daemon",
        }
    }
}
