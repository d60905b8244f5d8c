//! The program under test and Debian's chrony, started and asked in the same way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{CHRONYD, Running, finish};

/// One of the two implementations.
pub(crate) struct Program {
    /// For names of folders and files.
    pub(crate) name: &'static str,
    path: PathBuf,
}

impl Program {
    /// The program under test.
    pub(crate) fn ours() -> Self {
        Self {
            name: "ours",
            path: CHRONYD.into(),
        }
    }

    /// Debian's chrony in the folder of peers.
    pub(crate) fn theirs(peers: &Path) -> Self {
        Self {
            name: "theirs",
            path: peers.join("chrony/usr/sbin/chronyd"),
        }
    }

    /// Starts it without control of the clock. Its command socket is in `folder`.
    pub(crate) fn start(&self, folder: &Path, arguments: &[&str], lines: &[String]) -> Running {
        Running::start(
            &mut self.command(folder, arguments, lines),
            folder,
            self.name,
        )
    }

    /// What [`Self::start`] runs.
    pub(crate) fn command(&self, folder: &Path, arguments: &[&str], lines: &[String]) -> Command {
        let socket = format!("bindcmdaddress {}/command.sock", folder.display());
        // Chrony before 4.6 does not know `pidfile /`.
        let pidfile = format!("pidfile {}/pid", folder.display());
        let mut command = Command::new(&self.path);
        command
            .args(["-x", "-d", "-u", "root"])
            .args(arguments)
            .args(["cmdport 0", &socket, &pidfile])
            .args(lines);
        command
    }
}

/// A new folder that command sockets are accepted in.
pub(crate) fn new_folder(parent: &Path, name: &str) -> PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    let folder = parent.join(name);
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    made.expect("a new folder");
    folder
}

/// What `chronyc` of the peers tells, split at commas.
pub(crate) fn report(peers: &Path, folder: &Path, command: &str) -> Vec<String> {
    let mut chronyc = Command::new(peers.join("chrony/usr/bin/chronyc"));
    chronyc
        .args(["-c", "-h"])
        .arg(folder.join("command.sock"))
        .arg(command);
    let told = finish(&mut chronyc).stdout;
    told.trim().split(',').map(str::to_owned).collect()
}
