//! Golden files, certificates and connected sessions for the tests of this crate.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};
use rustls::pki_types::PrivateKeyDer;

use crate::ke::client::{ClientSession, KeyMaterial};
use crate::ke::failure::Failure;
use crate::ke::server::ServerSession;
use crate::random::Random;
use crate::server::credentials::PairFiles;
use crate::server::key_file::KeyFile;
use crate::server::keys::ServerKeys;
use crate::time::WallTime;
use crate::verify::trust::TrustedCertificates;

/// A file of the NTS golden data.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/nts")).join(name)
}

/// Its text.
pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// The columns of each line of a tab-separated file, without comment lines (`#`) and the
/// line of titles.
pub(crate) fn rows(name: &str) -> Vec<Vec<String>> {
    text(name)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// Hexadecimal as the golden files write it; `-` is nothing.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    if text == "-" || text.is_empty() {
        return Vec::new();
    }
    crate::hex::parse(text).unwrap_or_else(|| panic!("not hexadecimal: {text}"))
}

/// A reproducible random source.
pub(crate) fn counting(seed: u8) -> impl Random {
    let mut state = u64::from(seed);
    move |bytes: &mut [u8]| {
        for byte in bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    }
}

/// The server keys of a golden key file.
pub(crate) fn server_keys(name: &str) -> ServerKeys {
    KeyFile::parse(&text(name)).unwrap().keys
}

/// 2026-11-24 12:00:00 UTC: the time of all tests.
pub(crate) const NOW: WallTime = WallTime::from_seconds(1_795_521_600);

/// A certificate with its key.
pub(crate) struct Made {
    /// DER.
    pub(crate) der: Vec<u8>,
    /// PEM.
    pub(crate) pem: String,
    /// PEM (PKCS #8).
    pub(crate) key: String,
}

impl Made {
    /// As the two files of a server.
    pub(crate) fn files(&self) -> PairFiles {
        PairFiles {
            certificate_path: "server.crt".to_owned(),
            key_path: "server.key".to_owned(),
            certificate: Ok(self.pem.clone().into_bytes()),
            key: Ok(self.key.clone().into_bytes()),
        }
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        use rustls::pki_types::pem::PemObject;
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// A certification authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) made: Made,
}

/// Parameters with a common name and these DNS names and addresses, valid 2026 to 2027.
pub(crate) fn params(common_name: &str, names: &[&str], addresses: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let dns = names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().unwrap()));
    let ip = addresses
        .iter()
        .map(|address| SanType::IpAddress(address.parse().unwrap()));
    params.subject_alt_names = dns.chain(ip).collect();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 12, 31);
    params
}

fn made(der: &[u8], pem: String, key: &KeyPair) -> Made {
    Made {
        der: der.to_vec(),
        pem,
        key: key.serialize_pem(),
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(ca_params(name), None)
    }

    /// An authority, itself issued by another one if given.
    pub(crate) fn with(params: CertificateParams, parent: Option<&Self>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = match parent {
            Some(parent) => params.signed_by(&key, &parent.issuer).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let made = made(certificate.der(), certificate.pem(), &key);
        Self {
            issuer: Issuer::new(params, key),
            made,
        }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Made {
        self.issue_for(params, &KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_for(&self, params: &CertificateParams, key: &KeyPair) -> Made {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        made(certificate.der(), certificate.pem(), key)
    }
}

/// Parameters of an authority.
pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name, &[], &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A self-signed certificate.
pub(crate) fn self_signed(params: &CertificateParams) -> Made {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    made(certificate.der(), certificate.pem(), &key)
}

/// An RSA key of 2048 bits (the library used here cannot generate one).
pub(crate) fn rsa_key() -> KeyPair {
    KeyPair::from_pem(&text("test_rsa2048_key.pem")).unwrap()
}

/// A set of trusted certificates.
pub(crate) fn trusting(certificates: &[&Made]) -> Arc<TrustedCertificates> {
    let mut trusted = TrustedCertificates::default();
    for made in certificates {
        trusted.add(&made.der);
    }
    Arc::new(trusted)
}

/// Carries octets between two sessions until neither has more to say.
pub(crate) fn connect(
    client: &mut ClientSession,
    server: &mut ServerSession,
) -> Option<Result<KeyMaterial, Failure>> {
    let mut random = counting(1);
    loop {
        let mut octets = Vec::new();
        let mut moved = client.transmit(&mut octets);
        server.receive(&octets, &mut random);
        octets.clear();
        moved += server.transmit(&mut octets);
        client.receive(&octets);
        if moved == 0 {
            return client.take_result();
        }
    }
}

/// A packet that is well-formed.
pub(crate) fn parsed(bytes: &[u8]) -> ntp_wire::Packet<'_> {
    ntp_wire::Packet::parse(bytes).unwrap()
}
