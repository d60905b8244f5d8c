//! Any datagram as a reply: no panic, and what is accepted survives encoding.
#![no_main]

use control_wire::{Reply, ReplyHeader};
use libfuzzer_sys::fuzz_target;

fn check(datagram: &[u8]) {
    let Some(header) = ReplyHeader::parse(datagram) else {
        return;
    };
    if let Ok(reply) = Reply::parse(&header, datagram) {
        let encoded = reply.emit(&header);
        assert!(encoded.len() <= datagram.len());
        assert_eq!(Reply::parse(&header, &encoded), Ok(reply));
    }
}

fuzz_target!(|datagram: &[u8]| check(datagram));
