//! Key establishments of the sources: when one starts, what its result changes, and the
//! files of cookies (NTS chapter, sections 5 and 7). The server's keys come through here on
//! their way to the answering threads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chrony_conf::config::Config;
use nts::client::association::{AuthReport, NtpTarget};
use nts::ke::client::KeyMaterial;
use nts::ke::failure::{Failure, Label, Phase};
use nts::ke::response::{NegotiatedServer, preferred_address};
use nts::server::keys::ServerKeys;
use nts::time::WallTime;
use nts::verify::TimeCheck;

use super::Engine;
use crate::action::{Action, KeyRequest, SavedFile};
use crate::event::Now;
use crate::ids::SourceId;
use crate::names::{Purpose, Question, ResolvedAddress};
use crate::nts_client::{Establishment, EstablishmentId, NtsClient, running_time};
use crate::registry::SourceAuthenticator;
use crate::server::client_log::Service;
use crate::server::rate_limit::Decision;

/// What the engine knows about NTS beside the sources.
#[derive(Debug)]
pub(super) struct NtsState {
    /// `nocerttimecheck`
    updates_before_time_check: u32,
    /// Changes of the clock by the discipline since the start.
    pub(super) clock_updates: u64,
    last_establishment: u64,
    /// Connections accepted, and those of them dropped by the rate limit.
    pub(super) server_hits: u64,
    pub(super) server_drops: u64,
    pub(super) server_keys: Option<Arc<ServerKeys>>,
}

impl NtsState {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            updates_before_time_check: u32::try_from(config.nts.no_time_check_updates).unwrap_or(0),
            clock_updates: 0,
            last_establishment: 0,
            server_hits: 0,
            server_drops: 0,
            server_keys: None,
        }
    }
}

/// Why a connection to the NTS-KE server is closed at once (NTS chapter, section 9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client is not allowed.
    AccessDenied,
    /// The client comes too often.
    RateLimit,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AccessDenied => "access denied",
            Self::RateLimit => "rate limit",
        })
    }
}

impl Engine {
    // The client.

    /// A key establishment ended, with keys or without ([`Action::StartKeyEstablishment`]).
    /// With keys the source is polled at once.
    pub fn handle_key_establishment(
        &mut self,
        now: Now,
        id: SourceId,
        establishment: EstablishmentId,
        result: Result<KeyMaterial, Failure>,
    ) {
        let Some(nts) = self.nts_of(id) else {
            return;
        };
        let running = nts
            .establishment
            .as_mut()
            .filter(|running| running.id == establishment);
        let Some(running) = running else {
            return;
        };
        match result {
            Err(failure) => self.key_establishment_failed(now, id, &failure),
            Ok(material) => match &material.server {
                Some(NegotiatedServer::Name(name)) => {
                    let question = Question {
                        name: name.clone(),
                        family: None,
                        purpose: Purpose::NegotiatedServer(id),
                    };
                    running.material = Some(material);
                    self.names.request_refresh(question);
                    self.drive_names(now);
                }
                _ => self.use_keys(now, id, material, None),
            },
        }
    }

    /// The negotiated server's name was looked up.
    pub(super) fn handle_negotiated_name(
        &mut self,
        now: Now,
        id: SourceId,
        name: &str,
        found: &[ResolvedAddress],
    ) {
        let Some(nts) = self.nts_of(id) else {
            return;
        };
        let Some(key_server) = nts.key_server() else {
            return;
        };
        let material = nts.establishment.as_mut().and_then(|it| it.material.take());
        let Some(material) = material else {
            return;
        };
        let found: Vec<IpAddr> = found.iter().map(|found| found.address).collect();
        match preferred_address(&found, key_server.ip()) {
            Some(address) => self.use_keys(now, id, material, Some(address)),
            None => self.key_establishment_failed(now, id, &Failure::Resolve(name.to_owned())),
        }
    }

    /// Data for `authdata`; `None` for sources without NTS.
    pub fn authentication_report(&self, now: Now, id: SourceId) -> Option<AuthReport> {
        match &self.registry.get(id)?.authenticator {
            SourceAuthenticator::Nts(nts) => Some(nts.report(now.monotonic)),
            _ => None,
        }
    }

