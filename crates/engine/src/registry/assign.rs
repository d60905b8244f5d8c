//! Which of a name's addresses a source gets (ntp chapter, sections 16.2 to 16.4).

use std::net::IpAddr;

use super::{Registry, Source};
use crate::ids::{PoolId, SourceId};
use crate::names::{Family, Purpose, Question, ResolvedAddress};

impl Source {
    /// The question that resolves the source's name for a purpose.
    pub fn question(&self, purpose: Purpose) -> Question {
        Question {
            name: self.spec.name.clone(),
            family: self.spec.family,
            purpose,
        }
    }

    fn accepts(&self, address: &IpAddr) -> bool {
        self.spec
            .family
            .is_none_or(|family| family == Family::of(address))
    }
}

impl Registry {
    /// One question for every name without an address: each single source its own, each
    /// pool one.
    pub fn unresolved(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        let mut pools: Vec<PoolId> = Vec::new();
        for source in self.iter().filter(|source| source.placeholder.is_some()) {
            match source.pool {
                None => questions.push(source.question(Purpose::Source(source.id))),
                Some(pool) if !pools.contains(&pool) => {
                    pools.push(pool);
                    questions.push(source.question(Purpose::Pool(pool)));
                }
                Some(_) => {}
            }
        }
        questions
    }

    /// Whether any source has no address.
    pub fn has_unresolved(&self) -> bool {
        self.iter().any(|source| source.placeholder.is_some())
    }

    /// The address for a source that has none: the first usable one.
    pub fn first_address(&self, id: SourceId, found: &[ResolvedAddress]) -> Option<IpAddr> {
        let source = self.get(id).filter(|source| source.placeholder.is_some())?;
        self.usable(source, found.iter())
    }

    /// Addresses for the members of a pool that have none: each usable address goes to one.
    pub fn pool_addresses(
        &self,
        pool: PoolId,
        found: &[ResolvedAddress],
    ) -> Vec<(SourceId, IpAddr)> {
        let mut waiting = self
            .iter()
            .filter(|source| source.pool == Some(pool) && source.placeholder.is_some());
        let mut given: Vec<(SourceId, IpAddr)> = Vec::new();
        let mut next = waiting.next();
        for candidate in found {
            let Some(source) = next else { break };
            let fresh = given
                .iter()
                .all(|(_, address)| *address != candidate.address);
            if fresh && let Some(address) = self.usable(source, std::iter::once(candidate)) {
                given.push((source.id, address));
                next = waiting.next();
            }
        }
        given
    }

    /// Another address for a source: the list is entered at `start`, so that clients of
    /// one name spread over its addresses. The current address counts as taken.
    pub fn replacement(
        &self,
        id: SourceId,
        found: &[ResolvedAddress],
        start: usize,
    ) -> Option<IpAddr> {
        let source = self.get(id)?;
        let start = start.min(found.len());
        self.usable(source, found[start..].iter().chain(&found[..start]))
    }

    fn usable<'a>(
        &self,
        source: &Source,
        found: impl Iterator<Item = &'a ResolvedAddress>,
    ) -> Option<IpAddr> {
        found
            .filter(|candidate| candidate.connectable && source.accepts(&candidate.address))
            .map(|candidate| candidate.address)
            .find(|address| self.by_address(*address).is_none())
    }
}
