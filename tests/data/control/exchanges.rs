//! The lines of the recorded exchanges, and how a reply is compared with a recorded one.

use control_wire::{Reply, ReplyHeader};

use super::mask::mask;

/// The lines that are exchanges, split into columns.
pub(super) fn lines(data: &str) -> impl Iterator<Item = Vec<&str>> {
    data.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
}

/// The bytes of hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8);
    bytes.collect()
}

/// A reply in a form to be compared: header, masked data, length.
pub(super) fn comparable(reply: &[u8]) -> Option<(ReplyHeader, Reply, usize)> {
    if reply.is_empty() {
        return None;
    }
    let header = ReplyHeader::parse(reply).expect("header of a reply");
    let data = Reply::parse(&header, reply).expect("data of a reply");
    Some((header, mask(data), reply.len()))
}
