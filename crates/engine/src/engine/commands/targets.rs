//! Which sources a request means (control-protocol chapter, sections 9.3 and 9.4).

use control_wire::{Address, Index, MaskedAddress, Status};
use discipline::samples::{SourceStatistics, SourceView};

use super::super::Engine;
use crate::ids::SourceId;
use crate::refclock::Refclock;
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

/// A source of either kind.
pub(super) enum Indexed<'a> {
    Ntp(&'a Source),
    Refclock(&'a Refclock),
}

impl<'a> Indexed<'a> {
    pub(super) fn statistics(&self) -> &'a SourceStatistics {
        match self {
            Self::Ntp(source) => &source.statistics,
            Self::Refclock(clock) => clock.statistics(),
        }
    }

    pub(super) fn view(&self) -> SourceView<'a> {
        match self {
            Self::Ntp(source) => source.view(),
            Self::Refclock(clock) => clock.view(),
        }
    }

    /// Reference ID of the source itself: of its address, whatever it announces with `copy`.
    pub(super) fn reference_id(&self) -> u32 {
        match self {
            Self::Ntp(source) => source.address().map_or(0, ntp_wire::refid::reference_id),
            Self::Refclock(clock) => clock.reference_id(),
        }
    }

    /// The address that reports of statistics and selection give.
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Ntp(source) => address_of(source),
            Self::Refclock(_) => Address::Unspecified,
        }
    }
}

impl Engine {
    /// The source of an index, in the order of creation.
    pub(super) fn source_by_index(&self, index: &Index) -> Result<Indexed<'_>, Status> {
        let index = usize::try_from(index.index).map_err(|_| Status::NoSuchSource)?;
        if let Some(clock) = self.refclocks.get(index) {
            return Ok(Indexed::Refclock(clock));
        }
        self.registry
            .by_index(index - self.refclocks.len())
            .map(Indexed::Ntp)
            .ok_or(Status::NoSuchSource)
    }

    /// The first reference clock with a reference ID.
    pub(super) fn refclock_by_reference_id(
        &mut self,
        reference_id: u32,
    ) -> Result<&mut Refclock, Status> {
        self.refclocks
            .iter_mut()
            .find(|clock| clock.reference_id() == reference_id)
            .ok_or(Status::NoSuchSource)
    }

    /// The source with an address or ID.
    pub(super) fn source_by_address(&self, address: Address) -> Result<SourceId, Status> {
        let found = match address {
            Address::Ipv4(address) => self.registry.by_address(address.into()),
            Address::Ipv6(address) => self.registry.by_address(address.into()),
            Address::Id(_) | Address::Unspecified => self
                .registry
                .iter()
                .find(|source| address_of(source) == address)
                .map(|source| source.id),
        };
        found.ok_or(Status::NoSuchSource)
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
