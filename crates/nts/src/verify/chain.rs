//! From the server's certificate to a trusted one (RFC 5280, section 6, without policies and
//! revocation; NTS chapter, section 4.2).

use rustls::pki_types::SignatureVerificationAlgorithm;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name, X509Version};

use crate::time::WallTime;
use crate::verify::fault::{CertificateFault, DateFault};
use crate::verify::names;
use crate::verify::trust::TrustedCertificates;

/// Most certificates between the server's and the trusted one.
const MAX_INTERMEDIATES: usize = 8;
/// Most signatures checked for one server: a bound on the work a hostile one can cause.
const MAX_SIGNATURES: usize = 50;

/// A parsed certificate with the raw parts that signatures are about.
pub(crate) struct Certificate<'a> {
    der: &'a [u8],
    parsed: X509Certificate<'a>,
    signed: &'a [u8],
    /// Content of the signature's AlgorithmIdentifier.
    signature_algorithm: &'a [u8],
    /// Content of the key's AlgorithmIdentifier.
    key_algorithm: &'a [u8],
}

/// The first element of `der`: all its octets, its content, and what follows.
fn element(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length_octet = usize::from(*der.get(1)?);
    let (header, length) = match length_octet {
        0..=0x7f => (2, length_octet),
        0x81..=0x84 => {
            let more = length_octet & 0x7f;
            let octets = der.get(2..2 + more)?;
            let length = octets
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            (2 + more, length)
        }
        _ => return None,
    };
    let end = header.checked_add(length)?;
    Some((der.get(..end)?, der.get(header..end)?, der.get(end..)?))
}

impl<'a> Certificate<'a> {
    /// `None` for anything that is not one certificate.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        // Both places must name the same algorithm (RFC 5280, section 4.1.1.2).
        if !rest.is_empty() || parsed.signature_algorithm != parsed.tbs_certificate.signature {
            return None;
        }
        let (_, content, _) = element(der)?;
        let (signed, _, after) = element(content)?;
        let (_, signature_algorithm, _) = element(after)?;
        let (_, key_info, _) = element(parsed.tbs_certificate.subject_pki.raw)?;
        let (_, key_algorithm, _) = element(key_info)?;
        Some(Self {
            der,
            parsed,
            signed,
            signature_algorithm,
            key_algorithm,
        })
    }

    pub(crate) fn subject(&self) -> String {
        self.parsed.subject().to_string()
    }

    pub(crate) fn issuer(&self) -> String {
        self.parsed.issuer().to_string()
    }

    pub(crate) fn subject_name(&self) -> &X509Name<'a> {
        &self.parsed.tbs_certificate.subject
    }

    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn public_key_info(&self) -> &'a [u8] {
        self.parsed.tbs_certificate.subject_pki.raw
    }

    /// The entries of the subject alternative name, if the certificate has one.
    pub(crate) fn alternative_names(&self) -> Option<&[GeneralName<'a>]> {
        self.parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    Some(names.general_names.as_slice())
                }
                _ => None,
            })
    }

    pub(crate) fn common_names(&self) -> Vec<String> {
        self.parsed
            .subject()
            .iter_common_name()
            .filter_map(|name| Some(name.as_str().ok()?.to_owned()))
            .collect()
    }

    pub(crate) fn not_after(&self) -> WallTime {
        WallTime::from_seconds(self.parsed.validity().not_after.timestamp())
    }

    fn not_before(&self) -> WallTime {
        WallTime::from_seconds(self.parsed.validity().not_before.timestamp())
    }

    fn is_valid_at(&self, now: WallTime) -> bool {
        self.not_before() <= now && now <= self.not_after()
    }

    /// Whether every critical extension is one whose meaning is respected here.
    fn is_understood(&self) -> bool {
        self.parsed.extensions().iter().all(|extension| {
            !extension.critical
                || matches!(
                    extension.parsed_extension(),
                    ParsedExtension::BasicConstraints(_)
                        | ParsedExtension::KeyUsage(_)
                        | ParsedExtension::ExtendedKeyUsage(_)
                        | ParsedExtension::SubjectAlternativeName(_)
                        | ParsedExtension::NameConstraints(_)
                        | ParsedExtension::CertificatePolicies(_)
                )
        })
    }

    /// Whether it may issue `leaf`'s chain with `below` certificates in between.
    fn may_issue(&self, leaf: &Certificate<'_>, below: usize, is_trusted: bool) -> bool {
        let mut is_ca = false;
        let mut allowed = self.is_understood();
        for extension in self.parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    is_ca = constraints.ca;
                    let longest = constraints.path_len_constraint;
                    allowed &= longest.is_none_or(|longest| below <= longest as usize);
                }
                ParsedExtension::KeyUsage(usage) => allowed &= usage.key_cert_sign(),
                ParsedExtension::NameConstraints(constraints) => {
                    allowed &= names::allowed(leaf, constraints);
                }
                _ => {}
            }
        }
        // Version 1 has no extensions; such old roots are trusted by listing them.
        let old_root = is_trusted
            && self.parsed.version() == X509Version::V1
            && self.parsed.subject() == self.parsed.issuer();
        allowed && (is_ca || old_root)
    }

    /// Whether `issuer`'s key made the signature.
    fn is_signed_by(
        &self,
        issuer: &Certificate<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let key = &issuer.parsed.tbs_certificate.subject_pki.subject_public_key;
        let signature = &self.parsed.signature_value;
        if key.unused_bits != 0 || signature.unused_bits != 0 {
            return false;
        }
        algorithms.iter().any(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == issuer.key_algorithm
                && algorithm.signature_alg_id().as_ref() == self.signature_algorithm
                && algorithm
                    .verify_signature(&key.data, self.signed, &signature.data)
                    .is_ok()
        })
    }
}

