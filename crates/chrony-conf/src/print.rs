//! What `chronyd -p` prints (configuration chapter, section 1.4).

use crate::load::Loaded;
use crate::text;

/// The lines of the configuration, each ended by a line feed, byte for byte as written but
/// for white space. On an error the offending line is the last one.
pub fn print(loaded: &Loaded) -> Vec<u8> {
    let mut output = Vec::new();
    for line in &loaded.lines {
        output.extend_from_slice(&text::to_bytes(line));
        output.push(b'\n');
    }
    output
}
