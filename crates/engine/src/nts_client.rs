//! NTS of one source: the seam between an association, which knows packets and timers, and
//! [`nts::client::association`], which knows cookies and keys (NTS chapter, section 5).
//!
//! The association asks [`Authenticator::prepare`] before each request. When a key
//! establishment is due, the wish is kept here until the engine, which can act, sees it.

use std::net::{IpAddr, SocketAddr};

use discipline::time::MonotonicTime;
use ntp_wire::{MAX_PACKET_LENGTH, MessageWriter, Packet};
use nts::client::association::{Association, AssociationSettings, AuthReport, PollStep};
use nts::ke::client::KeyMaterial;
use nts::time::RunningTime;

use crate::association::{AuthenticationFailed, Authenticator};
use crate::random::RandomSource;

/// Identifies a key establishment, so that the result of one that is no longer wanted does
/// no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EstablishmentId(pub u64);

/// A key establishment under way.
#[derive(Debug)]
pub(crate) struct Establishment {
    pub(crate) id: EstablishmentId,
    /// What it gave, while the negotiated server's name is looked up.
    pub(crate) material: Option<KeyMaterial>,
}

/// Options of `nts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtsOptions {
    /// `ntsport`
    pub port: u16,
    /// `certset`
    pub cert_set: u32,
    /// `ntsrefresh`, seconds.
    pub refresh_s: u32,
    /// For peers, as in the reference: keys are established, but as NTS is for clients only
    /// no packet is ever sent or accepted. One without authentication is not what was asked
    /// for.
    pub keys_only: bool,
}

impl Default for NtsOptions {
    /// The defaults of the configuration.
    fn default() -> Self {
        Self {
            port: 4460,
            cert_set: 0,
            refresh_s: 2_419_200,
            keys_only: false,
        }
    }
}

/// The NTS state of a source.
#[derive(Debug)]
pub struct NtsClient {
    name: String,
    ntp_port: u16,
    options: NtsOptions,
    /// `None` while the source has no address.
    association: Option<Association>,
    wants_keys: bool,
    pub(crate) establishment: Option<Establishment>,
}

/// The daemon's running time as the NTS rooms count it.
pub(crate) fn running_time(now: MonotonicTime) -> RunningTime {
    RunningTime::from_ns(now.as_ns())
}

impl NtsClient {
    /// For a source without address so far.
    pub fn new(name: String, ntp_port: u16, options: NtsOptions) -> Self {
        Self {
            name,
            ntp_port,
            options,
            association: None,
            wants_keys: false,
            establishment: None,
        }
    }

    /// The source got an address, or another one, by resolving: nothing learnt from the
    /// former one is of use. What a key establishment under way gives is not wanted any more.
    pub fn set_address(&mut self, address: IpAddr) {
        self.wants_keys = false;
        self.establishment = None;
        self.association = Some(Association::new(AssociationSettings {
            name: self.name.clone(),
            address,
            ntp_port: self.ntp_port,
            refresh_s: self.options.refresh_s,
        }));
    }

    /// Cookies and keys, once the source has an address.
    pub fn association(&self) -> Option<&Association> {
        self.association.as_ref()
    }

    pub(crate) fn association_mut(&mut self) -> Option<&mut Association> {
        self.association.as_mut()
    }

    /// The NTS-KE server, once the source has an address.
    pub fn key_server(&self) -> Option<SocketAddr> {
        let address = self.association.as_ref()?.settings().address;
        Some(SocketAddr::new(address, self.options.port))
    }

    /// Name for certificates and messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The options.
    pub fn options(&self) -> NtsOptions {
        self.options
    }

    /// Whether the latest poll asked for a key establishment; asks once.
    pub(crate) fn take_wish(&mut self) -> bool {
        std::mem::take(&mut self.wants_keys)
    }

    /// Data for `authdata`.
    pub fn report(&self, now: MonotonicTime) -> AuthReport {
        self.association.as_ref().map_or(
            AuthReport {
                last_establishment_ago_s: u32::MAX,
                ..AuthReport::default()
            },
            |association| association.report(running_time(now)),
        )
    }
}

impl Authenticator for NtsClient {
    fn prepare(&mut self, now: MonotonicTime, random: &mut dyn RandomSource) -> bool {
        let Some(association) = &mut self.association else {
            return false;
        };
        let mut fill = |bytes: &mut [u8]| random.fill(bytes);
        match association.poll(running_time(now), &mut fill) {
            PollStep::SendRequest => !self.options.keys_only,
            PollStep::Wait => false,
            PollStep::StartEstablishment => {
                self.wants_keys = true;
                false
            }
        }
    }

    fn protect(&mut self, message: &mut MessageWriter<'_>) -> Result<(), AuthenticationFailed> {
        let association = self.association.as_mut().ok_or(AuthenticationFailed)?;
        let mut buffer = [0; MAX_PACKET_LENGTH];
        let used = message.written().len();
        let head = buffer.get_mut(..used).ok_or(AuthenticationFailed)?;
        head.copy_from_slice(message.written());
        let length = association
            .append_request(&mut buffer, used)
            .ok_or(AuthenticationFailed)?;
        let fields = buffer.get(used..length).ok_or(AuthenticationFailed)?;
        Ok(message.append(fields)?)
    }

    fn verify(&mut self, packet: &Packet<'_>) -> bool {
        self.association
            .as_mut()
            .is_some_and(|association| association.handle_response(packet).is_ok())
    }
}
