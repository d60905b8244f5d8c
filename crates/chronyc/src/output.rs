//! Standard output: written at the end of a command, or line by line on a terminal.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

/// Prints a line on stderr. Unlike `eprintln!` it does not mind a stderr that cannot be written.
macro_rules! complain {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}
pub(crate) use complain;

/// Ends the line of a prompt.
pub(crate) fn new_line() {
    let _ = writeln!(std::io::stdout());
}

/// Bytes collected before they are written in the middle of a command.
const BUFFER_SIZE: usize = 64 * 1024;

/// The output not yet written, and whether writing has failed.
#[derive(Debug)]
pub(crate) struct Output {
    /// A copy of the descriptor, since std's own handle makes a system call a line.
    file: Option<File>,
    pending: Vec<u8>,
    line_buffered: bool,
    failed: bool,
}

impl Output {
    /// Takes over standard output.
    pub(crate) fn stdout() -> Self {
        let stdout = std::io::stdout();
        Self {
            line_buffered: stdout.is_terminal(),
            file: stdout.as_fd().try_clone_to_owned().ok().map(File::from),
            pending: Vec::new(),
            failed: false,
        }
    }

    /// Adds `text` as it is.
    pub(crate) fn put(&mut self, text: &str) {
        self.pending.extend_from_slice(text.as_bytes());
        if self.pending.len() >= BUFFER_SIZE || (self.line_buffered && text.ends_with('\n')) {
            self.write_pending();
        }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, text: &str) {
        self.pending.extend_from_slice(text.as_bytes());
        self.put("\n");
    }

    /// Writes everything. `false` if this or an earlier write since the last call failed.
    pub(crate) fn flush(&mut self) -> bool {
        self.write_pending();
        !std::mem::take(&mut self.failed)
    }

    /// Writes everything; a failure is told by the next [`Output::flush`].
    pub(crate) fn write_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.pending).is_ok(),
            None => false,
        };
        self.failed |= !written;
        self.pending.clear();
    }
}
