//! A system log of a program's own: a socket in the place of `/dev/log`, in a mount namespace.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use discipline::journal::Severity;

/// Devices that programs need.
const DEVICES: &str = "null zero urandom random";

/// Facility `daemon` of syslog(3), which is in the priority beside the severity.
const FACILITY: u32 = 3 << 3;

/// A folder in which a program is run, with its system log.
pub(crate) struct SystemLog {
    pub(crate) folder: tempfile::TempDir,
    socket: UnixDatagram,
}

impl SystemLog {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let devices = folder.path().join("dev");
        std::fs::create_dir(&devices).expect("folder of devices");
        for name in DEVICES.split(' ') {
            File::create(devices.join(name)).expect("place of a device");
        }
        let socket = UnixDatagram::bind(devices.join("log")).expect("socket");
        socket.set_nonblocking(true).expect("not blocking");
        Self { folder, socket }
    }

    /// Runs a program to its end, after shell commands (`$F` is the folder). Descriptor 3 is
    /// `inherited`. What it said to the log.
    pub(crate) fn run(
        &self,
        setup: &str,
        command: Command,
        inherited: Option<OwnedFd>,
    ) -> Vec<(Severity, String)> {
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let descriptor = if inherited.is_some() { "3<&0" } else { "" };
        let script = format!(
            "set -e; for d in {DEVICES}; do mount --bind /dev/$d $F/dev/$d; done\n\
             mount --bind $F/dev /dev; ip link set lo up\n{setup}\n\
             exec \"$@\" {descriptor} </dev/null"
        );
        let mut shell = Command::new("unshare");
        shell
            .args(["-n", "-m", "-i", "sh", "-c", &script, "sh"])
            .arg(program)
            .args(arguments)
            .envs(command.get_envs().filter_map(|(n, v)| Some((n, v?))))
            .env("F", self.folder.path())
            .stdin(inherited.map_or(Stdio::null(), Stdio::from))
            .stdout(Stdio::null());
        let output = shell.output().expect("run");
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
            said.push(parsed(&line));
        }
        assert!(
            !said.is_empty(),
            "nothing in the log: {setup} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }
}

/// `<30>Jan  2 03:04:05 chronyd[1234]: text`.
fn parsed(line: &str) -> (Severity, String) {
    let line = line.trim_end_matches(['\0', '\n']);
    let (priority, rest) = line[1..].split_once('>').expect("a priority");
    let severity = match priority.parse::<u32>().expect("a number") - FACILITY {
        7 => Severity::Debug,
        6 => Severity::Info,
        4 => Severity::Warning,
        3 => Severity::Error,
        2 => Severity::Fatal,
        other => panic!("severity {other}"),
    };
    let (stamp, text) = rest.split_once("]: ").expect("a program");
    let (stamp, program) = stamp.split_at(16);
    assert!(stamp.ends_with(' ') && stamp[9..15].contains(':'), "{line}");
    assert!(program.starts_with("chronyd["), "{line}");
    (severity, text.to_owned())
}
