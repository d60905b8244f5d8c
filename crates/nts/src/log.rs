//! Messages for the log, handed out as text: nothing here writes them.

/// Information after server keys were loaded (NTS chapter, section 8.3).
pub const LOADED_SERVER_KEYS: &str = "Loaded server NTS keys";
/// Error when the file of server keys cannot be used.
pub const COULD_NOT_LOAD_SERVER_KEYS: &str = "Could not load server NTS keys";
/// Error when the file of server keys cannot be written.
pub const COULD_NOT_SAVE_SERVER_KEYS: &str = "Could not save server NTS keys";
/// Warning of a server without `ntsdumpdir`.
pub const NO_DUMP_DIRECTORY: &str = "No ntsdumpdir to save server keys";
/// Fatal error when there are more `ntsservercert` than `ntsserverkey`, or fewer.
pub const UNEVEN_PAIRS: &str = "Uneven number of NTS certs and keys";
/// Warning when a peer is added with the option `nts`.
pub const NOT_WITH_PEERS: &str = "NTS not supported with peers";

/// Severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Information.
    Info,
    /// Warning.
    Warning,
    /// Error.
    Error,
    /// What to do about the error in the line before, where chrony says nothing.
    Explanation,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its severity.
    pub severity: Severity,
    /// Its text, without severity.
    pub text: String,
}

impl LogLine {
    /// A line of this severity.
    pub fn new(severity: Severity, text: impl Into<String>) -> Self {
        Self {
            severity,
            text: text.into(),
        }
    }
}
