//! Sample histories of an earlier run (`-r`; discipline chapter, section 5).

use discipline::samples::{DumpError, SourceDump};

use super::Engine;
use crate::event::Now;
use crate::ids::SourceId;
use crate::refclock::Refclock;
use crate::registry::Source;

impl Engine {
    /// Sources that may have a dump: identity, and the file's name without `.dat`.
    pub fn dump_names(&self) -> Vec<(SourceId, String)> {
        let named = self.registry.iter().filter(|s| s.address().is_some());
        let clocks = self
            .refclocks
            .iter()
            .map(|clock| (clock.id(), clock.dump_name()));
        named
            .map(|source| (source.id, source.address_text().to_owned()))
            .chain(clocks)
            .collect()
    }

    /// Gives a source the samples of its dump file, and says whether that worked.
    pub fn restore_source(&mut self, now: Now, id: SourceId, text: &str) {
        let (cooked, _) = self.steering.cook(now.raw);
        let window_start_s = self.steering.window_start_s();
        let parsed = SourceDump::parse(text, cooked, window_start_s);
        let (name, restored) = if let Some(clock) = self.refclock_mut(id) {
            let restored = parsed.and_then(|dump| clock.restore(&dump));
            if restored.is_err() {
                clock.forget_samples();
            }
            (clock.name().to_owned(), restored)
        } else if let Some(source) = self.registry.get_mut(id) {
            let restored = parsed.and_then(|dump| restore(source, &dump));
            if restored.is_err() {
                source.forget_samples();
            }
            (source.address_text().to_owned(), restored)
        } else {
            return;
        };
        match restored {
            Ok(()) => self.journal.info(format!("Loaded dump file for {name}")),
            Err(error) => {
                self.journal
                    .warning(format!("Could not load dump file for {name}"));
                self.journal.debug(|| format!("dump of {name}: {error}"));
            }
        }
    }

    /// All dumps were restored: the clock may be set from them.
    pub fn dumps_restored(&mut self, now: Now) {
        let clocks = self.refclocks.iter().map(Refclock::id);
        for id in clocks.chain(self.registry.iter().map(|source| source.id)) {
            self.selector.mark_updated(id.0);
        }
        self.select(now, None);
    }
}

/// Gives a source the samples of a dump that is of it.
fn restore(source: &mut Source, dump: &SourceDump) -> Result<(), DumpError> {
    let authenticated = source.authenticator.is_authenticated();
    dump.check_source(Some(&source.spec.name), authenticated)?;
    source.statistics.restore(&dump.samples, dump.asymmetry_run);
    source.association.restore_reachability(dump.reachability);
    source.status.stratum = dump.stratum;
    source.status.leap = dump.leap;
    Ok(())
}
