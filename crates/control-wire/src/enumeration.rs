//! Enumerations and sets of bits inside replies (control-protocol chapter, section 11).
//!
//! Every enumeration keeps values it does not know, so that a newer daemon's reply is
//! shown as far as it is understood.

/// Defines an enumeration over a number of the wire with a variant for unknown values.
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $code:literal),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// A value without a meaning here.
            Unknown(u16),
        }

        impl $name {
            /// From the number of the wire.
            #[must_use]
            pub const fn from_code(code: u16) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    code => Self::Unknown(code),
                }
            }

            /// The number for the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown(code) => code,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::from_code(0)
            }
        }
    };
}
pub(crate) use wire_enum;

wire_enum! {
    /// Kind of a source (section 11.1).
    pub enum SourceMode {
        /// NTP client of a server.
        Client = 0,
        /// Symmetric peer.
        Peer = 1,
        /// Reference clock.
        ReferenceClock = 2,
    }
}

wire_enum! {
    /// Summary of a source's selection state (section 11.2).
    pub enum SourceState {
        /// The selected source.
        Selected = 0,
        /// Cannot be selected.
        NotSelectable = 1,
        /// Does not agree with the majority.
        Falseticker = 2,
        /// Jitter too large.
        Jittery = 3,
        /// Combined with the selected source.
        Combined = 4,
        /// Selectable but not used.
        NotCombined = 5,
    }
}

wire_enum! {
    /// Leap status (section 11.4).
    pub enum LeapStatus {
        /// No leap second announced.
        Normal = 0,
        /// The last minute of the day has 61 seconds.
        InsertSecond = 1,
        /// The last minute of the day has 59 seconds.
        DeleteSecond = 2,
        /// Not synchronised.
        Unsynchronised = 3,
    }
}

wire_enum! {
    /// Authentication of a source (section 11.6).
    pub enum AuthMode {
        /// None.
        None = 0,
        /// Symmetric key.
        SymmetricKey = 1,
        /// Network Time Security (RFC 8915).
        Nts = 2,
    }
}

wire_enum! {
    /// Where a packet was timestamped (section 11.7), an ASCII character.
    pub enum TimestampSource {
        /// No valid response yet.
        None = 0,
        /// By the daemon, `D`.
        Daemon = 0x44,
        /// By the hardware, `H`.
        Hardware = 0x48,
        /// By the kernel, `K`.
        Kernel = 0x4b,
    }
}

/// Defines a set of bits with named members.
macro_rules! bit_set {
    ($(#[$meta:meta])* pub struct $name:ident($repr:ty) {
        $($(#[$member_meta:meta])* $member:ident = $bits:literal),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub $repr);

        impl $name {
            $($(#[$member_meta])* pub const $member: Self = Self($bits);)*

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Both sets together.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// This set with the members of `other` added or left as they are.
            #[must_use]
            pub const fn with(self, other: Self, add: bool) -> Self {
                if add { self.union(other) } else { self }
            }
        }

        impl $crate::cursor::Wire for $name {
            const LEN: usize = size_of::<$repr>();
            fn read(reader: &mut $crate::cursor::Reader<'_>) -> Option<Self> {
                <$repr as $crate::cursor::Wire>::read(reader).map(Self)
            }
            fn write(&self, writer: &mut $crate::cursor::Writer<'_>) {
                $crate::cursor::Wire::write(&self.0, writer);
            }
        }
    };
}
pub(crate) use bit_set;

bit_set! {
    /// Selection options as reported (section 9.6, bit set A).
    pub struct SelectOptions(u16) {
        /// Never select the source.
        NOSELECT = 0x1,
        /// Prefer the source.
        PREFER = 0x2,
        /// Trust the source.
        TRUST = 0x4,
        /// Require the source.
        REQUIRE = 0x8,
    }
}

bit_set! {
    /// Smoothing flags (section 11.5).
    pub struct SmoothingFlags(u32) {
        /// Smoothing is active.
        ACTIVE = 0x1,
        /// Only leap seconds are smoothed.
        LEAP_ONLY = 0x2,
    }
}

bit_set! {
    /// Flags of an NTP report (section 11.8).
    pub struct NtpDataFlags(u16) {
        /// The ten tests, from test 1 at bit 9 down to D at bit 0.
        TESTS = 0x3ff,
        /// The last response was interleaved.
        INTERLEAVED = 0x4000,
        /// Authentication is enabled for the source.
        AUTHENTICATED = 0x8000,
    }
}
