//! What the kernel fills in beside and around a datagram: socket addresses, control
//! messages, frames from the error queue.
#![no_main]

use libfuzzer_sys::fuzz_target;
use os_linux::socket::{Ancillary, LoopedPacket, decode_address};

fuzz_target!(|bytes: &[u8]| parse_all(bytes));

fn parse_all(bytes: &[u8]) {
    let _ = decode_address(bytes);
    let _ = Ancillary::parse(bytes);
    if let Some(packet) = LoopedPacket::parse(bytes) {
        assert!(bytes.get(packet.payload).is_some());
    }
}
