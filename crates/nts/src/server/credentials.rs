//! Certificates and keys of the NTS-KE server (NTS chapter, section 9.1), with renewal while
//! the server runs.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::ke::client::{ALPN, provider};
use crate::log::{LogLine, Severity};
use crate::time::WallTime;
use crate::verify::fault::utc;
use crate::verify::{certificate_end, certificate_key_info, certificate_names, name_matches};

/// What is said about a key that cannot be used: the TLS library has no others, and short
/// RSA keys are no protection.
const UNSUPPORTED_KEY: &str = "private key not supported: it has to be RSA of 2048 bits or more, \
     ECDSA P-256 or P-384, or Ed25519";

/// A certificate in use that ends within this time is warned about: 14 days.
const WARN_BEFORE_S: f64 = 14.0 * 86400.0;
/// … once in this time.
const WARN_EVERY_S: f64 = 86400.0;

/// The n-th `ntsservercert` with the n-th `ntsserverkey`, as read by the caller.
#[derive(Clone, Debug)]
pub struct PairFiles {
    /// Path of the certificate file.
    pub certificate_path: String,
    /// Path of the key file.
    pub key_path: String,
    /// Content of the certificate file (PEM: the server's certificate, then intermediates);
    /// or the text of the error.
    pub certificate: Result<Vec<u8>, String>,
    /// Content of the key file (PEM); or the text of the error.
    pub key: Result<Vec<u8>, String>,
}

/// The warning about the permissions of a key file, whose mode is `mode`: others may read
/// it, or write it. The rights of the group and to execute do not matter.
pub fn permission_warning(path: &str, mode: u32) -> Option<LogLine> {
    let what = match mode & 0o006 {
        0 => return None,
        0o002 => "writable",
        _ => "readable",
    };
    Some(LogLine::new(
        Severity::Warning,
        format!("World-{what} permissions on {path}"),
    ))
}

/// Why a pair is unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsError {
    /// A file cannot be read or has no usable certificate or key.
    File {
        /// Its path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not that of the certificate.
    Mismatch {
        /// Path of the certificate.
        certificate_path: String,
        /// Path of the key.
        key_path: String,
    },
}

impl CredentialsError {
    fn file(path: &str, reason: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// Which file is meant, and why: for a second log line.
    pub fn hint(&self) -> String {
        match self {
            Self::File { path, reason } => format!("{path}: {reason}"),
            Self::Mismatch {
                certificate_path,
                key_path,
            } => {
                format!("{key_path} is not the key of the certificate in {certificate_path}")
            }
        }
    }
}

impl std::fmt::Display for CredentialsError {
    /// The text of the log line `Could not set credentials : …`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File { .. } => "Error while reading file.",
            Self::Mismatch { .. } => "The certificate and the given key do not match.",
        })
    }
}

impl std::error::Error for CredentialsError {}

#[derive(Debug)]
struct Pair {
    certificate_path: String,
    /// DNS names of the certificate.
    names: Vec<String>,
    not_after: WallTime,
    key: Arc<CertifiedKey>,
}

impl Pair {
    fn load(files: &PairFiles) -> Result<Self, CredentialsError> {
        let certificate_error =
            |reason: &str| CredentialsError::file(&files.certificate_path, reason);
        let key_error = |reason: &str| CredentialsError::file(&files.key_path, reason);
        let pem = files
            .certificate
            .as_ref()
            .map_err(|error| certificate_error(error))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .map_while(Result::ok)
            .collect();
        let leaf = chain
            .first()
            .ok_or_else(|| certificate_error("no certificate in PEM form"))?;
        let unusable = || certificate_error("not a certificate");
        let not_after = certificate_end(leaf).ok_or_else(unusable)?;
        let names = certificate_names(leaf).ok_or_else(unusable)?;
        let pem = files.key.as_ref().map_err(|error| key_error(error))?;
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|_| key_error("no unencrypted private key in PEM form"))?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| key_error(UNSUPPORTED_KEY))?;
        let of_key = key.public_key();
        let of_certificate = certificate_key_info(leaf).ok_or_else(unusable)?;
        if of_key.is_some_and(|info| info.as_ref() != of_certificate) {
            return Err(CredentialsError::Mismatch {
                certificate_path: files.certificate_path.clone(),
                key_path: files.key_path.clone(),
            });
        }
        Ok(Self {
            certificate_path: files.certificate_path.clone(),
            names,
            not_after,
            key: Arc::new(CertifiedKey::new(chain, key)),
        })
    }

    fn has_name(&self, host: &str) -> bool {
        self.names.iter().any(|name| name_matches(name, host))
    }
}

