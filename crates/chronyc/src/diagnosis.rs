//! Explanations for people, printed on a terminal after the reference's line: why there is no
//! connection, what a refusal means, which word was probably meant.

use std::fmt::Write;
use std::io::{self, ErrorKind};

use control_wire::Status;
use nix::errno::Errno;

use crate::connection::{Server, Trial};

/// What was tried to reach the daemon, and what to check; lines without the last newline.
pub(crate) fn of_trials(trials: &[Trial]) -> String {
    let mut text = String::new();
    for Trial { server, error } in trials {
        let what = match error {
            Some(error) => system_text(error),
            None => "no reply".to_owned(),
        };
        let check = check_of(server, error.as_ref().map(io::Error::kind));
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "  tried {server}: {what}; {check}");
    }
    text
}

/// The system's text of an error, without std's addition of its number.
pub(crate) fn system_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(
        || error.to_string(),
        |code| Errno::from_raw(code).desc().to_owned(),
    )
}

fn check_of(server: &Server, error: Option<ErrorKind>) -> &'static str {
    match (server, error) {
        (Server::Unix(_), Some(ErrorKind::NotFound)) => {
            "is chronyd running, and does its bindcmdaddress name this path?"
        }
        (Server::Unix(_), Some(ErrorKind::PermissionDenied)) => {
            "run as root or as the user of chronyd to use the socket"
        }
        (Server::Unix(_), Some(ErrorKind::ConnectionRefused)) => {
            "the socket is left over, chronyd is not running"
        }
        (Server::Unix(_), _) => "is chronyd running and not stopped?",
        (Server::Udp(_), Some(ErrorKind::ConnectionRefused)) => {
            "is chronyd running there, and is cmdport this port (-p)?"
        }
        (Server::Udp(_), Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable)) => {
            "check the address (-h) and the route to it"
        }
        (Server::Udp(_), _) => "does the daemon allow this host (cmdallow), or a firewall drop it?",
    }
}

/// What to do about a refusal.
pub(crate) const fn of_status(status: Status) -> &'static str {
    match status {
        Status::Unauthorised => {
            "  This command works over the Unix socket of chronyd only: run as root or as its user."
        }
        Status::NotEnabled => "  A directive of chrony.conf must enable it (manual, smoothtime).",
        Status::NoSuchSource => "  The command \"sources -a\" lists the sources.",
        _ => "",
    }
}

/// Longest distance of a word that still is a suggestion.
const MAX_DISTANCE: usize = 3;

/// The candidate nearest to `word` whatever the case of their letters, if one is near.
fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_ascii_lowercase();
    let (distance, _, best) = candidates
        .into_iter()
        .map(|candidate| {
            let distance = distance(&word, &candidate.to_ascii_lowercase());
            (distance, candidate.len(), candidate)
        })
        .min()?;
    (distance <= MAX_DISTANCE && distance * 2 <= word.len()).then_some(best)
}

/// A hint with the candidate nearest to `word`; empty if none is near.
pub(crate) fn suggestion<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |near| format!("  did you mean \"{near}\"?"))
}

/// How far a word is from a candidate: the number of edits; for an abbreviation none, and for a
/// misspelt one one more than its edits.
fn distance(word: &str, candidate: &str) -> usize {
    if candidate.starts_with(word) {
        return 0;
    }
    let edits = edits(word, candidate);
    let whole = edits.last().copied().unwrap_or(usize::MAX);
    let abbreviated = edits.iter().min().copied().unwrap_or(usize::MAX);
    whole.min(abbreviated.saturating_add(1))
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `from` into each of the
/// beginnings of `to`, from the empty one to all of it.
fn edits(from: &str, to: &str) -> Vec<usize> {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (row, &letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &target) in to.iter().enumerate() {
            let replaced = previous[column] + usize::from(letter != target);
            let mut cost = replaced
                .min(previous[column + 1] + 1)
                .min(current[column] + 1);
            if row > 0 && column > 0 && letter == to[column - 1] && from[row - 1] == target {
                cost = cost.min(before[column - 1] + 1);
            }
            current.push(cost);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous
}

#[cfg(test)]
mod tests {
    use super::{Server, Trial, edits, nearest, of_trials};
    use std::io;

    #[test]
    fn trials_are_explained_in_the_words_of_the_system() {
        let trial = Trial {
            server: Server::Unix("/run/d.sock".to_owned()),
            error: Some(io::Error::from_raw_os_error(2)),
        };
        assert_eq!(
            of_trials(&[trial]),
            "  tried /run/d.sock: No such file or directory; \
             is chronyd running, and does its bindcmdaddress name this path?"
        );
    }

    #[test]
    fn suggestions() {
        let words = ["tracking", "sources", "sourcestats", "makestep"];
        assert_eq!(nearest("track", words), Some("tracking"));
        assert_eq!(nearest("Soruces", words), Some("sources"));
        assert_eq!(nearest("xyz", words), None);
        assert_eq!(nearest("tracck", words), Some("tracking"));
        assert_eq!(nearest("sha265", ["MD5", "SHA1", "SHA256"]), Some("SHA256"));
        assert_eq!(edits("ab", "ba"), [2, 1, 1]);
        assert_eq!(edits("", "abc"), [0, 1, 2, 3]);
    }
}
