//! Sources come and go: configuration, commands and source directories.

use std::sync::Arc;

use chrony_conf::sources::SourceSpec as ConfSourceSpec;
use ntp_wire::KeyRing;

use super::{Engine, Mode};
use crate::action::Action;
use crate::association::{AuthenticationKind, NoAuthentication, SymmetricKey};
use crate::event::Now;
use crate::ids::SourceId;
use crate::nts_client::NtsClient;
use crate::registry::{AddError, Origin, SourceAuthenticator, SourceSpec};

impl Engine {
    /// Adds a source or pool and says so: with an informational message when a command or
    /// a source directory is the cause, else only for debugging.
    pub fn add_source(
        &mut self,
        now: Now,
        line: &ConfSourceSpec,
        origin: Origin,
    ) -> Result<Vec<SourceId>, AddError> {
        let key = line.options.key;
        let long_digest = self
            .keys
            .get(key)
            .is_some_and(|key| key.kind().default_version() < 4);
        let spec = self.settings.source_defaults.source_spec(line, long_digest);
        if spec.nts.is_some_and(|options| options.keys_only) {
            self.journal.warning("NTS not supported with peers");
        }
        if key != 0 && !line.options.nts {
            match self.keys.get(key) {
                None => self.journal.warning(format!("Key {key} is missing")),
                Some(found) if found.is_weak() => {
                    self.journal.warning(format!("Key {key} is too short"));
                }
                Some(_) => {}
            }
        }
        let keys = &self.keys;
        let mut authenticate = |spec: &SourceSpec| authenticator(spec, keys);
        let added = self.registry.add(&spec, origin, &mut authenticate)?;
        self.announce_added(&added, origin);
        for id in &added {
            self.begin_nts(*id);
        }
        // Looking at all sources for each one that is added takes minutes for thousands of
        // them; at the start it is done once, in [`Engine::all_sources_added`].
        if self.sources_added {
            self.refresh_options();
            self.update_server_sockets();
        }
        let has_address = added.iter().any(|id| {
            self.registry
                .get(*id)
                .is_some_and(|s| s.address().is_some())
        });
        if !has_address {
            self.names.want_round();
        } else if self.sources_started {
            for id in &added {
                self.with_association(*id, now, |association, cx| association.start(cx));
            }
        }
        self.serving.stale = true;
        Ok(added)
    }

    fn announce_added(&mut self, added: &[SourceId], origin: Origin) {
        let Some(source) = added.first().and_then(|id| self.registry.get(*id)) else {
            return;
        };
        let text = match source.pool {
            Some(_) => format!("Added pool {}", source.spec.name),
            None => format!("Added source {}", source.display_name()),
        };
        self.announce(text, origin);
    }

    fn announce(&mut self, text: String, origin: Origin) {
        match origin {
            Origin::Command | Origin::SourceDirectory if !self.leaving => self.journal.info(text),
            _ => self.journal.debug(|| text),
        }
    }

    /// Removes a source; the selection follows. `cause` tells who wanted it, which decides
    /// whether it is said aloud (system chapter, section 7): what a command or a source
    /// directory removes is, wherever the source came from; members that a satisfied pool
    /// sheds and the end of the daemon are not.
    pub fn remove_source(&mut self, now: Now, id: SourceId, cause: Origin) -> bool {
        self.with_association(id, now, |association, cx| association.stop(cx));
        self.save_cookies(now, id);
        self.cancel_key_establishment(id);
        let Some((source, pool)) = self.registry.remove(id) else {
            return false;
        };
        self.names.forget(id);
        self.selector.remove(id.0);
        self.announce(format!("Removed source {}", source.display_name()), cause);
        if let Some(pool) = pool {
            self.announce(format!("Removed pool {pool}"), cause);
        }
        if !self.leaving {
            self.refresh_options();
            self.update_server_sockets();
            self.serving.stale = true;
            self.select(now, None);
        }
        true
    }

    /// The source directories were read again: sources that are no longer listed go, new
    /// ones come, unchanged ones stay as they are.
    pub fn reload_sources(&mut self, now: Now, listed: &[ConfSourceSpec]) {
        for (line, ids) in std::mem::take(&mut self.directory_sources) {
            if listed.contains(&line) {
                self.directory_sources.push((line, ids));
            } else {
                for id in ids {
                    self.remove_source(now, id, Origin::SourceDirectory);
                }
            }
        }
        for line in listed {
            if self
                .directory_sources
                .iter()
                .any(|(known, _)| known == line)
            {
                continue;
            }
            match self.add_source(now, line, Origin::SourceDirectory) {
                Ok(ids) => self.directory_sources.push((line.clone(), ids)),
                Err(error) => {
                    let name = &line.name;
                    self.journal
                        .error(format!("Could not add source {name} : {error}"));
                }
            }
        }
        self.drive_names(now);
    }

    /// The command `onoffline`: asks which addresses have a route.
    pub fn check_routes(&mut self) {
        let addresses: Vec<_> = self
            .registry
            .iter()
            .filter_map(|source| Some((source.id, source.address()?)))
            .collect();
        self.actions.push_back(Action::CheckRoutes { addresses });
        self.names.want_round();
    }

    /// Sets sources online or offline, depending on whether their address has a route. The
    /// selected source is changed last, so that the selection does not jump between others.
    pub fn handle_routes(&mut self, now: Now, routes: &[(SourceId, bool)]) {
        let selected = self.selector.selected().map(SourceId);
        let (last, first): (Vec<_>, Vec<_>) =
            routes.iter().partition(|(id, _)| Some(*id) == selected);
        for (id, routed) in first.into_iter().chain(last) {
            self.with_association(id, now, |association, cx| {
                if routed {
                    association.set_online(cx)
                } else {
                    association.set_offline(cx)
                }
            });
        }
        self.drive_names(now);
    }

    /// Starts polling all sources that have an address.
    pub(super) fn start_sources(&mut self, now: Now) {
        self.sources_started = true;
        let initial = matches!(self.mode(), Mode::InitStepSlew { .. });
        if !initial {
            self.actions.push_back(Action::SourcesReady);
        }
        self.start_devices(now);
        // The servers of initstepslew set the clock alone.
        if !initial {
            self.start_refclocks(now);
        }
        let ids: Vec<SourceId> = self
            .registry
            .iter()
            .filter(|source| source.address().is_some())
            .map(|source| source.id)
            .collect();
        for id in ids {
            self.with_association(id, now, |association, cx| association.start(cx));
        }
        self.check_one_shot(now);
    }
}

fn authenticator(spec: &SourceSpec, keys: &Arc<KeyRing>) -> SourceAuthenticator {
    match spec.association.authentication {
        AuthenticationKind::SymmetricKey(id) => {
            SourceAuthenticator::Key(SymmetricKey::new(id, Arc::clone(keys)))
        }
        AuthenticationKind::NetworkTimeSecurity => {
            let options = spec.nts.unwrap_or_default();
            let nts = NtsClient::new(spec.name.clone(), spec.port, options);
            SourceAuthenticator::Nts(Box::new(nts))
        }
        AuthenticationKind::None => SourceAuthenticator::None(NoAuthentication),
    }
}