/// Chooses the pair of a session: among those with the name the client asks for the first
/// whose key the client can check, so that an RSA and an ECDSA pair can have the same name;
/// without such a pair the first that the client can check.
#[derive(Debug)]
struct Chooser(Vec<Pair>);

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable: Vec<&Pair> = self
            .0
            .iter()
            .filter(|pair| {
                pair.key
                    .key
                    .choose_scheme(hello.signature_schemes())
                    .is_some()
            })
            .collect();
        let named = hello
            .server_name()
            .and_then(|host| usable.iter().find(|pair| pair.has_name(host)));
        let pair = named.or_else(|| usable.first())?;
        Some(Arc::clone(&pair.key))
    }
}

/// All pairs of a server, ready for sessions.
#[derive(Debug)]
pub struct Credentials {
    chooser: Arc<Chooser>,
    tls: Arc<ServerConfig>,
}

impl Credentials {
    /// Makes the TLS configuration: TLS 1.3 only, `ntske/1`, no tickets, no resumption.
    ///
    /// # Errors
    ///
    /// The first pair that is unusable; then none is used.
    pub fn load(files: &[PairFiles]) -> Result<Self, CredentialsError> {
        let pairs: Result<Vec<Pair>, _> = files.iter().map(Pair::load).collect();
        let chooser = Arc::new(Chooser(pairs?));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| CredentialsError::file("TLS", error))?;
        let resolver: Arc<Chooser> = Arc::clone(&chooser);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            chooser,
            tls: Arc::new(config),
        })
    }

    /// The TLS configuration of sessions.
    pub(crate) const fn tls(&self) -> &Arc<ServerConfig> {
        &self.tls
    }

    fn has_same_certificates(&self, other: &Self) -> bool {
        let chains = |credentials: &Self| {
            let pairs = credentials.chooser.0.iter();
            pairs.map(|pair| pair.key.cert.clone()).collect::<Vec<_>>()
        };
        chains(self) == chains(other)
    }

    /// Path of each certificate and when it ends.
    pub fn ends(&self) -> impl Iterator<Item = (&str, WallTime)> {
        self.chooser
            .0
            .iter()
            .map(|pair| (pair.certificate_path.as_str(), pair.not_after))
    }
}

/// The credentials in service. New ones replace them without a restart; unusable new ones
/// leave them in service.
#[derive(Debug, Default)]
pub struct LiveCredentials {
    in_service: Option<Arc<Credentials>>,
    /// Files were looked at before, so that this is a reload and not the start.
    tried: bool,
    warned: HashMap<String, WallTime>,
}

impl LiveCredentials {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The credentials for new sessions; sessions that run keep theirs.
    pub const fn in_service(&self) -> Option<&Arc<Credentials>> {
        self.in_service.as_ref()
    }

    /// Takes over what was loaded at start, after a change or on `rekey`, and says what to log.
    pub fn replace(
        &mut self,
        loaded: Result<Credentials, CredentialsError>,
        now: WallTime,
    ) -> Vec<LogLine> {
        let renewed = self.in_service.is_some();
        let first = !std::mem::replace(&mut self.tried, true);
        match loaded {
            Ok(credentials) => {
                let same = |old: &Arc<Credentials>| old.has_same_certificates(&credentials);
                let unchanged = self.in_service.as_ref().is_some_and(same);
                self.in_service = Some(Arc::new(credentials));
                let mut lines = Vec::new();
                if !unchanged {
                    self.warned.clear();
                }
                if renewed && !unchanged {
                    lines.push(LogLine::new(
                        Severity::Info,
                        "Loaded new NTS server certificates",
                    ));
                }
                lines.extend(self.expiry_warnings(now));
                lines
            }
            Err(error) => {
                let text = format!("Could not set credentials : {error}");
                let mut hint = error.hint();
                if renewed {
                    hint.push_str(" (the NTS server certificates loaded before stay in service)");
                }
                // At the start, chrony's messages may be compared; it knows no reload.
                let severity = match first {
                    true => Severity::Explanation,
                    false => Severity::Warning,
                };
                vec![
                    LogLine::new(Severity::Error, text),
                    LogLine::new(severity, hint),
                ]
            }
        }
    }

    /// Warnings about certificates in service that end within 14 days, for each once a day.
    /// To be called about once an hour.
    pub fn expiry_warnings(&mut self, now: WallTime) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let Some(credentials) = &self.in_service else {
            return lines;
        };
        for (path, end) in credentials.ends() {
            let left_s = end.since(now);
            let recently = self
                .warned
                .get(path)
                .is_some_and(|last| (0.0..WARN_EVERY_S).contains(&now.since(*last)));
            if left_s > WARN_BEFORE_S || recently {
                continue;
            }
            self.warned.insert(path.to_owned(), now);
            let when = match left_s {
                ..0.0 => "ended".to_owned(),
                _ => format!("ends in {:.0} days,", (left_s / 86400.0).floor()),
            };
            lines.push(LogLine::new(
                Severity::Warning,
                format!(
                    "NTS server certificate {path} {when} on {}: renew it",
                    utc(end)
                ),
            ));
        }
        lines
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
