//! Commands that change sources, and those that ask the owner for something
//! (control-protocol chapter, sections 9.3, 9.5, 9.6, 9.8 and 14).

use std::sync::Arc;

use chrony_conf::sources::{
    AddressFamily, ExtensionFields, SelectOptions as ConfSelectOptions,
    SourceKind as ConfSourceKind, SourceOptions, SourceSpec as ConfSourceSpec,
};
use control_wire::{
    AddSource, Address, Burst as BurstRequest, Float, MaskedAddress, ModifyOffset,
    ModifySelectOptions, Request, SourceFlags, SourceKind, Status,
};
use discipline::journal::Journal;
use discipline::samples::SourceDump;
use ntp_wire::KeyRing;

use super::super::Engine;
use super::wire::{select_options, wire_options};
use super::{Answer, DONE};
use crate::action::{Action, SavedFile};
use crate::association::{Association, AuthenticationKind, Burst, SymmetricKey};
use crate::event::Now;
use crate::ids::SourceId;
use crate::registry::{AddError, Origin, Source, SourceAuthenticator};

/// Strata that `minstratum` can ask for.
const MIN_STRATA: std::ops::RangeInclusive<i32> = 0..=15;

impl Engine {
    pub(super) fn change_connectivity(
        &mut self,
        now: Now,
        wanted: &MaskedAddress,
        online: bool,
    ) -> Answer {
        let found = self.matching_sources(wanted)?;
        // The selected source last, so that the selection does not jump between others.
        let selected = self.selector.selected().map(SourceId);
        let (last, first): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|id| Some(*id) == selected);
        for id in first.into_iter().chain(last) {
            self.with_association(id, now, |association, cx| {
                if online {
                    association.set_online(cx)
                } else {
                    association.set_offline(cx)
                }
            });
        }
        if online {
            self.names.want_round();
            self.drive_names(now);
        }
        DONE
    }

    pub(super) fn follow_routes(&mut self, now: Now) -> Answer {
        self.check_routes();
        self.drive_names(now);
        DONE
    }

    pub(super) fn burst(&mut self, now: Now, request: &BurstRequest) -> Answer {
        let burst = Burst {
            good_samples: u32::try_from(request.n_good_samples).unwrap_or(0),
            transmissions: u32::try_from(request.n_total_samples).unwrap_or(0),
        };
        for id in self.matching_sources(&request.sources)? {
            self.with_association(id, now, |association, cx| {
                association.start_burst(burst, cx)
            });
        }
        DONE
    }

    pub(super) fn add_source_by_command(&mut self, now: Now, request: &AddSource) -> Answer {
        let line = source_line(request)?;
        let added = self.add_source(now, &line, Origin::Command);
        self.drive_names(now);
        added.map_err(|error| match error {
            AddError::AlreadyInUse => Status::SourceAlreadyKnown,
            AddError::TooMany => Status::TooManySources,
            AddError::InvalidFamily => Status::InvalidAddressFamily,
            AddError::InvalidName => Status::InvalidName,
        })?;
        DONE
    }

    pub(super) fn delete_source(&mut self, now: Now, address: Address) -> Answer {
        let id = self.source_by_address(address)?;
        self.remove_source(now, id, Origin::Command);
        DONE
    }

    /// Lets a command set something of one source.
    fn set_of_source(
        &mut self,
        address: Address,
        set: impl FnOnce(&mut Association, &mut Journal),
    ) -> Answer {
        let id = self.source_by_address(address)?;
        let source = self.registry.get_mut(id).ok_or(Status::NoSuchSource)?;
        set(&mut source.association, &mut self.journal);
        DONE
    }

    pub(super) fn change_source_setting(&mut self, request: &Request) -> Answer {
        use Request as R;
        match *request {
            R::ModifyMinPoll(change) => self.set_of_source(change.address, |source, journal| {
                source.set_min_poll(change.value, journal);
            }),
            R::ModifyMaxPoll(change) => self.set_of_source(change.address, |source, journal| {
                source.set_max_poll(change.value, journal);
            }),
            R::ModifyMaxDelay(change) => self.set_of_source(change.address, |source, journal| {
                source.set_max_delay(change.value.value(), journal);
            }),
            R::ModifyMaxDelayRatio(change) => {
                self.set_of_source(change.address, |source, journal| {
                    source.set_max_delay_ratio(change.value.value(), journal);
                })
            }
            R::ModifyMaxDelayDevRatio(change) => {
                self.set_of_source(change.address, |source, journal| {
                    source.set_max_delay_dev_ratio(change.value.value(), journal);
                })
            }
            R::ModifyMinStratum(change) => {
                let stratum = change.value.clamp(*MIN_STRATA.start(), *MIN_STRATA.end());
                self.set_of_source(change.address, |source, journal| {
                    // Within 0 … 15.
                    source.set_min_stratum(stratum as u8, journal);
                })
            }
            R::ModifyPollTarget(change) => self.set_of_source(change.address, |source, journal| {
                source.set_poll_target(change.value, journal);
            }),
            R::ModifyOffset(change) => self.change_offset(&change),
            // Everything else was dealt with before.
            _ => Err(Status::Invalid),
        }
    }

    /// With an unspecified address a reference clock is meant.
    fn change_offset(&mut self, request: &ModifyOffset) -> Answer {
        if request.address == Address::Unspecified {
            let offset_s = request.offset_s.value();
            let clock = self.refclock_by_reference_id(request.ref_id)?;
            clock.set_offset(offset_s);
            let name = clock.name().to_owned();
            self.journal
                .info(format!("Source {name} new offset {offset_s:.6}"));
            return DONE;
        }
        self.set_of_source(request.address, |source, journal| {
            source.set_offset_correction(request.offset_s.value(), journal);
        })
    }

    /// As for [`Engine::change_offset`].
    pub(super) fn change_select_options(&mut self, request: &ModifySelectOptions) -> Answer {
        let (options, name) = if request.address == Address::Unspecified {
            let clock = self.refclock_by_reference_id(request.ref_id)?;
            let name = clock.name().to_owned();
            (&mut clock.select, name)
        } else {
            let id = self.source_by_address(request.address)?;
            let source = self.registry.get_mut(id).ok_or(Status::NoSuchSource)?;
            let name = source.address_text().to_owned();
            (&mut source.select, name)
        };
        let old = wire_options(*options);
        let kept = control_wire::SelectOptions(old.0 & !request.mask_options().0);
        let new = kept.union(request.new_options());
        if new != old {
            *options = select_options(new);
            self.journal
                .info(format!("Source {name} selection options modified"));
            self.refresh_options();
        }
        DONE
    }

    pub(super) fn reselect(&mut self, now: Now) -> Answer {
        self.selector.reselect();
        self.select(now, None);
        DONE
    }

    pub(super) fn change_reselect_distance(&mut self, distance_s: Float) -> Answer {
        self.selector
            .set_reselect_distance(distance_s.value(), &mut self.journal);
        DONE
    }

    pub(super) fn reset_sources(&mut self, now: Now) -> Answer {
        self.journal.info("Reset all sources");
        self.steering.reset(now, 0.0, &mut self.journal);
        self.propagate(now);
        DONE
    }

    pub(super) fn refresh_names(&mut self, now: Now) -> Answer {
        self.refresh_all(now);
        DONE
    }

    /// Before the start is complete the directories have not been read yet, so that there is
    /// nothing to read again.
    pub(super) fn request_source_reload(&mut self) -> Answer {
        if self.sources_added && !self.initial_correction {
            self.actions.push_back(Action::ReloadSources);
        }
        DONE
    }

    pub(super) fn request_keys(&mut self) -> Answer {
        self.actions.push_back(Action::ReloadKeys);
        DONE
    }

    pub(super) fn cycle_logs(&mut self) -> Answer {
        self.actions.push_back(Action::CycleLogs);
        DONE
    }

    pub(super) fn dump(&mut self, now: Now) -> Answer {
        self.dump_sources();
        self.save_all_cookies(now);
        self.actions.push_back(Action::SaveServerKeys);
        DONE
    }

    pub(super) fn shut_down(&mut self) -> Answer {
        self.journal.info("Received shutdown command");
        self.actions.push_back(Action::Exit { status: 0 });
        DONE
    }

    /// Saves the samples of every source with an address, one file each; a file of a source
    /// without samples goes (discipline chapter, section 5).
    pub fn dump_sources(&mut self) {
        let clocks = self.refclocks.iter();
        let clocks = clocks.map(|clock| (clock.dump_name(), clock.dump()));
        let known = self.registry.iter().filter(|s| s.address().is_some());
        let known = known.map(|source| (source.address_text().to_owned(), dump_of(source)));
        for (name, dump) in clocks.chain(known) {
            let file = SavedFile::Dump { name };
            self.actions.push_back(if dump.samples.is_empty() {
                Action::Remove { file }
            } else {
                Action::Save {
                    file,
                    contents: dump.to_text(),
                }
            });
        }
    }

    /// The key file was read again.
    pub fn set_keys(&mut self, keys: Arc<KeyRing>) {
        for source in self.registry.iter_mut() {
            if let AuthenticationKind::SymmetricKey(id) = source.spec.association.authentication {
                source.authenticator =
                    SourceAuthenticator::Key(SymmetricKey::new(id, Arc::clone(&keys)));
            }
        }
        self.keys = keys;
        self.serving.stale = true;
    }
}

