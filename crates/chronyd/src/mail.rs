//! The mail of `mailonchange` (system chapter, section 7.3).
//!
//! The mail program runs on its own: the event loop does not wait for it, a helper thread
//! does.

use std::io::Write;
use std::process::{Command, Stdio};

use discipline::reference::mail::{MailDate, MailRequest};

use crate::defaults;

/// Hands a mail to the mail program. The error is the text of a message.
pub fn send(user: &str, mail: &MailRequest) -> Result<(), String> {
    hand_over(defaults::SENDMAIL, user, mail).map_err(|_| MailRequest::failure(user))
}

fn hand_over(program: &str, user: &str, mail: &MailRequest) -> std::io::Result<()> {
    let mut child = Command::new(program)
        .arg("-t")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let text = text(user, mail);
    std::thread::Builder::new()
        .name("mail".to_owned())
        .spawn(move || {
            if let Some(mut input) = child.stdin.take() {
                // A mail program that does not read is its own problem.
                let _ = input.write_all(text.as_bytes());
            }
            let _ = child.wait();
        })?;
    Ok(())
}

fn text(user: &str, mail: &MailRequest) -> String {
    let host = nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let formatted = |format| os_linux::clock::local_time_text(mail.time.seconds(), format);
    let number = |format| formatted(format).parse::<i64>().unwrap_or(0);
    let (weekday, month) = (formatted(c"%A"), formatted(c"%B"));
    let (time, zone) = (formatted(c"%H:%M:%S"), formatted(c"%Z"));
    let date = MailDate {
        weekday: &weekday,
        day: u32::try_from(number(c"%d")).unwrap_or(0),
        month: &month,
        year: number(c"%Y"),
        time: &time,
        zone: &zone,
    };
    mail.text(user, &host, &date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use discipline::time::CookedTime;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_program_gets_the_mail() {
        let folder = tempfile::tempdir().unwrap();
        let (program, mailbox) = (folder.path().join("sendmail"), folder.path().join("mail"));
        let script = format!(
            "#!/bin/sh\necho \"$@\" > {0}.new; cat >> {0}.new; mv {0}.new {0}\n",
            mailbox.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let mail = MailRequest {
            change_s: 1.5,
            threshold_s: 0.5,
            time: CookedTime::from_parts(1_700_000_000, 0),
        };
        // Another test's fork may hold the script open for a moment.
        while hand_over(program.to_str().unwrap(), "root@localhost", &mail).is_err() {
            std::thread::yield_now();
        }
        while !mailbox.exists() {
            std::thread::yield_now();
        }
        let text = std::fs::read_to_string(&mailbox).unwrap();
        assert!(text.starts_with("-t\nTo: root@localhost\nSubject: chronyd reports "));
        assert!(text.contains(" November 2023\n  with the system clock reading "));
        assert!(text.contains("an adjustment of 1.500 seconds to it,\n"));
    }

    #[test]
    fn a_missing_program_is_reported() {
        let mail = MailRequest {
            change_s: 1.5,
            threshold_s: 0.5,
            time: CookedTime::from_parts(0, 0),
        };
        assert!(hand_over("/nonexistent/sendmail", "x", &mail).is_err());
    }
}
