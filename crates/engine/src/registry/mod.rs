//! The sources: by address, by name and in pools (ntp chapter, section 16).
//!
//! The registry owns every source and knows which addresses are taken. It decides what an
//! answer of the resolver does; when names are asked is [`crate::names`]' business, and
//! what follows for the clock the engine's.

mod assign;
mod source;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

pub use source::{
    NtsOptions, Origin, Source, SourceAuthenticator, SourceSpec, SpecKind, UNKNOWN_STATUS,
    placeholder_text,
};

use crate::ids::{PoolId, SourceId};

/// Most sources, pool members included.
pub const SOURCES_MAX: usize = 65_536;

/// Most sources of a pool, and most placeholders made for one.
pub const POOL_SOURCES_MAX: u32 = 16;

/// Why a source was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// Another source has the address.
    AlreadyInUse,
    /// There are 65536 sources.
    TooMany,
    /// The address is not of the family that was asked for.
    InvalidFamily,
    /// The name has a space or a character that cannot be printed.
    InvalidName,
}

impl std::fmt::Display for AddError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AlreadyInUse => "Already in use",
            Self::TooMany => "Too many sources",
            Self::InvalidFamily => "Invalid address",
            Self::InvalidName => "Invalid name",
        })
    }
}

/// A pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Identity.
    pub id: PoolId,
    /// The name.
    pub name: String,
    /// Sources wanted.
    pub max_sources: u32,
}

/// All sources in the order of their creation.
#[derive(Debug, Default)]
pub struct Registry {
    sources: Vec<Source>,
    /// Which source has an address.
    by_address: HashMap<IpAddr, SourceId>,
    pools: Vec<Pool>,
    next_source: u32,
    next_pool: u32,
    next_placeholder: u32,
}

