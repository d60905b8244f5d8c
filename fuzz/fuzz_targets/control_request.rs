//! Any datagram as a request: no panic, and what is accepted survives encoding.
#![no_main]

use control_wire::{Request, RequestHeader};
use libfuzzer_sys::fuzz_target;

fn check(datagram: &[u8]) {
    let Ok(header) = RequestHeader::parse(datagram) else {
        return;
    };
    if let Ok(request) = Request::parse(&header, datagram) {
        let encoded = request.emit(&header);
        assert!(encoded.len() <= datagram.len());
        assert_eq!(Request::parse(&header, &encoded), Ok(request));
    }
}

fuzz_target!(|datagram: &[u8]| check(datagram));
