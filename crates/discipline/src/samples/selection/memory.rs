//! What is kept of a source between runs, and its options in effect (discipline chapter,
//! section 6).

use super::types::{AuthSelectMode, SelectOptions, SourceKind, SourceState, SourceView};

/// Consecutive bad states from which a source is reported and replaced (section 7.3).
pub(crate) const BAD_THRESHOLD: u32 = 4;

/// Selection's memory of one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) state: SourceState,
    pub(crate) effective: SelectOptions,
    pub(crate) score: f64,
    /// Runs for which the source is not combined.
    pub(crate) distance_penalty: u32,
    /// Consecutive selections in which it ended in a bad state.
    pub(crate) bad: u32,
    /// Whether its state was reported since the last switch.
    pub(crate) reported: bool,
    /// Updates since the last reference update.
    pub(crate) updates: u32,
    pub(crate) votes: bool,
    pub(crate) low_s: f64,
    pub(crate) high_s: f64,
    pub(crate) root_distance_s: f64,
    pub(crate) newest_age_s: f64,
    pub(crate) oldest_age_s: f64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            state: SourceState::default(),
            effective: SelectOptions::default(),
            score: 1.0,
            distance_penalty: 0,
            bad: 0,
            reported: false,
            updates: 0,
            votes: false,
            low_s: 0.0,
            high_s: 0.0,
            root_distance_s: 0.0,
            newest_age_s: 0.0,
            oldest_age_s: 0.0,
        }
    }
}

/// Configured options plus those that `authselectmode` adds, for each source in order.
pub(crate) fn effective_options(
    sources: &[SourceView<'_>],
    mode: AuthSelectMode,
) -> impl Iterator<Item = SelectOptions> {
    let count = |authenticated: bool| {
        sources
            .iter()
            .filter(|source| source.kind == SourceKind::Ntp && !source.options.noselect)
            .filter(|source| source.authenticated == authenticated)
            .count()
    };
    let (authenticated, unauthenticated) = (count(true), count(false));
    sources.iter().map(move |source| {
        let mut options = source.options;
        if options.noselect {
            return options;
        }
        let plain_ntp = source.kind == SourceKind::Ntp && !source.authenticated;
        match mode {
            AuthSelectMode::Ignore => {}
            AuthSelectMode::Mix if authenticated > 0 && unauthenticated > 0 => {
                options.require |= !plain_ntp;
                options.trust |= !plain_ntp;
            }
            AuthSelectMode::Mix => {}
            AuthSelectMode::Prefer => options.noselect = plain_ntp && authenticated > 0,
            AuthSelectMode::Require => options.noselect = plain_ntp,
        }
        options
    })
}