    /// The file of [`Action::TakeCookies`] was read and removed.
    pub fn handle_cookies(&mut self, now: Now, id: SourceId, text: &str) {
        let wall = self.wall_time(now);
        let Some(nts) = self.nts_of(id) else {
            return;
        };
        let Some(association) = nts.association_mut() else {
            return;
        };
        let address = association.settings().address;
        let loaded = association.load(text, running_time(now.monotonic), wall);
        match loaded {
            Err(error) => self
                .journal
                .debug(|| format!("Could not load cookies for {address} : {error}")),
            Ok(target) => {
                let cookies = association.report(running_time(now.monotonic)).cookies;
                self.journal
                    .debug(|| format!("Loaded {cookies} cookies for {address}"));
                let old = self.registry.get(id).and_then(|source| source.remote());
                if !self.follow_target(now, id, target) {
                    if let Some(nts) = self.nts_of(id) {
                        nts.set_address(address);
                    }
                    if let Some(old) = old {
                        let new = SocketAddr::new(target.address, target.port);
                        self.journal
                            .error(format!("Could not change {old} to {new}"));
                    }
                }
            }
        }
    }

    /// Saves the cookies of all sources (command `dump`).
    pub fn save_all_cookies(&mut self, now: Now) {
        let ids: Vec<SourceId> = self.registry.iter().map(|source| source.id).collect();
        for id in ids {
            self.save_cookies(now, id);
        }
    }

    /// Saves the cookies of a source, if it has any.
    pub(super) fn save_cookies(&mut self, now: Now, id: SourceId) {
        let wall = self.wall_time(now);
        let Some(association) = self.nts_of(id).and_then(|nts| nts.association_mut()) else {
            return;
        };
        let name = association.settings().address.to_string();
        if let Some(contents) = association.dump(running_time(now.monotonic), wall) {
            let file = SavedFile::NtsCookies { name };
            self.actions.push_back(Action::Save { file, contents });
        }
    }

    /// The source got an address by configuration or by resolving: a new state, with the
    /// cookies of an earlier run if there are any.
    pub(super) fn begin_nts(&mut self, id: SourceId) {
        let Some(address) = self.registry.get(id).and_then(|source| source.address()) else {
            return;
        };
        self.cancel_key_establishment(id);
        let Some(nts) = self.nts_of(id) else {
            return;
        };
        nts.set_address(address);
        let file = SavedFile::NtsCookies {
            name: address.to_string(),
        };
        self.actions
            .push_back(Action::TakeCookies { source: id, file });
    }

    /// Ends a key establishment whose result nobody wants any more.
    pub(super) fn cancel_key_establishment(&mut self, id: SourceId) {
        let running = self.nts_of(id).and_then(|nts| nts.establishment.take());
        if running.is_some() {
            self.actions
                .push_back(Action::CancelKeyEstablishment { source: id });
        }
    }

    /// Says what happened inside of a source's NTS state, for debugging.
    pub(super) fn say_nts_note(&mut self, id: SourceId) {
        let association = self.nts_of(id).and_then(NtsClient::association_mut);
        if let Some(note) = association.and_then(|association| association.take_note()) {
            self.journal.debug(|| note.to_string());
        }
    }

    /// Starts a key establishment if the latest poll of the source asked for one.
    pub(super) fn start_key_establishment_if_wanted(&mut self, now: Now, id: SourceId) {
        let number = self.nts.last_establishment + 1;
        let time = TimeCheck::after_updates(
            self.nts.updates_before_time_check,
            self.nts.clock_updates,
            self.wall_time(now),
        );
        let Some(nts) = self.nts_of(id).filter(|nts| nts.association().is_some()) else {
            return;
        };
        if !nts.take_wish() {
            return;
        }
        let Some(address) = nts.key_server() else {
            return;
        };
        let establishment = EstablishmentId(number);
        if let Some(association) = nts.association_mut() {
            association.establishment_started();
        }
        nts.establishment = Some(Establishment {
            id: establishment,
            material: None,
        });
        let request = KeyRequest {
            source: id,
            establishment,
            name: nts.name().to_owned(),
            address,
            cert_set: nts.options().cert_set,
            time,
        };
        self.nts.last_establishment = number;
        if time == TimeCheck::Disabled {
            self.journal.debug(|| "Disabled time checks".to_owned());
        }
        self.actions
            .push_back(Action::StartKeyEstablishment(Box::new(request)));
    }

    fn key_establishment_failed(&mut self, now: Now, id: SourceId, failure: &Failure) {
        let Some(nts) = self.nts_of(id) else {
            return;
        };
        nts.establishment = None;
        if let Some(association) = nts.association_mut() {
            association.establishment_failed(failure.phase(), running_time(now.monotonic));
        }
        self.say_failure(id, failure);
    }

