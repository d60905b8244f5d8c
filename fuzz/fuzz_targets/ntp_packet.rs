//! Any datagram as an NTP packet, plain or over PTP: no panic, and what is accepted is
//! emitted as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ntp_wire::extension::Extensions;
use ntp_wire::{MAX_PACKET_LENGTH, MessageWriter, Packet, ptp};

fn check(datagram: &[u8]) {
    if let Ok(packet) = Packet::parse(datagram) {
        let mut buffer = [0; MAX_PACKET_LENGTH];
        let mut writer = MessageWriter::new(&mut buffer);
        packet.emit(&mut writer).expect("as long as it was");
        assert_eq!(writer.written(), datagram);
        let _ = (packet.network_correction(), packet.monotonic_root());
    }
    if let Some((prefix, message)) = ptp::unwrap(datagram, 123) {
        let mut again = [0; ptp::PREFIX_LENGTH];
        prefix.emit(&mut again);
        assert_eq!(again, datagram[..ptp::PREFIX_LENGTH]);
        assert!(!message.is_empty());
    }
    for field in Extensions::of_plaintext(datagram).flatten() {
        assert!(field.length() <= datagram.len());
    }
}

fuzz_target!(|datagram: &[u8]| check(datagram));
