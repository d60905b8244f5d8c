//! The sources of the source directories (configuration chapter, section 3.5).

use std::collections::VecDeque;

use chrony_conf::sources::SourceSpec;

use super::Engine;
use crate::event::Now;
use crate::ids::SourceId;
use crate::registry::{AddError, Origin};

/// A line of a source directory and what became of it.
#[derive(Debug)]
pub(super) struct ListedSource {
    line: SourceSpec,
    outcome: Result<Vec<SourceId>, AddError>,
}

impl Engine {
    /// The source directories were read: sources that are no longer listed go, new ones come,
    /// unchanged ones stay as they are. Equal lines are as many sources, which share the
    /// addresses of their name. What could not be added is tried again.
    pub fn reload_sources(&mut self, now: Now, listed: &[SourceSpec]) {
        // Both are sorted by name, so that a line that stayed is found at the front.
        let mut gone: VecDeque<_> = std::mem::take(&mut self.directory_sources).into();
        let mut known = |line: &SourceSpec| {
            let place = gone.iter().position(|former| former.line == *line)?;
            gone.remove(place).map(|former| former.outcome)
        };
        let lines: Vec<_> = listed.iter().map(|line| (line, known(line))).collect();
        for id in gone
            .into_iter()
            .filter_map(|former| former.outcome.ok())
            .flatten()
        {
            self.remove_source(now, id, Origin::SourceDirectory);
        }
        for (line, former) in lines {
            let outcome = match former {
                Some(Ok(sources)) => Ok(sources),
                Some(Err(error)) => self.add_listed(now, line, Some(error)),
                None => self.add_listed(now, line, None),
            };
            let line = line.clone();
            self.directory_sources.push(ListedSource { line, outcome });
        }
        self.drive_names(now);
    }

    /// Adds a listed source. A failure is said once, until its reason changes.
    fn add_listed(
        &mut self,
        now: Now,
        line: &SourceSpec,
        former: Option<AddError>,
    ) -> Result<Vec<SourceId>, AddError> {
        let outcome = self.add_source(now, line, Origin::SourceDirectory);
        if let Err(error) = outcome
            && former != Some(error)
        {
            let name = &line.name;
            self.journal
                .error(format!("Could not add source {name} : {error}"));
        }
        outcome
    }
}
