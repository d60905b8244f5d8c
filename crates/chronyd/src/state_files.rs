//! Where the engine's files are kept.

use std::path::PathBuf;

use chrony_conf::config::Config;
use discipline::samples::dump::is_dump_file_name;
use engine::action::SavedFile;

use crate::files;

/// Permissions of files with nothing secret in them, less the umask.
const PUBLIC_MODE: u32 = 0o644;

/// Permissions of files with keys.
const SECRET_MODE: u32 = 0o600;

/// Paths of saved state.
#[derive(Clone, Debug)]
pub struct StateFiles {
    drift_file: Option<PathBuf>,
    dump_directory: Option<PathBuf>,
    nts_dump_directory: Option<PathBuf>,
    rtc_file: Option<PathBuf>,
}

impl StateFiles {
    /// The paths of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            drift_file: config.clock.drift_file.clone(),
            dump_directory: config.process.dump_directory.clone(),
            nts_dump_directory: config.nts.dump_directory.clone(),
            rtc_file: config.rtc.file.clone(),
        }
    }

    /// The path of a file; `None` when it is not kept.
    pub fn path(&self, file: &SavedFile) -> Option<PathBuf> {
        match file {
            SavedFile::Drift => self.drift_file.clone(),
            SavedFile::Rtc => self.rtc_file.clone(),
            SavedFile::Dump { name } => {
                Some(self.dump_directory.as_ref()?.join(format!("{name}.dat")))
            }
            SavedFile::NtsCookies { name } => Some(
                self.nts_dump_directory
                    .as_ref()?
                    .join(format!("{name}.nts")),
            ),
        }
    }

    /// Replaces a file. The error is the text of a message; `warn` is given warnings.
    pub fn save(
        &self,
        file: &SavedFile,
        contents: &str,
        warn: &mut dyn FnMut(&str),
    ) -> Result<(), String> {
        let Some(path) = self.path(file) else {
            return Ok(());
        };
        let mode = match file {
            SavedFile::NtsCookies { .. } => SECRET_MODE,
            SavedFile::Drift | SavedFile::Rtc | SavedFile::Dump { .. } => PUBLIC_MODE,
        };
        files::replace(&path, contents.as_bytes(), mode, warn)
    }

    /// Removes a file, if it exists. The error is the text of a message.
    pub fn remove(&self, file: &SavedFile) -> Result<(), String> {
        self.path(file).map_or(Ok(()), |path| files::remove(&path))
    }

    /// The contents of a file, if it can be read.
    pub fn read(&self, file: &SavedFile) -> Option<String> {
        std::fs::read_to_string(self.path(file)?).ok()
    }

    /// Removes all dump files; what they held was loaded or is out of date.
    pub fn remove_dumps(&self) {
        let Some(directory) = &self.dump_directory else {
            return;
        };
        let Ok(entries) = std::fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if is_dump_file_name(&name.to_string_lossy()) {
                // One that cannot be removed is found out of date at the next start.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dumps_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let files = StateFiles {
            drift_file: None,
            dump_directory: Some(folder.path().to_owned()),
            nts_dump_directory: None,
            rtc_file: None,
        };
        let dump = SavedFile::Dump {
            name: "2001:db8::1".into(),
        };
        files
            .save(&dump, "1 2\n", &mut |text| panic!("{text}"))
            .unwrap();
        assert_eq!(files.read(&dump).as_deref(), Some("1 2\n"));
        for name in [
            "refid:47505300.dat",
            "refid:PPS.dat",
            "192.0.2.1.dat",
            "notes.dat",
            "192.0.2.1.txt",
        ] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        files.remove_dumps();
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["192.0.2.1.txt", "notes.dat"]);
        assert!(
            files
                .save(&SavedFile::Drift, "0 0\n", &mut |text| panic!("{text}"))
                .is_ok()
        );
    }
}
