//! Recorded datagrams.

use std::path::{Path, PathBuf};

/// One datagram sent by the client, with what came back.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) replies: Vec<Vec<u8>>,
}

/// Folder of the samples.
pub(crate) fn folder() -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/chronyc"
    ))
    .to_owned()
}

/// Bytes of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hexadecimal digit");
    text.as_bytes()
        .chunks(2)
        .map(|pair| (digit(pair[0]) * 16 + digit(pair[1])) as u8)
        .collect()
}
