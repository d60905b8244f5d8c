//! Sample histories of an earlier run (`-r`; discipline chapter, section 5).

use discipline::samples::{DumpError, SourceDump};

use super::Engine;
use crate::event::Now;
use crate::ids::SourceId;

impl Engine {
    /// Sources that may have a dump: identity, and the file's name without `.dat`.
    pub fn dump_names(&self) -> Vec<(SourceId, String)> {
        let named = self.registry.iter().filter(|s| s.address().is_some());
        named
            .map(|source| (source.id, source.address_text().to_owned()))
            .collect()
    }

    /// Gives a source the samples of its dump file, and says whether that worked.
    pub fn restore_source(&mut self, now: Now, id: SourceId, text: &str) {
        let (cooked, _) = self.steering.cook(now.raw);
        let window_start_s = self.steering.window_start_s();
        let Some(source) = self.registry.get_mut(id) else {
            return;
        };
        let name = source.address_text().to_owned();
        let read = SourceDump::parse(text, cooked, window_start_s).and_then(|dump| {
            let authenticated = source.authenticator.is_authenticated();
            dump.check_source(Some(&source.spec.name), authenticated)?;
            Ok::<_, DumpError>(dump)
        });
        match read {
            Ok(dump) => {
                source.statistics.restore(&dump.samples, dump.asymmetry_run);
                source.association.restore_reachability(dump.reachability);
                source.status.stratum = dump.stratum;
                source.status.leap = dump.leap;
                self.journal.info(format!("Loaded dump file for {name}"));
            }
            Err(error) => {
                source.forget_samples();
                self.journal
                    .warning(format!("Could not load dump file for {name}"));
                self.journal.debug(|| format!("dump of {name}: {error}"));
            }
        }
    }

    /// All dumps were restored: the clock may be set from them.
    pub fn dumps_restored(&mut self, now: Now) {
        for source in self.registry.iter() {
            self.selector.mark_updated(source.id.0);
        }
        self.select(now, None);
    }
}
