//! Which sources a request means (control-protocol chapter, sections 9.3 and 9.4).

use control_wire::{Address, Index, MaskedAddress, Status};

use super::super::Engine;
use crate::ids::SourceId;
use crate::registry::Source;

/// The address of a source as it travels: its ID while it has none.
pub(super) fn address_of(source: &Source) -> Address {
    match source.placeholder {
        Some(number) => Address::Id(number),
        None => Address::from(source.association.remote().ip()),
    }
}

/// Whether a request with mask and address means the source.
fn matches(wanted: &MaskedAddress, source: &Source) -> bool {
    match (wanted.address, wanted.mask, address_of(source)) {
        (Address::Unspecified, ..) => true,
        (Address::Ipv4(wanted), Address::Ipv4(mask), Address::Ipv4(own)) => {
            wanted.to_bits() & mask.to_bits() == own.to_bits() & mask.to_bits()
        }
        (Address::Ipv6(wanted), Address::Ipv6(mask), Address::Ipv6(own)) => {
            wanted.to_bits() & mask.to_bits() == own.to_bits() & mask.to_bits()
        }
        (wanted, _, own) => wanted == own,
    }
}

impl Engine {
    /// The source of an index. Reference clocks have none here yet.
    pub(super) fn source_by_index(&self, index: &Index) -> Result<&Source, Status> {
        usize::try_from(index.index)
            .ok()
            .and_then(|index| self.registry.by_index(index))
            .ok_or(Status::NoSuchSource)
    }

    /// The source with an address or ID.
    pub(super) fn source_by_address(&self, address: Address) -> Result<SourceId, Status> {
        self.registry
            .iter()
            .find(|source| address_of(source) == address)
            .map(|source| source.id)
            .ok_or(Status::NoSuchSource)
    }

    /// All sources that a mask and address mean.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub(super) fn matching_sources(&self, wanted: &MaskedAddress) -> Result<Vec<SourceId>, Status> {
        let found: Vec<SourceId> = self
            .registry
            .iter()
            .filter(|source| matches(wanted, source))
            .map(|source| source.id)
            .collect();
        if found.is_empty() {
            return Err(Status::NoSuchSource);
        }
        Ok(found)
    }
}