/// A search for a path.
struct Search<'a, 's> {
    leaf: &'s Certificate<'a>,
    others: &'s [Certificate<'a>],
    trusted: &'s TrustedCertificates,
    algorithms: &'s [&'static dyn SignatureVerificationAlgorithm],
    /// Only certificates valid at this time, if any is given.
    at: Option<WallTime>,
    signatures_left: usize,
    /// Dates of the certificates of the path, outermost first.
    dates: Vec<(String, WallTime, WallTime)>,
}

impl<'a> Search<'a, '_> {
    fn accepts_dates(&self, certificate: &Certificate<'_>) -> bool {
        self.at.is_none_or(|now| certificate.is_valid_at(now))
    }

    fn record(&mut self, certificate: &Certificate<'_>) {
        self.dates.push((
            certificate.subject(),
            certificate.not_before(),
            certificate.not_after(),
        ));
    }

    fn check_signature(&mut self, certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> bool {
        if self.signatures_left == 0 {
            return false;
        }
        self.signatures_left -= 1;
        certificate.is_signed_by(issuer, self.algorithms)
    }

    /// Whether a path leads from `certificate`, which has `below` intermediates below it
    /// counting itself unless it is the leaf, to a trusted certificate.
    fn reaches(&mut self, certificate: &Certificate<'a>, below: usize) -> bool {
        if !self.accepts_dates(certificate) {
            return false;
        }
        if self.trusted.contains(certificate.der) {
            self.record(certificate);
            return true;
        }
        let issuer_name = certificate.parsed.issuer().as_raw();
        let trusted = self.trusted;
        for der in trusted.by_subject(issuer_name) {
            let Some(anchor) = Certificate::parse(der) else {
                continue;
            };
            if self.accepts_dates(&anchor)
                && anchor.may_issue(self.leaf, below, true)
                && self.check_signature(certificate, &anchor)
            {
                self.record(&anchor);
                self.record(certificate);
                return true;
            }
        }
        if below == MAX_INTERMEDIATES {
            return false;
        }
        let others = self.others;
        for other in others {
            if other.parsed.subject().as_raw() == issuer_name
                && other.der != certificate.der
                && other.may_issue(self.leaf, below, false)
                && self.check_signature(certificate, other)
                && self.reaches(other, below + 1)
            {
                self.record(certificate);
                return true;
            }
        }
        false
    }
}

/// Looks for a path and notes in `fault` what is wrong. Dates are checked if `fault.now` is
/// set: a path of valid certificates is preferred, and without one the dates of another path
/// (or of the leaf, when there is none at all) are reported.
pub(crate) fn check(
    leaf: &Certificate<'_>,
    others: &[Certificate<'_>],
    trusted: &TrustedCertificates,
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
    fault: &mut CertificateFault,
) {
    let mut search = Search {
        leaf,
        others,
        trusted,
        algorithms,
        at: fault.now,
        signatures_left: MAX_SIGNATURES,
        dates: Vec::new(),
    };
    let understood = leaf.is_understood();
    if understood && search.reaches(leaf, 0) {
        return;
    }
    search.at = None;
    search.signatures_left = MAX_SIGNATURES;
    search.dates.clear();
    if !understood || !search.reaches(leaf, 0) {
        fault.issuer_unknown = true;
        search.dates.clear();
        search.record(leaf);
    }
    let Some(now) = fault.now else {
        return;
    };
    for (subject, not_before, not_after) in search.dates {
        if now < not_before {
            fault.not_yet_valid = Some(DateFault {
                subject,
                date: not_before,
            });
        } else if now > not_after {
            fault.expired = Some(DateFault {
                subject,
                date: not_after,
            });
        }
    }
}
