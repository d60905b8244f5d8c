//! What the language has and the daemon does not do yet.
//!
//! The table is emptied as the work goes on. An entry names a directive, or a directive
//! and one of its options with a space between.

use crate::diagnostics::{Location, Message};
use crate::lexer::Word;

/// Directives and options without effect so far, and where the work stands.
pub const NOT_YET: &[(&str, &str)] =
    &[("refclock", "drivers of reference clocks are not there yet")];

/// A use of something that is not supported yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// Entry of [`NOT_YET`].
    pub feature: &'static str,
    /// First use.
    pub location: Location,
}

/// Notes what a line uses.
pub(crate) fn note(
    uses: &mut Vec<NotYet>,
    directive: &str,
    words: &[Word<'_>],
    location: &Location,
) {
    for (feature, _) in NOT_YET {
        let used = match feature.split_once(' ') {
            None => *feature == directive,
            Some((name, option)) => {
                name == directive
                    && words
                        .iter()
                        .any(|word| word.text.eq_ignore_ascii_case(option))
            }
        };
        if used && !uses.iter().any(|other| other.feature == *feature) {
            uses.push(NotYet {
                feature,
                location: location.clone(),
            });
        }
    }
}

/// The warnings for the start of the daemon, in order of first use.
pub fn warnings(uses: &[NotYet]) -> Vec<Message> {
    uses.iter()
        .map(|used| Message::warning(format!("{} is not supported yet", used.feature)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry must name a directive, else it would never warn.
    #[test]
    fn entries_name_directives() {
        for (feature, _) in NOT_YET {
            let directive = feature.split(' ').next().unwrap_or("");
            assert!(crate::table::find(directive).is_some(), "{feature}");
        }
    }
}