fn dump_of(source: &Source) -> SourceDump {
    SourceDump {
        name: source.spec.name.clone(),
        authenticated: source.authenticator.is_authenticated(),
        reachability: *source.association.reachability(),
        stratum: source.status.stratum,
        leap: source.status.leap,
        asymmetry_run: source.statistics.regression().asymmetry_run(),
        samples: source.statistics.samples().iter().copied().collect(),
    }
}

/// A number that the configuration keeps as `i32`; larger ones mean the largest.
fn limited(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// The line that would add the source of a request. Numbers are clamped where sources are
/// made.
fn source_line(request: &AddSource) -> Result<ConfSourceSpec, Status> {
    let kind = match request.kind().ok_or(Status::Invalid)? {
        SourceKind::Server => ConfSourceKind::Server,
        SourceKind::Peer => ConfSourceKind::Peer,
        SourceKind::Pool => ConfSourceKind::Pool,
    };
    let name = request.name.requested().ok_or(Status::InvalidName)?;
    Ok(ConfSourceSpec {
        name: chrony_conf::text::from_bytes(name).into_owned(),
        kind,
        options: SourceOptions {
            minpoll: request.min_poll,
            maxpoll: request.max_poll,
            key: request.auth_key,
            certset: request.cert_set,
            maxdelay_s: request.max_delay_s.value(),
            maxdelayratio: request.max_delay_ratio.value(),
            maxdelaydevratio: request.max_delay_dev_ratio.value(),
            maxdelayquant: request.max_delay_quantile.value(),
            mindelay_s: request.min_delay_s.value(),
            asymmetry: request.asymmetry.value(),
            offset_s: request.offset_s.value(),
            minsamples: (request.min_samples >= 0).then_some(request.min_samples),
            maxsamples: (request.max_samples >= 0).then_some(request.max_samples),
            maxunreach: request.max_unreach,
            filter_length: request.filter_length,
            polltarget: limited(request.poll_target),
            // The low 16 bits are what is used.
            port: request.port as u16,
            ntsport: request.nts_port as u16,
            presend: request.presend_min_poll,
            minstratum: limited(request.min_stratum),
            version: version(request.version),
            maxsources: limited(request.max_sources),
            ..flags(request.flags)
        },
    })
}

/// 0 is automatic; too large a number is clamped like those of the configuration.
fn version(version: u32) -> Option<u8> {
    (version != 0).then(|| u8::try_from(version).unwrap_or(u8::MAX))
}

/// The options that are flags.
fn flags(flags: SourceFlags) -> SourceOptions {
    let has = |flag| flags.contains(flag);
    SourceOptions {
        offline: !has(SourceFlags::ONLINE),
        auto_offline: has(SourceFlags::AUTO_OFFLINE),
        iburst: has(SourceFlags::IBURST),
        burst: has(SourceFlags::BURST),
        nts: has(SourceFlags::NTS),
        copy: has(SourceFlags::COPY),
        xleave: has(SourceFlags::INTERLEAVED),
        select: ConfSelectOptions {
            prefer: has(SourceFlags::PREFER),
            noselect: has(SourceFlags::NOSELECT),
            trust: has(SourceFlags::TRUST),
            require: has(SourceFlags::REQUIRE),
        },
        extension_fields: ExtensionFields {
            monotonic_root: has(SourceFlags::EXT_MONOTONIC_ROOT),
            network_correction: has(SourceFlags::EXT_NETWORK_CORRECTION),
        },
        family: if has(SourceFlags::IPV4_ONLY) {
            AddressFamily::Ipv4
        } else if has(SourceFlags::IPV6_ONLY) {
            AddressFamily::Ipv6
        } else {
            AddressFamily::Any
        },
        ..SourceOptions::default()
    }
}