    fn say_failure(&mut self, id: SourceId, failure: &Failure) {
        let Some(nts) = self.nts_of(id) else {
            return;
        };
        let Some(address) = nts.key_server() else {
            return;
        };
        let label = Label {
            name: nts.name().to_owned(),
            address,
        };
        if let Some(text) = failure.log_line(&label) {
            self.journal.error(text);
        }
        if let Some(text) = failure.hint(&label) {
            self.journal.warning(text);
        }
    }

    /// Takes the keys into use, follows to the negotiated address and polls at once.
    fn use_keys(&mut self, now: Now, id: SourceId, material: KeyMaterial, address: Option<IpAddr>) {
        let aead = material.keys.algorithm().number();
        self.journal
            .debug(|| format!("NTS-KE response: error=-1 next=0 aead={aead}"));
        let Some(nts) = self.nts_of(id) else {
            return;
        };
        nts.establishment = None;
        let Some(association) = nts.association_mut() else {
            return;
        };
        let before = association.target();
        let running = running_time(now.monotonic);
        let target = association.establishment_succeeded(material, address, running);
        if !self.follow_target(now, id, target) {
            if let Some(association) = self.nts_of(id).and_then(NtsClient::association_mut) {
                association.address_in_use(before);
                association.establishment_failed(Phase::Later, running);
            }
            let old = self.registry.get(id).and_then(|source| source.address());
            if let Some(old) = old {
                let new = target.address;
                self.say_failure(id, &Failure::AddressInUse { old, new });
            }
            return;
        }
        self.with_association(id, now, |association, cx| association.transmit_soon(cx));
    }

    /// Sends packets to where NTS-KE said. `false`: another source has that address.
    fn follow_target(&mut self, now: Now, id: SourceId, target: NtpTarget) -> bool {
        let new = SocketAddr::new(target.address, target.port);
        let Some(source) = self.registry.get(id) else {
            return true;
        };
        let Some(old) = source.remote().filter(|old| *old != new) else {
            return true;
        };
        if self
            .registry
            .by_address(new.ip())
            .is_some_and(|other| other != id)
        {
            return false;
        }
        let name = source.spec.name.clone();
        let key_server = self.nts_of(id).and_then(|nts| nts.key_server());
        if let Some(source) = self.registry.get_mut(id) {
            source.address_negotiated = key_server.is_some_and(|server| server.ip() != new.ip());
        }
        let text = if old.ip() == new.ip() {
            format!(
                "Source {} ({name}) changed port to {}",
                new.ip(),
                new.port()
            )
        } else {
            format!("Source {} changed to {} ({name})", old.ip(), new.ip())
        };
        self.change_remote(now, id, new, Some(old.ip()));
        self.journal.info(text);
        true
    }

    fn nts_of(&mut self, id: SourceId) -> Option<&mut NtsClient> {
        match &mut self.registry.get_mut(id)?.authenticator {
            SourceAuthenticator::Nts(nts) => Some(nts),
            _ => None,
        }
    }

    /// The daemon's corrected time of day.
    pub fn wall_time(&self, now: Now) -> WallTime {
        let (cooked, _) = self.steering.cook(now.raw);
        WallTime::from_ns(cooked.as_ns())
    }

    // The server.

    /// A connection to the NTS-KE server was accepted: whether it may go on (NTS chapter,
    /// section 9.2, steps 1 and 2).
    ///
    /// # Errors
    ///
    /// When it is to be closed.
    pub fn accept_key_establishment(&mut self, now: Now, client: IpAddr) -> Result<(), Refusal> {
        if !self.is_allowed(client) {
            return Err(Refusal::AccessDenied);
        }
        self.nts.server_hits += 1;
        let (cooked, _) = self.steering.cook(now.raw);
        let shared = Arc::clone(self.server_shared());
        let Some((log, reader)) = shared.client_log().zip(self.commands.clients.as_mut()) else {
            return Ok(());
        };
        let random = self.random.as_mut();
        match log.record(reader, Service::NtsKe, client, cooked, random) {
            Decision::Pass => Ok(()),
            _ => {
                self.nts.server_drops += 1;
                Err(Refusal::RateLimit)
            }
        }
    }

    /// The server's keys for cookies are these from now on.
    pub fn set_server_keys(&mut self, keys: Arc<ServerKeys>) {
        self.nts.server_keys = Some(keys);
        self.serving.stale = true;
    }
}
