//! Names and addresses in certificates (NTS chapter, section 4.2; RFC 6125; RFC 5280,
//! section 4.2.1.10).

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, NameConstraints};

use crate::verify::ExpectedName;
use crate::verify::chain::Certificate;

/// Whether a DNS name of a certificate covers a host name: the same without regard to case,
/// or with `*` as the complete leftmost label and at least two labels after it.
pub(crate) fn dns_matches(pattern: &str, host: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("*.") {
        return rest.contains('.')
            && host.split_once('.').is_some_and(|(first, others)| {
                !first.is_empty() && others.eq_ignore_ascii_case(rest)
            });
    }
    !pattern.contains('*') && pattern.eq_ignore_ascii_case(host)
}

/// The address in an iPAddress entry.
fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

/// The DNS names a certificate stands for: those of the subject alternative name, or its
/// common name when it has no such extension.
pub(crate) fn dns_names(certificate: &Certificate<'_>) -> Vec<String> {
    match certificate.alternative_names() {
        Some(names) => names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect(),
        // Several common names would leave open which one counts.
        None => match certificate.common_names().as_slice() {
            [name] => vec![name.clone()],
            _ => Vec::new(),
        },
    }
}

/// Whether the certificate is for this name.
pub(crate) fn matches(certificate: &Certificate<'_>, expected: &ExpectedName) -> bool {
    match expected {
        ExpectedName::Dns(host) => dns_names(certificate)
            .iter()
            .any(|pattern| dns_matches(pattern, host)),
        ExpectedName::Address(wanted) => certificate
            .alternative_names()
            .unwrap_or_default()
            .iter()
            .any(|name| matches!(name, GeneralName::IPAddress(octets) if address(octets) == Some(*wanted))),
    }
}

/// All names and addresses, for a message.
pub(crate) fn presented(certificate: &Certificate<'_>) -> Vec<String> {
    let mut names = dns_names(certificate);
    for name in certificate.alternative_names().unwrap_or_default() {
        if let GeneralName::IPAddress(octets) = name {
            names.extend(address(octets).map(|address| address.to_string()));
        }
    }
    names
}

/// Whether `name` lies in the subtree `base` of a name constraint; `None` when they are of
/// different kinds.
fn within(name: &GeneralName<'_>, base: &GeneralName<'_>) -> Option<bool> {
    match (name, base) {
        (GeneralName::DNSName(name), GeneralName::DNSName(base)) => Some(dns_within(name, base)),
        (GeneralName::IPAddress(name), GeneralName::IPAddress(base)) => {
            let (network, mask) = base.split_at(base.len() / 2);
            let same = name.len() == network.len()
                && name
                    .iter()
                    .zip(network.iter().zip(mask))
                    .all(|(octet, (network, mask))| octet & mask == network & mask);
            Some(same)
        }
        (GeneralName::DirectoryName(name), GeneralName::DirectoryName(base)) => {
            let mut parts = name.iter_rdn();
            Some(base.iter_rdn().all(|wanted| parts.next() == Some(wanted)))
        }
        // Kinds that are never used here: a constraint on them must not be ignored when the
        // certificate has such a name, so it counts as not permitted.
        (GeneralName::RFC822Name(_), GeneralName::RFC822Name(_))
        | (GeneralName::URI(_), GeneralName::URI(_))
        | (GeneralName::OtherName(..), GeneralName::OtherName(..)) => Some(false),
        _ => None,
    }
}

/// A name in a DNS subtree: equal, or with more labels in front.
fn dns_within(name: &str, base: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let base = base.trim_start_matches('.').to_ascii_lowercase();
    base.is_empty()
        || name == base
        || name
            .strip_suffix(&base)
            .is_some_and(|front| front.ends_with('.'))
}

/// Whether the names of the server's certificate are allowed by the constraints of a CA
/// above it.
pub(crate) fn allowed(certificate: &Certificate<'_>, constraints: &NameConstraints<'_>) -> bool {
    let common_names = dns_names(certificate);
    let mut names: Vec<GeneralName<'_>> = match certificate.alternative_names() {
        Some(names) => names.to_vec(),
        None => common_names
            .iter()
            .map(|name| GeneralName::DNSName(name))
            .collect(),
    };
    names.push(GeneralName::DirectoryName(
        certificate.subject_name().clone(),
    ));
    let empty = Vec::new();
    let permitted = constraints.permitted_subtrees.as_ref().unwrap_or(&empty);
    let excluded = constraints.excluded_subtrees.as_ref().unwrap_or(&empty);
    names.iter().all(|name| {
        let of_kind: Vec<bool> = permitted
            .iter()
            .filter_map(|subtree| within(name, &subtree.base))
            .collect();
        let is_permitted = of_kind.is_empty() || of_kind.contains(&true);
        let is_excluded = excluded.iter().any(|subtree| {
            within(name, &subtree.base) == Some(true) || is_foreign(name, &subtree.base)
        });
        is_permitted && !is_excluded
    })
}

/// A kind of name whose exclusions cannot be judged here, present in both.
fn is_foreign(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    matches!(
        (name, base),
        (GeneralName::RFC822Name(_), GeneralName::RFC822Name(_))
            | (GeneralName::URI(_), GeneralName::URI(_))
            | (GeneralName::OtherName(..), GeneralName::OtherName(..))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        assert!(dns_matches("nts-EC.test", "NTS-ec.test"));
        assert!(dns_matches("*.nts.test", "a.nts.test"));
        assert!(!dns_matches("*.nts.test", "nts.test"));
        assert!(!dns_matches("*.nts.test", "a.b.nts.test"));
        assert!(!dns_matches("*.nts.test", ".nts.test"));
        assert!(!dns_matches("*.test", "nts-ec.test"));
        assert!(!dns_matches("a*.nts.test", "ab.nts.test"));
        assert!(!dns_matches("*", "test"));
    }

    #[test]
    fn subtrees() {
        assert!(dns_within("a.Example.org", "example.ORG"));
        assert!(dns_within("example.org", ".example.org"));
        assert!(!dns_within("badexample.org", "example.org"));
        let ip = |octets: &'static [u8]| GeneralName::IPAddress(octets);
        assert_eq!(
            within(&ip(&[10, 1, 2, 3]), &ip(&[10, 1, 0, 0, 255, 255, 0, 0])),
            Some(true)
        );
        assert_eq!(
            within(&ip(&[10, 2, 2, 3]), &ip(&[10, 1, 0, 0, 255, 255, 0, 0])),
            Some(false)
        );
        assert_eq!(
            within(&ip(&[0; 16]), &ip(&[10, 1, 0, 0, 255, 255, 0, 0])),
            Some(false)
        );
        assert_eq!(
            within(&ip(&[10, 1, 2, 3]), &GeneralName::DNSName("a.test")),
            None
        );
    }
}
