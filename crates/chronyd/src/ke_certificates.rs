//! The certificate and key files of the NTS-KE server: read at the start, when they changed and
//! when somebody says so (NTS chapter, section 9.1; reading them again is ours).

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use discipline::time::MonotonicTime;
use nts::log::LogLine;
use nts::server::credentials::{
    Credentials, CredentialsError, LiveCredentials, PairFiles, permission_warning,
};
use nts::time::WallTime;
use os_linux::error_text;

/// How often the files are looked at for changes without a connection, seconds: soon enough
/// for a message about a bad renewal.
const CHECK_INTERVAL_S: f64 = 60.0;

/// Least time between looks because of a connection, seconds: whoever connects later than
/// this after a renewal gets the new certificate.
const LOOK_INTERVAL_S: f64 = 1.0;

/// What tells that a file changed: device, inode, length and time of modification.
type FileStamp = Option<(u64, u64, u64, i64, i64)>;

fn file_stamp(path: &Path) -> FileStamp {
    let it = std::fs::metadata(path).ok()?;
    Some((it.dev(), it.ino(), it.len(), it.mtime(), it.mtime_nsec()))
}

/// Each `ntsservercert` with its `ntsserverkey`, and what of them is in service.
pub struct CertificateFiles {
    pairs: Vec<(PathBuf, PathBuf)>,
    credentials: LiveCredentials,
    /// Of the files that were taken into service, or said to be unusable.
    stamps: Vec<FileStamp>,
    /// Of changed files that are unusable, maybe because they are being written.
    half_renewed: Vec<FileStamp>,
    next_check: MonotonicTime,
    /// Earliest time of a look because of a connection.
    next_look: MonotonicTime,
}

impl CertificateFiles {
    /// Certificates and keys at these paths, not read yet.
    pub fn new(pairs: Vec<(PathBuf, PathBuf)>, at: MonotonicTime) -> Self {
        Self {
            pairs,
            credentials: LiveCredentials::new(),
            stamps: Vec::new(),
            half_renewed: Vec::new(),
            next_check: at.plus(CHECK_INTERVAL_S),
            next_look: at,
        }
    }

    /// What new sessions are served with, if anything.
    pub const fn in_service(&self) -> Option<&Arc<Credentials>> {
        self.credentials.in_service()
    }

    /// When [`CertificateFiles::check`] is to be called at the latest.
    pub const fn next_check(&self) -> MonotonicTime {
        self.next_check
    }

    /// Does not look at the files any more.
    pub fn forget(&mut self) {
        self.pairs.clear();
        self.stamps.clear();
    }

    /// Reads the files because somebody says that they are complete, and says what to log.
    pub fn load(&mut self, wall: WallTime) -> Vec<LogLine> {
        if self.pairs.is_empty() {
            return Vec::new();
        }
        // First, so that a change while the files are read is noticed.
        let stamps = self.current_stamps();
        let loaded = self.read();
        self.take_over(stamps, loaded, wall)
    }

    /// Loads certificates whose files changed, and warns about those that end soon: from time
    /// to time, and before a connection is served.
    pub fn check(&mut self, at: MonotonicTime, wall: WallTime, connection: bool) -> Vec<LogLine> {
        let periodic = self.next_check <= at;
        let asked = connection && self.next_look <= at;
        if !periodic && !asked {
            return Vec::new();
        }
        self.next_look = at.plus(LOOK_INTERVAL_S);
        if periodic {
            self.next_check = at.plus(CHECK_INTERVAL_S);
        }
        let stamps = self.current_stamps();
        if stamps == self.stamps {
            return match periodic {
                true => self.credentials.expiry_warnings(wall),
                false => Vec::new(),
            };
        }
        let loaded = self.read();
        if loaded.is_err() && self.half_renewed != stamps {
            // Somebody may be writing them: they get until the next look.
            self.half_renewed = stamps;
            self.next_check = self.next_look;
            return Vec::new();
        }
        self.take_over(stamps, loaded, wall)
    }

    fn current_stamps(&self) -> Vec<FileStamp> {
        let paths = self.pairs.iter().flat_map(|(cert, key)| [cert, key]);
        paths.map(|path| file_stamp(path)).collect()
    }

    fn read(&self) -> Result<Credentials, CredentialsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| error_text(&error));
        let files: Vec<PairFiles> = self
            .pairs
            .iter()
            .map(|(certificate, key)| PairFiles {
                certificate_path: certificate.display().to_string(),
                key_path: key.display().to_string(),
                certificate: read(certificate),
                key: read(key),
            })
            .collect();
        Credentials::load(&files)
    }

    fn take_over(
        &mut self,
        stamps: Vec<FileStamp>,
        loaded: Result<Credentials, CredentialsError>,
        wall: WallTime,
    ) -> Vec<LogLine> {
        self.stamps = stamps;
        self.half_renewed.clear();
        let warning = |key: &PathBuf| {
            let mode = std::fs::metadata(key).ok()?.permissions().mode();
            permission_warning(&key.display().to_string(), mode)
        };
        let mut lines: Vec<LogLine> = self
            .pairs
            .iter()
            .filter_map(|(_, key)| warning(key))
            .collect();
        lines.extend(self.credentials.replace(loaded, wall));
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const WALL: WallTime = WallTime::from_seconds(1_800_000_000);

    fn at(seconds: f64) -> MonotonicTime {
        MonotonicTime::from_ns(0).plus(seconds)
    }

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["s.test".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// A renewal that takes a while, file by file, is none until it is complete; files that
    /// stay unusable are said to be, once.
    #[test]
    fn files_being_renewed_get_until_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let write = |(certificate, key): &(String, String)| {
            fs::write(path("cert"), certificate).unwrap();
            fs::write(path("key"), key).unwrap();
        };
        let text = |lines: &[LogLine]| {
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            texts.join("\n")
        };
        let (old, new) = (made(), made());
        write(&old);
        let mut files = CertificateFiles::new(vec![(path("cert"), path("key"))], at(0.0));
        // The key file of this test may be readable by others.
        files.load(WALL);
        assert!(files.in_service().is_some());
        assert!(files.check(at(1.0), WALL, true).is_empty());

        fs::write(path("cert"), &new.0[..100]).unwrap();
        assert_eq!(text(&files.check(at(2.0), WALL, true)), "");
        fs::write(path("cert"), &new.0).unwrap();
        assert_eq!(text(&files.check(at(3.0), WALL, true)), "");
        // Too early for another look.
        write(&new);
        assert_eq!(text(&files.check(at(3.5), WALL, true)), "");
        let lines = text(&files.check(at(4.0), WALL, true));
        assert!(
            lines.ends_with("Loaded new NTS server certificates"),
            "{lines}"
        );

        // Without a connection too, and sooner than the next look that is due without a change.
        fs::write(path("key"), &old.1).unwrap();
        let due = files.next_check();
        assert_eq!(text(&files.check(due, WALL, false)), "");
        assert_eq!(files.next_check(), due.plus(LOOK_INTERVAL_S));
        let lines = text(&files.check(files.next_check(), WALL, false));
        assert!(lines.contains("stay in service"), "{lines}");
        assert_eq!(text(&files.check(files.next_check(), WALL, false)), "");
        assert!(files.in_service().is_some());
        // Whoever asks is told at once.
        fs::write(path("cert"), "half").unwrap();
        let lines = text(&files.load(WALL));
        assert!(lines.contains("no certificate in PEM form"), "{lines}");
    }
}
