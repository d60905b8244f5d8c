//! Sets of trusted certificates (NTS chapter, section 4.1).

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::verify::chain::Certificate;

/// Largest file read: more than any bundle of certificates.
const MAX_FILE: u64 = 64 << 20;

/// The certificates that a key establishment trusts.
#[derive(Debug, Default)]
pub struct TrustedCertificates {
    all: HashSet<Vec<u8>>,
    by_subject: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

/// A path of `ntstrustedcerts` cannot be read: the whole set is unusable. The text is the
/// one of the log line `Could not set credentials : …`.
#[derive(Debug)]
pub struct TrustError {
    /// The path.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

impl TrustError {
    /// What the system said, without the number that std adds.
    pub fn reason(&self) -> String {
        let mut text = self.error.to_string();
        if let Some(end) = text.find(" (os error") {
            text.truncate(end);
        }
        text
    }
}

impl std::fmt::Display for TrustError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Error while reading file.")
    }
}

impl std::error::Error for TrustError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The directives `ntstrustedcerts` and `nosystemcert`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustSettings {
    /// Number of the set and path, in the order of the configuration.
    pub paths: Vec<(u32, PathBuf)>,
    /// `nosystemcert`: set 0 without the system's certificates.
    pub no_system: bool,
}

impl TrustSettings {
    /// Reads the certificates of a set, as it is done for each key establishment, so that
    /// changed files count without a restart. Set 0 has the system's too.
    ///
    /// # Errors
    ///
    /// [`TrustError`] for the first path that cannot be read.
    pub fn load(&self, set: u32) -> Result<TrustedCertificates, TrustError> {
        let mut trusted = TrustedCertificates::default();
        if set == 0 && !self.no_system {
            for certificate in rustls_native_certs::load_native_certs().certs {
                trusted.add(&certificate);
            }
        }
        for (_, path) in self.paths.iter().filter(|(number, _)| *number == set) {
            trusted.add_path(path).map_err(|error| TrustError {
                path: path.clone(),
                error,
            })?;
        }
        Ok(trusted)
    }
}

impl TrustedCertificates {
    /// Adds a certificate (DER). What is no certificate is left out, as in a directory of
    /// mixed files.
    pub fn add(&mut self, der: &[u8]) {
        let Some(certificate) = Certificate::parse(der) else {
            return;
        };
        if self.all.insert(der.to_vec()) {
            let subject = certificate.subject_name().as_raw().to_vec();
            self.by_subject
                .entry(subject)
                .or_default()
                .push(der.to_vec());
        }
    }

    /// Adds all certificates in a PEM text; other parts of it do not matter.
    pub fn add_pem(&mut self, pem: &[u8]) {
        for certificate in CertificateDer::pem_slice_iter(pem).map_while(Result::ok) {
            self.add(&certificate);
        }
    }

    /// Adds a file, or all files of a directory. A file without certificates adds nothing.
    fn add_path(&mut self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            self.add_pem(&read(path)?);
            return Ok(());
        }
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            // Sub-directories and unreadable files of a directory are left out.
            if path.is_file() {
                self.add_pem(&read(&path).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Number of certificates.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether exactly this certificate is trusted.
    pub(crate) fn contains(&self, der: &[u8]) -> bool {
        self.all.contains(der)
    }

    /// The certificates with this subject (DER of the name).
    pub(crate) fn by_subject(&self, subject: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.by_subject
            .get(subject)
            .into_iter()
            .flatten()
            .map(Vec::as_slice)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_FILE)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
