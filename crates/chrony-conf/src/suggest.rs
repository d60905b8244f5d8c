//! The nearest valid word.

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (row, from) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(b.len() + 1);
        current.push(row + 1);
        for (column, to) in b.iter().enumerate() {
            let at =
                |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let replace = at(&previous, column) + usize::from(from != to);
            let mut best = replace
                .min(at(&previous, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(to)
                && b.get(column - 1) == Some(from);
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(0)
}

/// The candidate nearest to a word, if one is near: at most a third of the word's letters
/// (but at least one) are wrong.
pub fn nearest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    /// Words beyond this length have no near candidate; it bounds the work.
    const LENGTH_MAX: usize = 40;
    let letters: Vec<char> = word.to_lowercase().chars().take(LENGTH_MAX + 1).collect();
    if letters.is_empty() || letters.len() > LENGTH_MAX {
        return None;
    }
    let allowed = (letters.len() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| {
            (
                distance(&letters, &candidate.chars().collect::<Vec<_>>()),
                *candidate,
            )
        })
        .filter(|(edits, candidate)| *edits <= allowed && *edits < candidate.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised() {
        let names = crate::table::names();
        for (word, expected) in [
            ("makestpe", Some("makestep")),
            ("Sever", Some("server")),
            ("drift_file", Some("driftfile")),
            ("rtc_sync", Some("rtcsync")),
            ("xyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &names), expected, "{word}");
        }
        assert_eq!(nearest("prefr", &["prefer", "port"]), Some("prefer"));
    }
}
