//! Sources come and go: configuration, commands and source directories.

use std::sync::Arc;

use chrony_conf::sources::SourceSpec as ConfSourceSpec;
use ntp_wire::KeyRing;

use super::Engine;
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
        }
        for id in &added {
            self.start_if_due(now, *id);
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
        let initial = self.initial_correction;
        if !initial {
            self.actions.push_back(Action::SourcesReady);
        }
        self.start_devices(now);
        // The servers of initstepslew set the clock alone.
        if !initial {
            self.start_refclocks(now);
        }
        let ids: Vec<SourceId> = self.registry.iter().map(|source| source.id).collect();
        for id in ids {
            self.start_if_due(now, id);
        }
        self.check_one_shot(now);
    }

    /// Lets a source that has an address begin to poll, once the sources have been started.
    /// While initstepslew corrects the clock only its servers are asked; what a command adds
    /// meanwhile waits with the sources of the configuration.
    pub(super) fn start_if_due(&mut self, now: Now, id: SourceId) {
        let due = self.registry.get(id).is_some_and(|source| {
            let polled = !self.initial_correction || source.origin == Origin::InitStepSlew;
            polled && source.address().is_some()
        });
        if due && self.sources_started {
            self.with_association(id, now, |association, cx| association.start(cx));
        }
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
