//! Telling the service manager that the daemon is ready, and that it stops (system
//! chapter, sections 3.1 and 3.2).

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::arguments::Arguments;

/// Who is to be told.
#[derive(Debug, Default)]
pub struct Supervisor {
    /// `NOTIFY_SOCKET`
    socket: Option<OsString>,
    /// `-N`
    descriptor: Option<i32>,
}

impl Supervisor {
    /// From the option `-N` and the environment.
    pub fn new(arguments: &Arguments) -> Self {
        Self {
            socket: std::env::var_os("NOTIFY_SOCKET"),
            descriptor: (arguments.notify_fd != 0).then_some(arguments.notify_fd),
        }
    }

    /// The daemon is ready. The error is a fatal message.
    pub fn ready(&mut self) -> Result<(), String> {
        if let Some(number) = self.descriptor.take() {
            os_linux::process::take_descriptor(number)
                .and_then(|mut file| file.write_all(b"\n"))
                .map_err(|_| "Could not send notification requested by -N option".to_owned())?;
        }
        self.send(b"READY=1")
    }

    /// The daemon is about to exit. The error is a fatal message.
    pub fn stopping(&self) -> Result<(), String> {
        self.send(b"STOPPING=1")
    }

    fn send(&self, state: &[u8]) -> Result<(), String> {
        let Some(name) = &self.socket else {
            return Ok(());
        };
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name),
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
            _ => return Err("Unsupported notification socket".to_owned()),
        };
        address
            .and_then(|address| send_to(&address, state))
            .map_err(|_| "Could not send notification to $NOTIFY_SOCKET".to_owned())
    }
}

fn send_to(address: &SocketAddr, state: &[u8]) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to_addr(state, address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(socket: &str) -> Supervisor {
        Supervisor {
            socket: Some(socket.into()),
            descriptor: None,
        }
    }

    #[test]
    fn states_arrive_at_paths_and_abstract_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let named = UnixDatagram::bind(&path).unwrap();
        let mut told = supervisor(path.to_str().unwrap());
        told.ready().unwrap();
        told.stopping().unwrap();
        let name = format!("isochrony-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let hidden = UnixDatagram::bind_addr(&address).unwrap();
        supervisor(&format!("@{name}")).ready().unwrap();
        let mut buffer = [0; 32];
        for (socket, expected) in [
            (&named, b"READY=1".as_slice()),
            (&named, b"STOPPING=1"),
            (&hidden, b"READY=1"),
        ] {
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected);
        }
    }

    #[test]
    fn failures_are_the_reference_s() {
        let error = supervisor("relative").ready().unwrap_err();
        assert_eq!(error, "Unsupported notification socket");
        let error = supervisor("/nonexistent/socket").ready().unwrap_err();
        assert_eq!(error, "Could not send notification to $NOTIFY_SOCKET");
        let mut closed = Supervisor {
            socket: None,
            descriptor: Some(999),
        };
        assert_eq!(
            closed.ready().unwrap_err(),
            "Could not send notification requested by -N option"
        );
        Supervisor::default().ready().unwrap();
    }
}
