//! Private mount and network namespaces for the workers.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::exchange;
use skips::able;

#[path = "../../../../tests/support/skips.rs"]
mod skips;

/// Tells a worker which share is its own.
const SHARE_VARIABLE: &str = "CHRONYC_REPLAY_SHARE";

/// A command that runs its arguments in new namespaces.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--net", "--"]);
    command
}

fn available() -> bool {
    let mut probe = unshare();
    probe.args(["sh", "-c", "ip link set lo up && mount -t tmpfs tmpfs /run"]);
    let status = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs the test `worker` of this program once for each share, in namespaces of their own, and
/// gives what they print. None, with a message, where there are no namespaces.
pub(crate) fn run_shares(shares: usize) -> Option<String> {
    if !able(available(), "private mount and network namespaces") {
        return None;
    }
    let program = std::env::current_exe().expect("path of the test");
    let workers: Vec<_> = (0..shares)
        .map(|share| {
            let mut worker = unshare();
            worker
                .arg(&program)
                .args(["--exact", "worker", "--ignored", "--nocapture"]);
            worker.env(SHARE_VARIABLE, share.to_string());
            worker
                .stdout(Stdio::piped())
                .spawn()
                .expect("worker started")
        })
        .collect();
    let mut output = String::new();
    for worker in workers {
        let result = worker.wait_with_output().expect("worker ended");
        output.push_str(&String::from_utf8_lossy(&result.stdout));
    }
    Some(output)
}

/// The share of this worker; none, with a message, when it was not started by [`run_shares`].
pub(crate) fn share_of_worker() -> Option<usize> {
    match std::env::var(SHARE_VARIABLE) {
        Ok(share) => Some(share.parse().expect("number of the share")),
        Err(_) => {
            eprintln!("SKIPPED: a worker is started by the other test only");
            None
        }
    }
}

/// Runs a command that must succeed.
pub(crate) fn must(program: &str, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .expect("program started");
    assert!(status.success(), "{program} {arguments:?}");
}

/// Gives the namespace the network, the folders, the names of the recordings and `more_names`.
pub(crate) fn prepare(folder: &Path, more_names: &str) {
    must("ip", &["link", "set", "lo", "up"]);
    // Address of the daemon in simulated samples.
    must("ip", &["address", "add", "192.168.123.4/32", "dev", "lo"]);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("file written");
        path.to_str().expect("path").to_owned()
    };
    let hosts = fs::read_to_string(exchange::folder().join("hosts")).expect("recorded names");
    let hosts = format!("{hosts}{more_names}");
    must("mount", &["--bind", &write("hosts", &hosts), "/etc/hosts"]);
    for (name, text, target) in [
        ("resolv.conf", "nameserver 127.0.0.1\n", "/etc/resolv.conf"),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n",
            "/etc/nsswitch.conf",
        ),
    ] {
        if Path::new(target).exists() {
            must("mount", &["--bind", &write(name, text), target]);
        }
    }
    must("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    if !Path::new("/var/run").is_symlink() {
        must("mount", &["--bind", "/run", "/var/run"]);
    }
    for directory in ["/run/t", "/run/t/bm", "/run/t/ro", "/run/chrony"] {
        fs::create_dir_all(directory).expect("folder made");
    }
    fs::set_permissions("/run/chrony", Permissions::from_mode(0o750)).expect("mode set");
    must("mount", &["-t", "tmpfs", "tmpfs", "/run/t/ro"]);
}
