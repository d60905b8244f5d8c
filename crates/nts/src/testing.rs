//! Golden files for the tests of this crate.

use std::path::PathBuf;

use crate::random::Random;

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
