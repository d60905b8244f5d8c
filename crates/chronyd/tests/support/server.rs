//! The program under test as a server with a command socket.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use control_wire::{
    MAX_REPLY_LENGTH, Reply, ReplyHeader, Request, RequestHeader, ServerStats, Status, VERSION,
};
use tempfile::TempDir;

use super::{Running, uninterrupted, wait_until};

/// How long an answer may take on a busy machine.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Server {
    running: Running,
    commands: UnixDatagram,
    /// Kept until the end, as the sockets are in it.
    _folder: TempDir,
}

impl Server {
    /// Starts it with these directives, and waits until it takes commands, by which time its
    /// sockets are open.
    pub(crate) fn start(directives: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let socket = folder.path().join("run/chronyd.sock");
        let fixed = [
            format!("bindcmdaddress {}", socket.display()),
            "cmdport 0".to_owned(),
            "pidfile /".to_owned(),
        ];
        let given = directives.iter().map(|line| (*line).to_owned());
        let lines: Vec<String> = fixed.into_iter().chain(given).collect();
        let running = Running::chronyd(folder.path(), &lines);
        let commands = UnixDatagram::bind(folder.path().join("client.sock")).expect("bind");
        commands
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .expect("timeout");
        wait_until("command socket", || commands.connect(&socket).ok());
        let server = Self {
            running,
            commands,
            _folder: folder,
        };
        server.ask(Request::Tracking);
        server
    }

    /// Its process.
    pub(crate) fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Its process ID.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// What it answers to a command, which must succeed.
    pub(crate) fn ask(&self, request: Request) -> Reply {
        let header = RequestHeader {
            version: VERSION,
            command: 0,
            attempt: 0,
            sequence: 0x5eed,
        };
        let datagram = request.emit(&header);
        self.commands.send(&datagram).expect("send");
        let mut buffer = [0; MAX_REPLY_LENGTH];
        let length = uninterrupted(|| self.commands.recv(&mut buffer)).expect("reply");
        let reply = ReplyHeader::parse(&buffer[..length]).expect("header");
        assert_eq!(reply.status, Status::Success, "{request:?}");
        Reply::parse(&reply, &buffer[..length]).expect("reply")
    }

    /// Its counters.
    pub(crate) fn statistics(&self) -> ServerStats {
        match self.ask(Request::ServerStats) {
            Reply::ServerStats(statistics) => statistics,
            other => panic!("{other:?}"),
        }
    }
}
