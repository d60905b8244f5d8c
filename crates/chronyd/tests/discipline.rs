//! What of the discipline only the real program can show: the mail program, files, a clock
//! that it does not control (discipline chapter).

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::ports::free_port;
use support::{CHRONYD, Running, client, run, wait_until};

/// A client whose clock is wrong by 1.5 seconds, and that mails about half a second.
fn wrong_client(port: u16) -> Vec<String> {
    client(&[
        &format!("server 127.0.0.1 port {port} iburst offset 1.5"),
        "mailonchange admin@example.org 0.5",
        "logchange 0.25",
    ])
}

#[test]
fn a_large_change_is_logged_and_mail_cannot_be_sent() {
    if Path::new("/usr/lib/sendmail").exists() {
        // Nobody's mailbox is for tests; the other test has a mail program of its own.
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let _server = Running::own_server(folder.path(), port);
    let mut running = Running::chronyd(folder.path(), &wrong_client(port));
    let text = running.wait_for("System clock wrong by ");
    let amount_s: f64 = text.split(' ').nth(4).unwrap().parse().unwrap();
    assert!((amount_s - 1.5).abs() < 0.1, "{text}");
    running.wait_for("Could not send mail notification to user admin@example.org");
    // It goes on all the same.
    assert!(running.stop().success());
}

#[test]
fn mail_goes_through_sendmail() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["upper", "work"] {
        fs::create_dir(at(name)).unwrap();
    }
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {0}.new; cat >> {0}.new; mv {0}.new {0}\n",
        at("mail")
    );
    fs::write(at("upper/sendmail"), script).unwrap();
    fs::set_permissions(at("upper/sendmail"), PermissionsExt::from_mode(0o755)).unwrap();
    // In a mount namespace of its own, /usr/lib has a mail program.
    let overlay = format!(
        "mount -t tmpfs none {0} && mkdir {0}/u {0}/w && cp {1}/sendmail {0}/u/ && \
         mount -t overlay -o lowerdir=/usr/lib,upperdir={0}/u,workdir={0}/w none /usr/lib",
        at("work"),
        at("upper")
    );
    let works = Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-c",
            &format!("{overlay} && test -x /usr/lib/sendmail"),
        ])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !support::able(works, "root and overlay mounts in a namespace") {
        return;
    }
    let _server = Running::own_server(folder.path(), port);
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", &format!("{overlay} && exec \"$@\""), "sh"])
        .args([CHRONYD, "-U", "-x", "-d"])
        .args(wrong_client(port));
    let mut running = Running::start(&mut command, folder.path(), "chronyd");
    running.wait_for("System clock wrong by ");
    let mail = wait_until("mail", || fs::read_to_string(at("mail")).ok());
    assert!(
        mail.starts_with(
            "-t\nTo: admin@example.org\nSubject: chronyd reports change to system clock on node ["
        ),
        "{mail}"
    );
    let adjustment = mail.lines().find(|line| line.contains("an adjustment of "));
    let adjustment = adjustment.and_then(|line| line.split(' ').nth(7)).unwrap();
    assert!(
        (adjustment.parse::<f64>().unwrap() - 1.5).abs() < 0.1,
        "{mail}"
    );
    assert!(
        mail.ends_with("exceeded the reporting threshold of 0.500 seconds\n\n"),
        "{mail}"
    );
    assert!(running.stop().success());
}

#[test]
fn rtcfile_and_rtcsync_exclude_each_other() {
    let ended = run([
        "-U",
        "-x",
        "-d",
        "rtcfile /nowhere/rtc",
        "rtcsync",
        "port 0",
        "pidfile /",
        "bindcmdaddress /",
    ]);
    assert_eq!(ended.status, Some(1));
    let last = ended.messages().pop().unwrap();
    assert_eq!(
        last,
        "Fatal error : rtcfile directive cannot be used with rtcsync"
    );
}

#[test]
fn drift_file_of_a_run_without_synchronisation_keeps_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drift");
    let line = format!("driftfile {}", file.display());
    for (before, after) in [
        (None, "            0.000000       1000000.000000\n"),
        (
            Some("12.5 0.25 more\n"),
            "           12.500000             0.250000\n",
        ),
        (
            Some("garbage\n"),
            "            0.000000       1000000.000000\n",
        ),
        (
            Some("\u{0}\u{0}"),
            "            0.000000       1000000.000000\n",
        ),
    ] {
        match before {
            Some(text) => fs::write(&file, text).unwrap(),
            None => assert!(!file.exists()),
        }
        let arguments = ["-U", "-x", "-d", "-t", "1"].map(str::to_owned);
        let ended = run(arguments.iter().chain(&client(&[&line])));
        // The status says that the clock is not synchronised.
        assert_eq!(ended.status, Some(1), "{}", ended.stderr);
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            after,
            "after {before:?}"
        );
        assert!(!folder.path().join("drift.tmp").exists());
    }
}
