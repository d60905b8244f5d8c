//! One NTP source: its configuration, its address, its association and its statistics.

use std::net::{IpAddr, SocketAddr};

use discipline::samples::{
    SelectOptions, SourceKind, SourceStatistics, SourceView, StatisticsSettings,
};
use discipline::time::MonotonicTime;
use ntp_wire::LeapIndicator;

use crate::association::{
    Association, AssociationConfig, AssociationMode, Authenticator, NoAuthentication, SourceStatus,
    SymmetricKey,
};
use crate::ids::{PoolId, SourceId};
use crate::names::Family;
use crate::nts_client::NtsClient;

pub use crate::nts_client::NtsOptions;

/// Which directive or command made the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecKind {
    /// `server`
    Server,
    /// `peer`
    Peer,
    /// `pool`
    Pool,
}

/// Where a source comes from: decides what is said about it and what may remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration at start.
    Configuration,
    /// A file in a source directory; such a source goes when its line goes.
    SourceDirectory,
    /// The command `add`.
    Command,
    /// `initstepslew`; removed when the initial correction is made.
    InitStepSlew,
}

/// Everything that a `server`, `pool` or `peer` line says.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSpec {
    /// Which directive.
    pub kind: SpecKind,
    /// Host name or address as given.
    pub name: String,
    /// `port`
    pub port: u16,
    /// `ipv4`, `ipv6`
    pub family: Option<Family>,
    /// What the association needs to know.
    pub association: AssociationConfig,
    /// What the statistics need to know.
    pub statistics: StatisticsSettings,
    /// Selection options.
    pub select: SelectOptions,
    /// `maxunreach`
    pub max_unreach: u32,
    /// `maxsources` of a pool.
    pub max_sources: u32,
    /// `nts` with its options.
    pub nts: Option<NtsOptions>,
}

/// How packets of the source are made authentic and checked.
#[derive(Debug)]
pub enum SourceAuthenticator {
    /// Not at all.
    None(NoAuthentication),
    /// By a symmetric key.
    Key(SymmetricKey),
    /// By Network Time Security.
    Nts(Box<NtsClient>),
}

impl SourceAuthenticator {
    /// The association's view of it.
    pub fn as_dyn(&mut self) -> &mut dyn Authenticator {
        match self {
            Self::None(none) => none,
            Self::Key(key) => key,
            Self::Nts(nts) => nts.as_mut(),
        }
    }

    /// Whether responses are authenticated.
    pub fn is_authenticated(&self) -> bool {
        !matches!(self, Self::None(_))
    }
}

/// An NTP source.
#[derive(Debug)]
pub struct Source {
    /// Identity.
    pub id: SourceId,
    /// What was configured.
    pub spec: SourceSpec,
    /// Where it comes from.
    pub origin: Origin,
    /// The pool it belongs to.
    pub pool: Option<PoolId>,
    /// While the name has no address: the number shown as `ID#…`.
    pub placeholder: Option<u32>,
    /// Whether the name is a host name and not an address.
    pub named: bool,
    /// Whether no good response came from the current address yet.
    pub tentative: bool,
    /// When the name was last resolved.
    pub resolved_at: Option<MonotonicTime>,
    /// Whether its address was changed by NTS-KE, which makes it replaceable.
    pub address_negotiated: bool,
    /// The protocol machine.
    pub association: Association,
    /// Samples and fit.
    pub statistics: SourceStatistics,
    /// Authentication.
    pub authenticator: SourceAuthenticator,
    /// Stratum, leap status and ID announced by the source.
    pub status: SourceStatus,
    /// The selection options in force (the command `selectopts` changes them).
    pub select: SelectOptions,
    display_name: String,
    log_name: String,
}

/// Status of a source that has not said anything yet.
pub const UNKNOWN_STATUS: SourceStatus = SourceStatus {
    stratum: 0,
    leap: LeapIndicator::Unsynchronised,
    reference_id: None,
};

/// Text of a placeholder address.
pub fn placeholder_text(number: u32) -> String {
    format!("ID#{number:010}")
}

impl Source {
    /// A source with an address (`remote`) or, with `placeholder`, without one yet.
    pub fn new(
        id: SourceId,
        spec: SourceSpec,
        origin: Origin,
        remote: Result<SocketAddr, u32>,
        authenticator: SourceAuthenticator,
    ) -> Self {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], spec.port));
        let association = Association::new(
            spec.association.clone(),
            remote.unwrap_or(unspecified),
            u64::from(id.0),
            spec.statistics.precision_s,
        );
        let mut source = Self {
            id,
            origin,
            pool: None,
            placeholder: remote.err(),
            named: spec.name.parse::<IpAddr>().is_err(),
            tentative: true,
            resolved_at: None,
            address_negotiated: false,
            association,
            statistics: SourceStatistics::new(spec.statistics),
            authenticator,
            status: UNKNOWN_STATUS,
            select: spec.select,
            display_name: String::new(),
            log_name: String::new(),
            spec,
        };
        source.update_names();
        source
    }

    /// The address, if it is known.
    pub fn address(&self) -> Option<IpAddr> {
        self.placeholder
            .is_none()
            .then(|| self.association.remote().ip())
    }

    /// The address that the name resolved to, if it is known: the NTS-KE server's, from which
    /// the one in use may differ.
    pub fn resolved_address(&self) -> Option<IpAddr> {
        let address = self.address()?;
        match &self.authenticator {
            SourceAuthenticator::Nts(nts) => nts.key_server().map(|server| server.ip()),
            _ => None,
        }
        .or(Some(address))
    }

    /// The address and port, if known.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.placeholder
            .is_none()
            .then(|| self.association.remote())
    }

    /// Address (or placeholder) as text.
    pub fn address_text(&self) -> &str {
        &self.log_name
    }

    /// `address`, or `address (name)` when configured by a different name.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Whether the source may be given another address of its name.
    pub fn is_replaceable(&self) -> bool {
        self.named || self.address_negotiated
    }

    /// The names follow the address.
    pub(super) fn update_names(&mut self) {
        self.log_name = match self.placeholder {
            Some(number) => placeholder_text(number),
            None => self.association.remote().ip().to_string(),
        };
        self.association.set_name(&self.log_name);
        self.display_name = if self.log_name == self.spec.name {
            self.log_name.clone()
        } else {
            format!("{} ({})", self.log_name, self.spec.name)
        };
    }

    /// Drops everything learnt from the source.
    pub fn forget_samples(&mut self) {
        self.statistics.reset();
        self.status = UNKNOWN_STATUS;
    }

    /// The reference ID of the source itself; 0 while it has no address.
    pub fn reference_id(&self) -> u32 {
        self.status
            .reference_id
            .or_else(|| self.address().map(ntp_wire::refid::reference_id))
            .unwrap_or(0)
    }

    /// Whether it is a symmetric association.
    pub fn is_peer(&self) -> bool {
        self.spec.association.mode == AssociationMode::SymmetricActive
    }

    /// What selection sees.
    pub fn view(&self) -> SourceView<'_> {
        SourceView {
            key: self.id.0,
            kind: SourceKind::Ntp,
            display_name: &self.display_name,
            log_name: &self.log_name,
            statistics: &self.statistics,
            options: self.select,
            authenticated: self.authenticator.is_authenticated(),
            reachability: *self.association.reachability(),
            max_unreach: self.spec.max_unreach,
            stratum: self.status.stratum,
            leap: self.status.leap,
            reference_id: self.reference_id(),
            local_reference_id: self
                .association
                .ntp_data()
                .local_address
                .map(ntp_wire::refid::reference_id),
        }
    }
}
