//! A network and mount namespace of its own, in which other daemons find the ports and the
//! folders they insist on.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Running, finish};

/// What the namespace's first process says when loopback is up.
const READY: &str = "namespace ready";

/// The namespace; it ends with its last process.
pub(crate) struct Namespace {
    holder: Running,
}

impl Namespace {
    /// Makes one with loopback up and runs shell commands in it; `$1` is `folder`.
    pub(crate) fn new(folder: &Path, setup: &str) -> Self {
        let script = format!("set -e; ip link set lo up\n{setup}\necho {READY}\nexec sleep 600");
        let mut command = Command::new("unshare");
        command
            .args(["-n", "-m", "sh", "-c", &script, "sh"])
            .arg(folder);
        let mut holder = Running::start(&mut command, folder, "namespace");
        holder.wait_for(READY);
        Self { holder }
    }

    /// A process in it.
    pub(crate) fn id(&self) -> u32 {
        self.holder.id()
    }

    /// A program inside, without the right to set the machine's clock.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        let id = self.holder.id().to_string();
        command
            .args(["-n", "-m", "-t", &id, "setpriv"])
            .args(["--bounding-set", "-sys_time", "--inh-caps", "-sys_time"])
            .arg(program);
        command
    }
}

/// OpenNTPD insists on a user and on folders: what a [`Namespace`] for it is set up with.
pub(crate) const OPENNTPD_SETUP: &str = "mount -t tmpfs none /var/lib\n\
    mkdir -p /var/lib/openntpd/db /var/lib/openntpd/run /var/lib/openntpd/empty\n\
    { cat /etc/passwd; echo ntpd:x:64000:64000::/var/lib/openntpd/empty:/bin/false; } \
    > \"$1/passwd\"\n\
    { cat /etc/group; echo ntpd:x:64000:; } > \"$1/group\"\n\
    mount --bind \"$1/passwd\" /etc/passwd\n\
    mount --bind \"$1/group\" /etc/group";

/// Builds one of the libraries of this folder, for `LD_PRELOAD`: `hurry` lets daemons believe in
/// their adjustments, `devices` has clock devices, `calendar` another date, `even_random` no chance.
pub(crate) fn build_library(name: &str, folder: &Path) -> PathBuf {
    let library = folder.join(format!("{name}.so"));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library);
    compiler.arg(sources.join(format!("{name}.c")));
    compiler.args(["-ldl", "-lpthread"]);
    let ended = finish(&mut compiler);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    library
}
