//! Verification of a server's certificate by a client (NTS chapter, section 4).
//!
//! The usual Rust verifier (webpki) cannot be used: existing installations depend on
//! certificates that it refuses: the server's own certificate listed as trusted (with or
//! without CA flag), certificates that have only a common name, and any extended key usage.
//! It also stops at the first fault, where the log line names all. So the rules are written
//! out here, on the parser of the `x509-parser` crate and the signature algorithms of
//! rustls:
//!
//! - [`trust`]: the set of trusted certificates of a source;
//! - `chain`: a path from the server's certificate to a trusted one;
//! - `names`: the name or address in the certificate, and name constraints;
//! - [`fault`]: what is wrong, as log line and as hint.

mod chain;
pub mod fault;
mod names;
#[cfg(test)]
mod tests;
pub mod trust;

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, SignatureScheme,
};

use crate::time::WallTime;
use chain::Certificate;
use fault::{CertificateFault, NameFault};
pub(crate) use names::dns_matches as name_matches;
use trust::TrustedCertificates;

/// The name of a source, as its certificate must have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedName {
    /// A name, without a dot at the end.
    Dns(String),
    /// A source given by address.
    Address(IpAddr),
}

impl ExpectedName {
    /// From the configured name: an address in text form is an address; one trailing dot is
    /// removed.
    pub fn from_configured(name: &str) -> Self {
        match name.parse() {
            Ok(address) => Self::Address(address),
            Err(_) => Self::Dns(name.strip_suffix('.').unwrap_or(name).to_owned()),
        }
    }
}

impl std::fmt::Display for ExpectedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Whether dates of certificates are checked.
///
/// The directive `nocerttimecheck n` disables the check until the clock has been updated n
/// times. The reference counts only updates that happen while a key establishment runs, so
/// that in most clients the check is never enabled again; the safe rule, and what the manual
/// promises, is to count every update since the start of the daemon. That counter is the
/// caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeCheck {
    /// Dates are checked against the daemon's corrected clock.
    At(WallTime),
    /// Dates are not looked at.
    Disabled,
}

impl TimeCheck {
    /// The rule of `nocerttimecheck`: `needed` is its argument, `updates` counts all clock
    /// updates since the start of the daemon.
    pub const fn after_updates(needed: u32, updates: u64, now: WallTime) -> Self {
        if updates < needed as u64 {
            Self::Disabled
        } else {
            Self::At(now)
        }
    }
}

/// When a certificate (DER) ends.
pub(crate) fn certificate_end(der: &[u8]) -> Option<WallTime> {
    Some(Certificate::parse(der)?.not_after())
}

/// The DNS names of a certificate (DER).
pub(crate) fn certificate_names(der: &[u8]) -> Option<Vec<String>> {
    Some(names::dns_names(&Certificate::parse(der)?))
}

/// The public key of a certificate (DER), as SubjectPublicKeyInfo.
pub(crate) fn certificate_key_info(der: &[u8]) -> Option<&[u8]> {
    Some(Certificate::parse(der)?.public_key_info())
}

/// The rules for one key establishment.
#[derive(Clone, Debug)]
pub struct Verifier {
    trusted: Arc<TrustedCertificates>,
    name: ExpectedName,
    time: TimeCheck,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Rules for a server of this name.
    pub fn new(trusted: Arc<TrustedCertificates>, name: ExpectedName, time: TimeCheck) -> Self {
        let provider: CryptoProvider = ring::default_provider();
        Self {
            trusted,
            name,
            time,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    /// Checks chain, dates and name. All faults are collected.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCertificate`] with [`CertificateError::BadEncoding`] for what is no
    /// certificate, else with a [`CertificateFault`] inside.
    pub fn verify(&self, leaf: &[u8], others: &[&[u8]]) -> Result<(), Error> {
        let leaf = Certificate::parse(leaf).ok_or(CertificateError::BadEncoding)?;
        let others: Vec<Certificate<'_>> = others
            .iter()
            .filter_map(|der| Certificate::parse(der))
            .collect();
        let mut fault = CertificateFault {
            expected: self.name.clone(),
            subject: leaf.subject(),
            issuer: leaf.issuer(),
            now: match self.time {
                TimeCheck::At(now) => Some(now),
                TimeCheck::Disabled => None,
            },
            ..CertificateFault::default()
        };
        chain::check(
            &leaf,
            &others,
            &self.trusted,
            self.algorithms.all,
            &mut fault,
        );
        if !names::matches(&leaf, &self.name) {
            fault.name = Some(NameFault {
                presented: names::presented(&leaf),
            });
        }
        if fault.is_any() {
            let inner: Arc<dyn std::error::Error + Send + Sync> = Arc::new(fault);
            return Err(CertificateError::Other(OtherError(inner)).into());
        }
        Ok(())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let others: Vec<&[u8]> = intermediates.iter().map(AsRef::as_ref).collect();
        self.verify(end_entity, &others)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.2 is not enabled, so this is never called.
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let leaf = Certificate::parse(cert).ok_or(CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(leaf.public_key_info());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
