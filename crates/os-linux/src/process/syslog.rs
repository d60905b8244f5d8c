//! The system log (system chapter, section 8.1): facility daemon, with the process
//! number.

use std::ffi::CString;

/// Severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For developers, 7.
    Debug,
    /// Normal events, 6.
    Info,
    /// Something is not as it should be, 4.
    Warning,
    /// Something failed, 3.
    Error,
    /// The daemon ends, 2.
    Fatal,
}

impl Severity {
    /// The priority of syslog(3).
    pub fn priority(self) -> i32 {
        match self {
            Self::Debug => libc::LOG_DEBUG,
            Self::Info => libc::LOG_INFO,
            Self::Warning => libc::LOG_WARNING,
            Self::Error => libc::LOG_ERR,
            Self::Fatal => libc::LOG_CRIT,
        }
    }
}

/// The open system log.
#[derive(Debug)]
pub struct Syslog {
    /// The C library keeps the pointer until the log is closed.
    _identity: CString,
}

impl Syslog {
    /// Opens the log under a name such as `chronyd`. The connection is made with the
    /// first message.
    pub fn open(identity: &str) -> Self {
        let identity = to_c(identity);
        // SAFETY: the name lives as long as the log is open: it is in the value whose
        // drop closes the log.
        unsafe { libc::openlog(identity.as_ptr(), libc::LOG_PID, libc::LOG_DAEMON) };
        Self {
            _identity: identity,
        }
    }

    /// Writes a message, without any line end.
    pub fn write(&self, severity: Severity, message: &str) {
        let message = to_c(message);
        // SAFETY: the format takes one string, which ends with a zero byte.
        unsafe { libc::syslog(severity.priority(), c"%s".as_ptr(), message.as_ptr()) };
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        // SAFETY: the call has no arguments.
        unsafe { libc::closelog() };
    }
}

/// A C string; what follows a zero byte is left out.
fn to_c(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_of_the_specification() {
        let of = |severity: Severity| severity.priority();
        assert_eq!(of(Severity::Debug), 7);
        assert_eq!(of(Severity::Info), 6);
        assert_eq!(of(Severity::Warning), 4);
        assert_eq!(of(Severity::Error), 3);
        assert_eq!(of(Severity::Fatal), 2);
        assert!(Severity::Debug < Severity::Fatal);
    }

    #[test]
    fn messages_end_at_a_zero_byte_and_formats_are_not_interpreted() {
        assert_eq!(to_c("100 %s\0rest").as_bytes(), b"100 %s");
        let log = Syslog::open("isochrony-test");
        log.write(Severity::Debug, "%s%n%s from the tests of isochrony");
    }
}
