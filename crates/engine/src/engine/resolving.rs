//! Names and addresses of the sources (ntp chapter, section 16).

use std::net::{IpAddr, SocketAddr};

use super::Engine;
use crate::action::Action;
use crate::event::Now;
use crate::ids::SourceId;
use crate::names::{Purpose, QueryId, ResolvedAddress};

impl Engine {
    /// A name was looked up, with what was found (nothing if it failed).
    pub fn handle_resolved(&mut self, now: Now, query: QueryId, found: &[ResolvedAddress]) {
        let Some(question) = self.names.answered(query) else {
            return;
        };
        match question.purpose {
            Purpose::Source(id) => {
                if let Some(address) = self.registry.first_address(id, found) {
                    self.set_address(now, id, address);
                }
            }
            Purpose::Pool(pool) => {
                for (id, address) in self.registry.pool_addresses(pool, found) {
                    self.set_address(now, id, address);
                }
            }
            Purpose::Replacement(id) => self.replace_address(now, id, found),
            Purpose::Refresh(id) => self.refresh_address(now, id, found),
            Purpose::NegotiatedServer(id) => {
                self.handle_negotiated_name(now, id, &question.name, found);
            }
        }
        self.drive_names(now);
    }

    /// Hands out the next query, starts and ends rounds.
    pub(super) fn drive_names(&mut self, now: Now) {
        if self.names.round_due(now.monotonic) {
            self.names.start_round(self.registry.unresolved());
        }
        if let Some((query, question)) = self.names.poll_query() {
            let (name, family) = (question.name, question.family.or(self.settings.family));
            self.actions.push_back(Action::Resolve {
                query,
                name,
                family,
            });
        }
        let left = self.registry.has_unresolved();
        if self.names.round_ended(now.monotonic, left) {
            if !self.sources_started {
                self.start_sources(now);
            }
            // A round that was asked for in the meantime begins now.
            if self.names.round_due(now.monotonic) {
                self.drive_names(now);
            }
        }
    }

    fn replace_address(&mut self, now: Now, id: SourceId, found: &[ResolvedAddress]) {
        self.note_resolved(now, id);
        let start = self.random.below(found.len());
        if let Some(address) = self.registry.replacement(id, found, start) {
            self.set_address(now, id, address);
        }
    }

    fn refresh_address(&mut self, now: Now, id: SourceId, found: &[ResolvedAddress]) {
        let current = self
            .registry
            .get(id)
            .and_then(|source| source.resolved_address());
        if current.is_some_and(|current| found.iter().any(|other| other.address == current)) {
            self.note_resolved(now, id);
        } else {
            self.replace_address(now, id, found);
        }
    }

    fn note_resolved(&mut self, now: Now, id: SourceId) {
        if let Some(source) = self.registry.get_mut(id) {
            source.resolved_at = Some(now.monotonic);
        }
    }

    /// Checks the address that was resolved longest ago, when one is due.
    pub(super) fn refresh_if_due(&mut self, now: Now) {
        let interval_s = self.settings.refresh_s;
        if interval_s <= 0.0 {
            return;
        }
        let oldest = self
            .registry
            .iter()
            .filter(|source| source.named && source.placeholder.is_none())
            .filter_map(|source| Some((source.resolved_at?, source.id)))
            .min();
        let Some((resolved_at, id)) = oldest else {
            return;
        };
        if now.monotonic.since(resolved_at) >= interval_s
            && self.names.refresh_due(now.monotonic, interval_s)
        {
            self.refresh(id);
            self.drive_names(now);
        }
    }

    /// The command `refresh`: checks the addresses of all named sources.
    pub fn refresh_all(&mut self, now: Now) {
        let named: Vec<SourceId> = self
            .registry
            .iter()
            .filter(|source| source.named && source.placeholder.is_none())
            .map(|source| source.id)
            .collect();
        for id in named {
            self.refresh(id);
        }
        self.names.want_round();
        self.drive_names(now);
    }

    fn refresh(&mut self, id: SourceId) {
        if let Some(source) = self.registry.get(id) {
            self.names
                .request_refresh(source.question(Purpose::Refresh(id)));
        }
    }

    /// Gives a source an address; everything learnt from the former one is dropped.
    fn set_address(&mut self, now: Now, id: SourceId, address: IpAddr) {
        let Some(source) = self.registry.get_mut(id) else {
            return;
        };
        let port = source
            .remote()
            .map_or(source.spec.port, |remote| remote.port());
        let former = source
            .placeholder
            .is_none()
            .then(|| source.address_text().to_owned());
        if former.is_some() {
            self.save_cookies(now, id);
        }
        let Some(source) = self.registry.get_mut(id) else {
            return;
        };
        let former_address = source.address();
        source.placeholder = None;
        source.address_negotiated = false;
        source.resolved_at = Some(now.monotonic);
        let was_selected = self.selector.selected() == Some(id.0);
        self.change_remote(now, id, SocketAddr::new(address, port), former_address);
        self.begin_nts(id);
        if let Some(source) = self.registry.get(id) {
            let (new, name) = (source.address_text(), &source.spec.name);
            match former {
                Some(former) => {
                    self.journal
                        .info(format!("Source {former} replaced with {new} ({name})"));
                }
                None => {
                    self.journal
                        .debug(|| format!("Source {name} resolved to {new}"));
                }
            }
        }
        // A peer needs the server socket, and the server has to know whose packets are not
        // requests.
        self.update_server_sockets();
        self.serving.stale = true;
        self.start_if_due(now, id);
        if was_selected {
            self.select(now, None);
        }
    }

    /// Lets a source have another address or port, and drops what was learnt from the
    /// `former` one.
    pub(super) fn change_remote(
        &mut self,
        now: Now,
        id: SourceId,
        remote: SocketAddr,
        former: Option<IpAddr>,
    ) {
        let Some(source) = self.registry.get_mut(id) else {
            return;
        };
        source.tentative = true;
        source.forget_samples();
        self.selector.reset_source(id.0);
        self.with_association(id, now, |association, cx| {
            association.change_address(remote, cx)
        });
        self.registry.follow_address(id, former);
        self.serving.stale = true;
    }
}
