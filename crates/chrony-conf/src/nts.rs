//! NTS directives of client and server (configuration chapter, sections 4.2 and 4.6).

use std::path::PathBuf;

use crate::arguments::Arguments;
use crate::diagnostics::{Fault, Message, Reason};
use crate::limits::RateLimit;
use crate::numbers;
use crate::sources::{INTEGER_MAX, NTS_KE_PORT};
use crate::text;

/// AES-128-GCM-SIV and AES-SIV-CMAC-256, the default algorithms in order of preference.
const DEFAULT_AEADS: [i32; 2] = [30, 15];

/// A path added to a set of trusted certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedCertificates {
    /// Set ID; 0 starts with the system's certificates unless `nosystemcert`.
    pub set: u32,
    /// PEM file or directory of PEM files.
    pub path: PathBuf,
}

/// NTS of client and server.
#[derive(Clone, Debug, PartialEq)]
pub struct NtsSettings {
    /// `ntsaeads`: algorithm IDs in order of preference.
    pub aeads: Vec<i32>,
    /// `ntsdumpdir`: directory of cookies and server keys.
    pub dump_directory: Option<PathBuf>,
    /// `ntsrefresh`: maximum age of keys, s.
    pub refresh_s: i32,
    /// `ntstrustedcerts` lines in order.
    pub trusted_certificates: Vec<TrustedCertificates>,
    /// `nosystemcert`.
    pub no_system_certificates: bool,
    /// `nocerttimecheck`: clock updates before certificates' times are checked.
    pub no_time_check_updates: i32,
    /// `ntsport`, the server's.
    pub port: u16,
    /// `ntsservercert` lines in order.
    pub server_certificates: Vec<PathBuf>,
    /// `ntsserverkey` lines in order.
    pub server_keys: Vec<PathBuf>,
    /// `ntsprocesses`: helpers; 0 = none.
    pub processes: i32,
    /// `maxntsconnections`, per process.
    pub max_connections: i32,
    /// `ntsntpserver`: name or address of the NTP server given to clients.
    pub ntp_server: Option<String>,
    /// `ntsrotate`: interval of server key rotation, s; 0 = keys are managed externally.
    pub rotate_s: i32,
    /// `ntsratelimit`.
    pub rate_limit: RateLimit,
}

impl Default for NtsSettings {
    fn default() -> Self {
        Self {
            aeads: DEFAULT_AEADS.to_vec(),
            dump_directory: None,
            refresh_s: 2_419_200,
            trusted_certificates: Vec::new(),
            no_system_certificates: false,
            no_time_check_updates: 0,
            port: NTS_KE_PORT,
            server_certificates: Vec::new(),
            server_keys: Vec::new(),
            processes: 1,
            max_connections: 100,
            ntp_server: None,
            rotate_s: 604_800,
            rate_limit: RateLimit::NTS,
        }
    }
}

impl NtsSettings {
    /// Certificate and key files of the server, paired by order; fatal when one is left over.
    pub fn server_credentials(&self) -> Result<Vec<(PathBuf, PathBuf)>, Message> {
        if self.server_certificates.len() != self.server_keys.len() {
            return Err(Message::fatal("Uneven number of NTS certs and keys"));
        }
        Ok(self
            .server_certificates
            .iter()
            .cloned()
            .zip(self.server_keys.iter().cloned())
            .collect())
    }
}

/// `ntsaeads ID...`: each a whole integer.
pub fn aeads(arguments: &mut Arguments<'_>) -> Result<Vec<i32>, Fault> {
    let mut ids = Vec::new();
    for word in arguments.rest() {
        let fault = |reason| Fault::at(reason, word.start, word.text.len());
        let value = numbers::whole_integer(word.text)
            .ok_or_else(|| fault(Reason::CouldNotParse).expecting("expected AEAD algorithm IDs"))?;
        let max = i64::from(INTEGER_MAX);
        ids.push(
            i32::try_from(value)
                .ok()
                .filter(|id| *id >= 0)
                .ok_or_else(|| {
                    fault(Reason::OutOfRange { value, min: 0, max })
                        .expecting(format!("expected 0 to {max}"))
                })?,
        );
    }
    Ok(ids)
}

/// `ntstrustedcerts [ID] PATH`.
pub fn trusted_certificates(arguments: &mut Arguments<'_>) -> Result<TrustedCertificates, Fault> {
    arguments.expect_count(1, 2)?;
    let first = arguments
        .next_word()
        .ok_or_else(|| Fault::new(Reason::MissingArguments))?;
    match arguments.next_word() {
        None => Ok(TrustedCertificates {
            set: 0,
            path: text::to_path(first.text),
        }),
        Some(path) => match numbers::wrapped_unsigned_prefix(first.text) {
            Some((set, _)) => Ok(TrustedCertificates {
                set,
                path: text::to_path(path.text),
            }),
            None => Err(
                Fault::at(Reason::CouldNotParse, first.start, first.text.len())
                    .expecting("expected the ID of a certificate set"),
            ),
        },
    }
}
