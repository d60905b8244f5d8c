//! Replays the recorded sessions of `tests/data/chronyc` against the real program: stdout, stderr
//! and exit status must be the recorded ones (chronyc chapter, section 14).
//!
//! The sessions need fixed paths and ports (`/var/run/chrony/chronyd.sock`, UDP port 323) and
//! their own `/etc/hosts`, so they run in private mount and network namespaces: the test starts
//! itself several times under `unshare`(1), each time with a share of the samples. Where
//! namespaces are not to be had the test says so and passes nothing off as tested.

mod replay {
    pub(crate) mod compare;
    pub(crate) mod exchange;
    pub(crate) mod namespace;
    pub(crate) mod printed;
    pub(crate) mod sample;
    pub(crate) mod server;
    pub(crate) mod session;
    pub(crate) mod simulated;
    pub(crate) mod terminal;
}

use replay::namespace::{prepare, run_shares, share_of_worker};
use replay::sample::{Sample, all_samples};
use replay::session::{Outcome, replay};
use replay::simulated;

/// Shares run at once; most of the time goes into recorded waits.
const WORKERS: usize = 8;
/// Times a sample is replayed before it counts as failed.
const ATTEMPTS: usize = 3;

#[test]
fn recorded_sessions() {
    let Some(output) = run_shares(WORKERS) else {
        return;
    };
    let count = |prefix: &str| {
        output
            .lines()
            .filter(|line| line.starts_with(prefix))
            .count()
    };
    let (passed, failed, skipped) = (count("PASS "), count("FAIL "), count("SKIP "));
    let details: Vec<&str> = output
        .lines()
        .filter(|line| {
            ["FAIL ", "SKIP ", "  | "]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .collect();
    println!(
        "{passed} passed, {failed} failed, {skipped} skipped\n{}",
        details.join("\n")
    );
    assert_eq!(failed, 0, "{}", details.join("\n"));
    assert_eq!(passed + skipped, all_samples().len());
    assert!(skipped < 5, "{}", details.join("\n"));
}

/// One share of the samples; started by [`recorded_sessions`] in namespaces of its own.
#[test]
#[ignore = "started by the test recorded_sessions"]
fn worker() {
    let Some(share) = share_of_worker() else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder for the worker");
    prepare(folder.path(), simulated::HOSTS);
    for sample in all_samples().into_iter().skip(share).step_by(WORKERS) {
        report(&sample, folder.path());
    }
}

fn report(sample: &Sample, folder: &std::path::Path) {
    let name = &sample.name;
    // The recordings have waits of 100 ms, which a busy machine may miss; what is wrong stays wrong.
    let mut outcome = replay(sample, folder);
    for _ in 1..ATTEMPTS {
        if matches!(outcome, Outcome::Failed(_)) {
            outcome = replay(sample, folder);
        }
    }
    match outcome {
        Outcome::Passed => println!("PASS {name}"),
        Outcome::Skipped(reason) => println!("SKIP {name}: {reason}"),
        Outcome::Failed(differences) => {
            let lines: Vec<String> = differences
                .lines()
                .map(|line| format!("  | {line}\n"))
                .collect();
            print!("FAIL {name}\n{}", lines.concat());
        }
    }
}
