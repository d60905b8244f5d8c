//! Operating modes: online, offline and bursts (ntp chapter, section 8.3).

/// Good samples and transmissions of `iburst`.
pub(super) const IBURST: Burst = Burst {
    good_samples: 4,
    transmissions: 8,
};
/// Largest number of transmissions of the option `burst`.
const MAX_BURST_TRANSMISSIONS: u32 = 4;

/// Size of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Good samples that end it.
    pub good_samples: u32,
    /// Transmissions that end it.
    pub transmissions: u32,
}

impl Burst {
    /// The option `burst` at a poll above `min_poll`.
    pub(super) fn for_poll(poll: i8, min_poll: i8) -> Self {
        let above = u32::from(poll.saturating_sub(min_poll).max(0).unsigned_abs());
        let transmissions = 1u32.checked_shl(above).unwrap_or(MAX_BURST_TRANSMISSIONS);
        Self {
            good_samples: 1,
            transmissions: transmissions.min(MAX_BURST_TRANSMISSIONS),
        }
    }
}

/// What the association is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatingMode {
    /// No polling.
    Offline,
    /// Regular polling.
    Online,
    /// A burst that returns to regular polling.
    BurstThenOnline(Burst),
    /// A burst that returns to no polling.
    BurstThenOffline(Burst),
}

impl OperatingMode {
    /// Whether a burst is under way.
    pub fn in_burst(self) -> bool {
        matches!(self, Self::BurstThenOnline(_) | Self::BurstThenOffline(_))
    }

    /// Whether it is, or will return to, regular polling.
    pub fn counts_as_online(self) -> bool {
        matches!(self, Self::Online | Self::BurstThenOnline(_))
    }

    pub(super) fn burst_mut(&mut self) -> Option<&mut Burst> {
        match self {
            Self::BurstThenOnline(burst) | Self::BurstThenOffline(burst) => Some(burst),
            Self::Offline | Self::Online => None,
        }
    }

    /// The mode after the burst; unchanged outside of one.
    pub(super) fn after_burst(self) -> Self {
        match self {
            Self::BurstThenOnline(_) => Self::Online,
            Self::BurstThenOffline(_) => Self::Offline,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_of_regular_bursts() {
        let transmissions = |poll| Burst::for_poll(poll, 0).transmissions;
        assert_eq!([1, 2, 3, 24].map(transmissions), [2, 4, 4, 4]);
        assert_eq!(Burst::for_poll(24, -7).transmissions, 4);
    }
}
