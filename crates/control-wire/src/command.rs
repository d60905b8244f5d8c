//! The commands: codes, lengths, and who may use them (control-protocol chapter, sections
//! 6.1 and 9.1).

/// Who may use a command (section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandClass {
    /// Over the Unix socket, and over UDP if `opencommands` names it; named by default.
    Open,
    /// Over the Unix socket, and over UDP if `opencommands` names it; not named by default.
    Openable,
    /// Over the Unix socket only.
    Local,
}

macro_rules! commands {
    ($($variant:ident = $code:literal, $name:literal, $data_end:literal, $length:literal,
        $reply:literal, $class:ident;)*) => {
        /// A command of the present protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Command {
            $(#[doc = concat!("`", $name, "`, code ", $code, ".")] $variant = $code,)*
        }

        impl Command {
            /// Every command, by ascending code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The command of a code; `None` for codes never assigned and withdrawn ones.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Name in the chapter; it never travels.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Length in bytes of header and data, which is the whole of a version 5 request.
            #[must_use]
            pub const fn data_end(self) -> usize {
                match self { $(Self::$variant => $data_end,)* }
            }

            /// Length in bytes of a version 6 request with its padding: the least the daemon accepts.
            #[must_use]
            pub const fn request_length(self) -> usize {
                match self { $(Self::$variant => $length,)* }
            }

            /// Code of the reply that answers it on success.
            #[must_use]
            pub const fn reply_code(self) -> u16 {
                match self { $(Self::$variant => $reply,)* }
            }

            /// Who may use it.
            #[must_use]
            pub const fn class(self) -> CommandClass {
                match self { $(Self::$variant => CommandClass::$class,)* }
            }
        }
    };
}

commands! {
    Online = 1, "ONLINE", 60, 60, 1, Local;
    Offline = 2, "OFFLINE", 60, 60, 1, Local;
    Burst = 3, "BURST", 68, 68, 1, Local;
    ModifyMinPoll = 4, "MODIFY_MINPOLL", 44, 44, 1, Local;
    ModifyMaxPoll = 5, "MODIFY_MAXPOLL", 44, 44, 1, Local;
    Dump = 6, "DUMP", 24, 28, 1, Local;
    ModifyMaxDelay = 7, "MODIFY_MAXDELAY", 44, 44, 1, Local;
    ModifyMaxDelayRatio = 8, "MODIFY_MAXDELAYRATIO", 44, 44, 1, Local;
    ModifyMaxUpdateSkew = 9, "MODIFY_MAXUPDATESKEW", 24, 28, 1, Local;
    SetTime = 11, "SETTIME", 32, 40, 17, Local;
    Manual = 13, "MANUAL", 24, 28, 1, Local;
    NSources = 14, "N_SOURCES", 20, 32, 2, Open;
    SourceData = 15, "SOURCE_DATA", 24, 76, 3, Open;
    Rekey = 16, "REKEY", 20, 28, 1, Local;
    Allow = 17, "ALLOW", 44, 44, 1, Local;
    AllowAll = 18, "ALLOWALL", 44, 44, 1, Local;
    Deny = 19, "DENY", 44, 44, 1, Local;
    DenyAll = 20, "DENYALL", 44, 44, 1, Local;
    CommandAllow = 21, "CMDALLOW", 44, 44, 1, Local;
    CommandAllowAll = 22, "CMDALLOWALL", 44, 44, 1, Local;
    CommandDeny = 23, "CMDDENY", 44, 44, 1, Local;
    CommandDenyAll = 24, "CMDDENYALL", 44, 44, 1, Local;
    AccessCheck = 25, "ACCHECK", 40, 40, 1, Local;
    CommandAccessCheck = 26, "CMDACCHECK", 40, 40, 1, Local;
    DelSource = 29, "DEL_SOURCE", 40, 40, 1, Local;
    WriteRtc = 30, "WRITERTC", 20, 28, 1, Local;
    AdjustFrequency = 31, "DFREQ", 24, 28, 1, Local;
    Tracking = 33, "TRACKING", 20, 104, 5, Open;
    SourceStats = 34, "SOURCESTATS", 24, 84, 6, Open;
    RtcReport = 35, "RTCREPORT", 20, 56, 7, Open;
    TrimRtc = 36, "TRIMRTC", 20, 28, 1, Local;
    CycleLogs = 37, "CYCLELOGS", 20, 28, 1, Local;
    ManualList = 41, "MANUAL_LIST", 20, 416, 18, Open;
    ManualDelete = 42, "MANUAL_DELETE", 24, 28, 1, Local;
    MakeStep = 43, "MAKESTEP", 20, 28, 1, Local;
    Activity = 44, "ACTIVITY", 20, 48, 12, Open;
    ModifyMinStratum = 45, "MODIFY_MINSTRATUM", 44, 44, 1, Local;
    ModifyPollTarget = 46, "MODIFY_POLLTARGET", 44, 44, 1, Local;
    ModifyMaxDelayDevRatio = 47, "MODIFY_MAXDELAYDEVRATIO", 44, 44, 1, Local;
    Reselect = 48, "RESELECT", 20, 28, 1, Local;
    ReselectDistance = 49, "RESELECTDISTANCE", 24, 28, 1, Local;
    ModifyMakeStep = 50, "MODIFY_MAKESTEP", 28, 28, 1, Local;
    Smoothing = 51, "SMOOTHING", 20, 52, 13, Open;
    SmoothTime = 52, "SMOOTHTIME", 24, 28, 1, Local;
    Refresh = 53, "REFRESH", 20, 28, 1, Local;
    ServerStats = 54, "SERVER_STATS", 20, 196, 25, Openable;
    NtpData = 57, "NTP_DATA", 40, 172, 26, Openable;
    Shutdown = 62, "SHUTDOWN", 20, 28, 1, Local;
    OnOffline = 63, "ONOFFLINE", 20, 28, 1, Local;
    AddSource = 64, "ADD_SOURCE", 372, 372, 1, Local;
    NtpSourceName = 65, "NTP_SOURCE_NAME", 40, 284, 19, Open;
    ResetSources = 66, "RESET_SOURCES", 20, 28, 1, Local;
    AuthData = 67, "AUTH_DATA", 40, 52, 20, Openable;
    ClientAccesses = 68, "CLIENT_ACCESSES_BY_INDEX3", 36, 520, 21, Openable;
    SelectData = 69, "SELECT_DATA", 24, 76, 23, Openable;
    ReloadSources = 70, "RELOAD_SOURCES", 20, 28, 1, Local;
    AdjustOffset = 71, "DOFFSET2", 24, 28, 1, Local;
    ModifySelectOptions = 72, "MODIFY_SELECTOPTS", 52, 52, 1, Local;
    ModifyOffset = 73, "MODIFY_OFFSET", 48, 48, 1, Local;
    Local = 74, "LOCAL3", 48, 48, 1, Local;
}

