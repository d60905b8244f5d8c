//! `log.tsv`: what the daemon says of each command, and what the client prints.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::support::{CHRONYD, finish};
use super::{Client, Daemon, LOG_LINES, masked};

/// How long messages may come after the reply; they are written before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names of the recording that have addresses.
const NAMES: &str = "127.0.0.1 localhost\n127.0.0.11 ntp1.test\n127.0.0.21 pool.test\n";

/// The first key of each kind, as many as the recording had.
const KEYS: &str = "1 MD5 HEX:000102030405060708090A0B0C0D0E0F\n\
    2 SHA1 HEX:000102030405060708090A0B0C0D0E0F\n\
    3 SHA256 HEX:000102030405060708090A0B0C0D0E0F\n\
    4 SHA384 HEX:000102030405060708090A0B0C0D0E0F\n\
    5 SHA512 HEX:000102030405060708090A0B0C0D0E0F\n\
    6 AES128 HEX:000102030405060708090A0B0C0D0E0F\n";

/// Runs [`compare`] where the names of the recording are known.
pub(super) fn run_with_names() {
    let folder = tempfile::tempdir().expect("folder");
    let hosts = folder.path().join("hosts");
    let switch = folder.path().join("nsswitch.conf");
    std::fs::write(&hosts, NAMES).expect("hosts");
    std::fs::write(&switch, "hosts: files\n").expect("nsswitch.conf");
    let script = format!(
        "mount --bind {} /etc/hosts; touch /etc/nsswitch.conf; mount --bind {} /etc/nsswitch.conf; \
         exec \"$@\"",
        hosts.display(),
        switch.display()
    );
    let program = std::env::current_exe().expect("own program");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]);
    let ended = finish(command.arg(program).arg(LOG_LINES));
    print!("{}", ended.stdout);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
}

/// Every row: what our client prints and what our daemon logs.
pub(super) fn compare() {
    let folder = tempfile::tempdir().expect("folder");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, KEYS).expect("keys");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&keys, private).expect("mode");
    let directives = format!(
        "server unresolved.test\nserver 127.0.0.11\npool unresolvedpool.test maxsources 2\n\
         refclock SOCK {} refid SCK1\nmanual\nkeyfile {}\n",
        folder.path().join("clock.sock").display(),
        keys.display()
    );
    let mut daemon = Daemon::start(Path::new(CHRONYD), &directives);
    daemon.running.wait_for("Loaded 6 symmetric keys");
    let mut seen = daemon.running.messages().len();
    let data = include_str!("../../../../tests/data/control/log.tsv");
    let (mut total, mut wrong) = (0, Vec::new());
    for line in data.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [command, printed, logged] = columns[..] else {
            continue;
        };
        total += 1;
        let expected = lines(logged);
        if command == "settime now" {
            wait_for_middle_of_a_second();
        }
        let said = daemon.run(&Client::Ours, command);
        let found = wait_for(&daemon, seen, expected.len());
        seen += found.len();
        let found = sorted(found.iter().map(|line| masked(line)).collect());
        let printed = masked(&printed.replace("\\n", "\n"));
        if said.stdout != printed || found != expected {
            wrong.push(format!("{command}: {said:?} {found:?}, not {expected:?}"));
        }
    }
    println!("log.tsv: {} of {total}", total - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// `now` has no fraction of a second, and what is missing is what the clock is set by: here enough
/// for a step. The next row's `settime` is refused because it comes within a second.
fn wait_for_middle_of_a_second() {
    let fraction_ms = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("time");
        since.subsec_millis()
    };
    while !(200..400).contains(&fraction_ms()) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The order of sources is the reference's own.
fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn lines(logged: &str) -> Vec<String> {
    let lines = logged.split("\\n").filter(|line| !line.is_empty());
    sorted(lines.map(masked).collect())
}

/// Messages after the first `seen`, at least `count` of them if they come in time.
fn wait_for(daemon: &Daemon, seen: usize, count: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let messages = daemon.running.messages().split_off(seen);
        if messages.len() >= count || start.elapsed() > PATIENCE {
            return messages;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
