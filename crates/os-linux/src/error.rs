//! Errors of system calls, with the call's name, as the daemon's messages print them.

use std::fmt;
use std::io;

/// A system call that failed.
///
/// Prints as `<call>() failed : <reason>`, the form of the daemon's messages (system
/// chapter, section 8.3).
#[derive(Debug)]
pub struct CallError {
    /// The call with the arguments that the message shows, for example `setgid(104)`; a
    /// name without arguments is printed with `()`.
    pub call: String,
    /// Why it failed.
    pub error: io::Error,
}

impl CallError {
    /// A failure of `call` for the reason `error`.
    pub fn new(call: impl Into<String>, error: io::Error) -> Self {
        Self {
            call: call.into(),
            error,
        }
    }

    /// A failure of `call` for the reason in `errno`.
    pub(crate) fn last(call: impl Into<String>) -> Self {
        Self::new(call, io::Error::last_os_error())
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parentheses = if self.call.ends_with(')') { "" } else { "()" };
        let reason = error_text(&self.error);
        write!(f, "{}{parentheses} failed : {reason}", self.call)
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The C library's text for an error, as log messages print it: `Permission denied`, and
/// not std's `Permission denied (os error 13)`.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => match text.strip_suffix(&format!(" (os error {number})")) {
            Some(stripped) => stripped.to_owned(),
            None => text,
        },
        None => text,
    }
}

/// The usual convention of the C library: a negative result means that the reason is in
/// `errno`.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The same convention for calls that return a length.
pub(crate) fn check_length(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The size of `T` as the kernel's socket interface takes it.
pub(crate) fn length_of<T>() -> libc::socklen_t {
    // Every type passed to the kernel here is below 4 KiB.
    std::mem::size_of::<T>() as libc::socklen_t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_c_library() {
        let denied = io::Error::from_raw_os_error(libc::EPERM);
        assert_eq!(error_text(&denied), "Operation not permitted");
        assert_eq!(error_text(&io::Error::other("own text")), "own text");
        assert_eq!(
            CallError::new("setgid(104)", denied).to_string(),
            "setgid(104) failed : Operation not permitted"
        );
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(
            CallError::new("chdir", denied).to_string(),
            "chdir() failed : Permission denied"
        );
    }
}
