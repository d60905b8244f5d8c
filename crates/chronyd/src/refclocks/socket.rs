//! The driver `SOCK`: another program sends samples to a Unix socket.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use chrony_conf::refclock::RefclockSpec;
use discipline::journal::Severity;
use engine::event::Now;
use engine::refclock::{RefclockData, RefclockDriver};
use os_linux::error_text;
use os_linux::hardware::{SAMPLE_MESSAGE_LENGTH, SampleMessage};
use os_linux::socket::{bind_unix_datagram, receive_unix};

use super::{Driver, Report, leap};
use crate::output::Output;

/// Datagrams taken in one turn of the loop, so that a flood leaves time for all else.
const TURN: usize = 16;

/// A socket for samples.
pub(super) struct SampleSocket {
    path: PathBuf,
    /// None after an error that would come again.
    socket: Option<UnixDatagram>,
}

impl SampleSocket {
    pub(super) fn open(spec: &RefclockSpec) -> Result<Self, String> {
        let path = chrony_conf::text::to_path(&spec.parameter);
        match bind_unix_datagram(&path) {
            Ok(socket) => Ok(Self {
                path,
                socket: Some(socket),
            }),
            Err(_) => Err(format!("Could not open socket {}", path.display())),
        }
    }
}

impl Driver for SampleSocket {
    fn kind(&self) -> RefclockDriver {
        RefclockDriver::Pushed
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    fn receive(&mut self, _at: Now, report: Report<'_>, output: &mut Output) {
        for _ in 0..TURN {
            let Some(socket) = &self.socket else {
                return;
            };
            let mut datagram = [0; SAMPLE_MESSAGE_LENGTH];
            let received = match receive_unix(socket.as_fd(), &mut datagram) {
                Ok(received) => received,
                Err(error) => {
                    let again = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
                    if !again.contains(&error.kind()) {
                        let (path, reason) = (self.path.display(), error_text(&error));
                        let text = format!("Could not read from socket {path} : {reason}");
                        output.write(Severity::Error, &text);
                        self.socket = None;
                    }
                    return;
                }
            };
            let whole = datagram
                .get(..received.length)
                .filter(|_| !received.truncated);
            if let Some(message) = whole.and_then(SampleMessage::parse) {
                report(data(&message));
            }
        }
    }

    fn close(&mut self) {
        // Without rights to its folder it stays, and the next start removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn data(message: &SampleMessage) -> RefclockData<'static> {
    if message.pulse {
        // A quirk: here the offset has the opposite sign.
        RefclockData::Pulse {
            local: message.local,
            fraction_s: message.offset_s,
        }
    } else {
        RefclockData::Timed {
            local: message.local,
            reference: message.local.plus(message.offset_s),
            leap: leap(message.leap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use discipline::time::RawTime;
    use ntp_wire::LeapIndicator;

    fn message(pulse: bool) -> SampleMessage {
        SampleMessage {
            local: RawTime::from_parts(1_000, 500),
            offset_s: -0.25,
            pulse,
            leap: 2,
        }
    }

    #[test]
    fn the_offset_leads_to_the_other_clock_but_for_pulses() {
        let RefclockData::Timed {
            local,
            reference,
            leap,
        } = data(&message(false))
        else {
            panic!("a sample");
        };
        assert_eq!(reference.since(local), -0.25);
        assert_eq!(leap, LeapIndicator::DeleteSecond);
        let RefclockData::Pulse { fraction_s, .. } = data(&message(true)) else {
            panic!("a pulse");
        };
        assert_eq!(fraction_s, -0.25);
    }
}