impl Registry {
    /// All sources.
    pub fn iter(&self) -> std::slice::Iter<'_, Source> {
        self.sources.iter()
    }

    /// All sources, to be changed.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Source> {
        self.sources.iter_mut()
    }

    /// Number of sources.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The source at a place in the order of creation.
    pub fn by_index(&self, index: usize) -> Option<&Source> {
        self.sources.get(index)
    }

    /// The source with an identity.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.position(id).map(|index| &self.sources[index])
    }

    /// The source with an identity, to be changed.
    pub fn get_mut(&mut self, id: SourceId) -> Option<&mut Source> {
        self.position(id).map(|index| &mut self.sources[index])
    }

    /// Identities ascend in the order of creation.
    fn position(&self, id: SourceId) -> Option<usize> {
        self.sources
            .binary_search_by_key(&id, |source| source.id)
            .ok()
    }

    /// The source with an address (any port).
    pub fn by_address(&self, address: IpAddr) -> Option<SourceId> {
        self.by_address.get(&address).copied()
    }

    /// The source with an address and port.
    pub fn by_remote(&self, remote: SocketAddr) -> Option<SourceId> {
        let id = self.by_address(remote.ip())?;
        (self.get(id)?.remote() == Some(remote)).then_some(id)
    }

    /// To be called when the address of a source changed, with the one it had before.
    pub(crate) fn follow_address(&mut self, id: SourceId, former: Option<IpAddr>) {
        if let Some(former) = former {
            self.by_address.remove(&former);
        }
        if let Some(source) = self.get_mut(id) {
            source.update_names();
            if let Some(address) = source.address() {
                self.by_address.insert(address, id);
            }
        }
    }

    /// The pools.
    pub fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.id == id)
    }

    /// An identity for something that is not kept here, but before all that is.
    pub(crate) fn reserve_id(&mut self) -> Result<SourceId, AddError> {
        // Four thousand million sources later nothing is added any more.
        self.next_source = self.next_source.checked_add(1).ok_or(AddError::TooMany)?;
        Ok(SourceId(self.next_source))
    }

    /// Adds the source or pool of `spec`. The result has the new sources (several for a
    /// pool given by name; those made before an error stay).
    ///
    /// `authenticate` makes the authenticator of one source.
    pub fn add(
        &mut self,
        spec: &SourceSpec,
        origin: Origin,
        authenticate: &mut dyn FnMut(&SourceSpec) -> SourceAuthenticator,
    ) -> Result<Vec<SourceId>, AddError> {
        if let Ok(address) = spec.name.parse::<IpAddr>() {
            return self
                .add_address(spec, address, origin, authenticate)
                .map(|id| vec![id]);
        }
        if spec.name.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(AddError::InvalidName);
        }
        let (pool, count) = match spec.kind {
            SpecKind::Server | SpecKind::Peer => (None, 1),
            SpecKind::Pool => {
                let wanted = spec.max_sources.clamp(1, POOL_SOURCES_MAX);
                (
                    Some(self.new_pool(spec, wanted)),
                    (2 * wanted).min(POOL_SOURCES_MAX),
                )
            }
        };
        let mut added = Vec::new();
        for _ in 0..count {
            self.next_placeholder = self.next_placeholder.wrapping_add(1);
            let number = self.next_placeholder;
            let id = self.push(spec, Err(number), origin, authenticate)?;
            if let Some(source) = self.get_mut(id) {
                source.pool = pool;
            }
            added.push(id);
        }
        Ok(added)
    }

    fn add_address(
        &mut self,
        spec: &SourceSpec,
        address: IpAddr,
        origin: Origin,
        authenticate: &mut dyn FnMut(&SourceSpec) -> SourceAuthenticator,
    ) -> Result<SourceId, AddError> {
        if spec
            .family
            .is_some_and(|family| family != crate::names::Family::of(&address))
        {
            return Err(AddError::InvalidFamily);
        }
        if self.by_address(address).is_some() {
            return Err(AddError::AlreadyInUse);
        }
        self.push(
            spec,
            Ok(SocketAddr::new(address, spec.port)),
            origin,
            authenticate,
        )
    }

    fn push(
        &mut self,
        spec: &SourceSpec,
        remote: Result<SocketAddr, u32>,
        origin: Origin,
        authenticate: &mut dyn FnMut(&SourceSpec) -> SourceAuthenticator,
    ) -> Result<SourceId, AddError> {
        if self.sources.len() >= SOURCES_MAX {
            return Err(AddError::TooMany);
        }
        let id = self.reserve_id()?;
        if let Ok(remote) = remote {
            self.by_address.insert(remote.ip(), id);
        }
        self.sources.push(Source::new(
            id,
            spec.clone(),
            origin,
            remote,
            authenticate(spec),
        ));
        Ok(id)
    }

    fn new_pool(&mut self, spec: &SourceSpec, max_sources: u32) -> PoolId {
        self.next_pool = self.next_pool.wrapping_add(1);
        let id = PoolId(self.next_pool);
        self.pools.push(Pool {
            id,
            name: spec.name.clone(),
            max_sources,
        });
        id
    }

    /// Removes a source. The second value is the name of its pool if it was the last one
    /// of it. A pool wants no more sources than it has left.
    pub fn remove(&mut self, id: SourceId) -> Option<(Source, Option<String>)> {
        let index = self.position(id)?;
        let source = self.sources.remove(index);
        if let Some(address) = source.address() {
            self.by_address.remove(&address);
        }
        let Some(pool_id) = source.pool else {
            return Some((source, None));
        };
        let left = self
            .sources
            .iter()
            .filter(|other| other.pool == Some(pool_id))
            .count();
        if left == 0 {
            let position = self.pools.iter().position(|pool| pool.id == pool_id);
            let name = position.map(|position| self.pools.remove(position).name);
            return Some((source, name));
        }
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.id == pool_id) {
            pool.max_sources = pool.max_sources.min(left as u32);
        }
        Some((source, None))
    }

    /// The members of a pool that are superfluous once it has its number of confirmed
    /// sources: all that are still tentative.
    pub fn superfluous(&self, pool: PoolId) -> Vec<SourceId> {
        let members = || {
            self.sources
                .iter()
                .filter(|source| source.pool == Some(pool))
        };
        let confirmed = members().filter(|source| !source.tentative).count();
        let wanted = self.pool(pool).map_or(0, |pool| pool.max_sources as usize);
        if confirmed < wanted {
            return Vec::new();
        }
        members()
            .filter(|source| source.tentative)
            .map(|source| source.id)
            .collect()
    }
}

#[cfg(test)]
mod tests;
