//! What key establishments of both sides share: the way out of their octets, and the time
//! scale of the NTS rooms (NTS chapter, sections 5.3 and 9).

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

use discipline::time::MonotonicTime;
use nts::time::RunningTime;

/// The running time as the NTS rooms count it.
pub fn running(at: MonotonicTime) -> RunningTime {
    RunningTime::from_ns(at.as_ns())
}

/// The first of the deadlines of some sessions.
pub fn earliest(deadlines: impl Iterator<Item = RunningTime>) -> Option<MonotonicTime> {
    let deadline = deadlines.min()?;
    Some(MonotonicTime::from_ns(deadline.as_ns()))
}

/// Sends what a non-blocking connection takes now; the rest stays in `unsent`.
///
/// # Errors
///
/// When the connection is lost; nothing is left to be sent then.
pub fn send(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    while !unsent.is_empty() {
        match stream.write(unsent) {
            Ok(length) => drop(unsent.drain(..length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                unsent.clear();
                return Err(error);
            }
        }
    }
    Ok(())
}
