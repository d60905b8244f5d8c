//! Reading files and directories, the only thing that this crate asks of the system.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::sources::AddressFamily;
use crate::text;

/// Most directories a `confdir` or `sourcedir` line can have.
pub const DIRECTORIES_MAX: usize = 10;

/// What can be known about a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Whether it is a regular file.
    pub is_regular: bool,
    /// Permission bits.
    pub mode: u32,
    /// Last modification.
    pub modified: Option<SystemTime>,
}

/// The outside world as configurations see it.
///
/// [`SystemReader`] is the real one; tests and fuzzers have their own.
pub trait Reader {
    /// The content of a file; a directory reads as an empty file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, without `.` and `..`, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Facts about a file.
    fn facts(&self, path: &Path) -> io::Result<FileFacts>;

    /// The first address of a host name; may block.
    fn resolve(&self, name: &str, family: AddressFamily) -> Option<IpAddr>;
}

/// Reads files through `std::fs`, resolves names through a given function.
pub struct SystemReader<F> {
    resolver: F,
}

impl<F: Fn(&str, AddressFamily) -> Option<IpAddr>> SystemReader<F> {
    /// A reader with this resolver.
    pub fn new(resolver: F) -> Self {
        Self { resolver }
    }
}

impl<F: Fn(&str, AddressFamily) -> Option<IpAddr>> Reader for SystemReader<F> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(Vec::new()),
            result => result,
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().into()))
            .collect()
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(path)?;
        Ok(FileFacts {
            is_regular: metadata.is_file(),
            mode: metadata.permissions().mode() & 0o7777,
            modified: metadata.modified().ok(),
        })
    }

    fn resolve(&self, name: &str, family: AddressFamily) -> Option<IpAddr> {
        (self.resolver)(name, family)
    }
}

/// The system's text of an error, without the number that Rust adds.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// Files `*SUFFIX` of a list of directories (configuration chapter, section 3.4): base
/// names sorted bytewise, each taken from the first directory that has it; dot files and
/// directories that cannot be read are left out.
pub fn by_precedence(directories: &[PathBuf], suffix: &str, reader: &dyn Reader) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u8>, PathBuf)> = Vec::new();
    for directory in directories {
        let mut names = reader.list(directory).unwrap_or_default();
        names.sort();
        for name in names {
            let bytes = text::to_bytes(&text::from_path(&name));
            let matches = !bytes.starts_with(b".") && bytes.ends_with(suffix.as_bytes());
            if matches && !found.iter().any(|(other, _)| *other == bytes) {
                found.push((bytes, directory.join(name)));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}
