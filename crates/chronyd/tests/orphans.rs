//! Orphans of both kinds: two servers without a reference that ask each other, one of them
//! Debian's chrony (discipline chapter, section 10). Needs root and the folder of
//! `scripts/fetch-peers`.

mod support;

use support::ports::free_port;
use support::program::{Program, new_folder, report};
use support::{peers, wait_until};

/// Stratum of the local reference.
const STRATUM: &str = "6";

#[test]
fn the_one_with_the_smaller_address_serves_both() {
    let Some(peers) = peers() else { return };
    for ours_is_first in [true, false] {
        let parent = tempfile::tempdir().unwrap();
        let port = free_port();
        let (ours, theirs) = (Program::ours(), Program::theirs(&peers));
        let start = |program: &Program, own: &str, other: &str| {
            let folder = new_folder(parent.path(), program.name);
            // Chrony before 4.6 does not wait before it takes its own time.
            let wait = if program.name == "ours" {
                "waitunsynced 0"
            } else {
                ""
            };
            let lines = [
                format!("bindaddress {own}"),
                format!("port {port}"),
                "allow".to_owned(),
                format!("local stratum {STRATUM} orphan {wait}"),
                format!("peer {other} port {port} minpoll -2 maxpoll -2"),
            ];
            let running = program.start(&folder, &[], &lines);
            (folder, running)
        };
        let (first, second) = if ours_is_first {
            (&ours, &theirs)
        } else {
            (&theirs, &ours)
        };
        let (leading, mut leader) = start(first, "127.0.0.2", "127.0.0.3");
        let (following, mut follower) = start(second, "127.0.0.3", "127.0.0.2");
        follower.wait_for("Selected source 127.0.0.2");
        wait_until("stratum of the follower", || {
            (report(&peers, &following, "tracking").get(2)? == "7").then_some(())
        });
        let tracking = report(&peers, &leading, "tracking");
        assert_eq!(tracking[..3], ["7F7F0101", "", STRATUM], "{tracking:?}");
        assert!(
            !leader.log().contains("Selected source"),
            "{}",
            leader.log()
        );
        assert!(leader.stop().success() && follower.stop().success());
    }
}
