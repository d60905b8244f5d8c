//! Any text as a configuration: no panic, every error has its place, what `-p` prints reads the same.
#![no_main]

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrony_conf::files::{FileFacts, Reader};
use chrony_conf::sources::AddressFamily;
use chrony_conf::{Loaded, Options};
use libfuzzer_sys::fuzz_target;

/// One file, which can include itself; nothing else exists.
struct OneFile<'a>(&'a [u8]);

impl Reader for OneFile<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path == Path::new("c") {
            true => Ok(self.0.to_vec()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec!["c".into()])
    }

    fn facts(&self, _: &Path) -> io::Result<FileFacts> {
        Ok(FileFacts { is_regular: true, mode: 0o600, modified: None })
    }

    fn resolve(&self, _: &str, _: AddressFamily) -> Option<IpAddr> {
        None
    }
}

fn load(text: &[u8]) -> Loaded {
    let options = Options { config_file: Some("c".into()), ..Options::default() };
    chrony_conf::load(&options, &OneFile(text))
}

fn check(text: &[u8]) {
    let loaded = load(text);
    for error in &loaded.diagnostics {
        assert!(error.source.is_char_boundary(error.start));
        assert!(error.start + error.length <= error.source.len());
    }
    if let Some(error) = loaded.diagnostics.first() {
        chrony_conf::render::render(error, true);
        return;
    }
    let printed = load(&chrony_conf::print(&loaded));
    assert_eq!(printed.lines, loaded.lines);
    assert_eq!(format!("{:?}", printed.config), format!("{:?}", loaded.config));
}

fuzz_target!(|text: &[u8]| check(text));