impl Command {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// Where a request came from, as far as permission goes (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The Unix domain socket: every command.
    Unix,
    /// UDP: commands opened by `opencommands` only.
    Udp,
}

/// The words of `opencommands` with the commands they open (section 6.1).
pub const OPEN_COMMAND_WORDS: &[(&str, &[Command])] = &[
    ("activity", &[Command::Activity]),
    ("authdata", &[Command::NSources, Command::AuthData]),
    ("clients", &[Command::ClientAccesses]),
    ("manual", &[Command::ManualList]),
    ("ntpdata", &[Command::NSources, Command::NtpData]),
    ("rtcdata", &[Command::RtcReport]),
    ("selectdata", &[Command::NSources, Command::SelectData]),
    ("serverstats", &[Command::ServerStats]),
    ("smoothing", &[Command::Smoothing]),
    ("sourcename", &[Command::NtpSourceName]),
    ("sources", &[Command::NSources, Command::SourceData]),
    ("sourcestats", &[Command::NSources, Command::SourceStats]),
    ("tracking", &[Command::Tracking]),
];

/// The words open without an `opencommands` directive.
pub const DEFAULT_OPEN_COMMAND_WORDS: &[&str] = &[
    "activity",
    "manual",
    "rtcdata",
    "smoothing",
    "sourcename",
    "sources",
    "sourcestats",
    "tracking",
];

/// The set of commands answered over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCommands {
    /// Bit n is the command of code n; every code is below 128.
    bits: u128,
}

impl OpenCommands {
    /// Nothing is open.
    #[must_use]
    pub const fn none() -> Self {
        Self { bits: 0 }
    }

    /// The commands opened by `words` (their case does not matter).
    ///
    /// # Errors
    /// The first word that is not in [`OPEN_COMMAND_WORDS`].
    pub fn from_words<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, &'w str> {
        let mut open = Self::none();
        for word in words {
            let (_, commands) = OPEN_COMMAND_WORDS
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(word))
                .ok_or(word)?;
            for command in *commands {
                open.bits |= 1 << command.code();
            }
        }
        Ok(open)
    }

    /// Whether the command is in the set.
    #[must_use]
    pub const fn contains(self, command: Command) -> bool {
        self.bits & (1 << command.code()) != 0
    }

    /// Whether a command may be executed that came over `transport` from a host that is
    /// answered at all (section 5, step 10).
    #[must_use]
    pub const fn permits(self, command: Command, transport: Transport) -> bool {
        match transport {
            Transport::Unix => true,
            Transport::Udp => self.contains(command),
        }
    }
}

impl Default for OpenCommands {
    /// The set without an `opencommands` directive.
    fn default() -> Self {
        let class_open = Command::ALL
            .iter()
            .filter(|command| command.class() == CommandClass::Open);
        Self {
            bits: class_open.fold(0, |bits, command| bits | 1 << command.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Command, CommandClass, DEFAULT_OPEN_COMMAND_WORDS, OPEN_COMMAND_WORDS, OpenCommands,
    };

    /// The class column of the table and the words agree.
    #[test]
    fn classes_agree_with_words() {
        let default = OpenCommands::from_words(DEFAULT_OPEN_COMMAND_WORDS.iter().copied());
        assert_eq!(default, Ok(OpenCommands::default()));
        let every = OpenCommands::from_words(OPEN_COMMAND_WORDS.iter().map(|(word, _)| *word));
        let every = every.unwrap();
        for &command in Command::ALL {
            assert_eq!(
                every.contains(command),
                command.class() != CommandClass::Local
            );
        }
        assert_eq!(
            OpenCommands::from_words(["Tracking", "nosuch"]),
            Err("nosuch")
        );
    }

    /// No reply is longer than its request (section 4.4).
    #[test]
    fn requests_are_as_long_as_replies() {
        for &command in Command::ALL {
            assert!(command.code() < 128);
            assert_eq!(Command::from_code(command.code()), Some(command));
            let reply = crate::reply_length(command.reply_code());
            assert_eq!(
                command.request_length(),
                command.data_end().max(reply),
                "{command:?}"
            );
        }
    }
}
