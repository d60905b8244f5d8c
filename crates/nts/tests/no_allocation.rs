//! Answering NTP requests allocates nothing.

use ntp_wire::{MAX_PACKET_LENGTH, Packet};
use nts::server::key_file::KeyFile;
use nts::server::packet::{Opened, append_unique_identifiers, open_request};

#[path = "../../../tests/support/counting_allocator.rs"]
mod counting_allocator;

use counting_allocator::allocations;

fn file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/nts/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

#[test]
fn responses_and_naks() {
    let mut answered = 0;
    for (requests, keys) in [
        ("ntp_server_siv.tsv", "ntskeys_15"),
        ("ntp_server_gcm_compliant.tsv", "ntskeys_30"),
    ] {
        let keys = KeyFile::parse(&file(keys)).unwrap().keys;
        for line in file(requests).lines().skip(2) {
            let request = octets(line.split('\t').nth(2).unwrap());
            let mut random = |bytes: &mut [u8]| bytes.fill(7);
            let mut buffer = [0; MAX_PACKET_LENGTH];
            let before = allocations();
            let length = Packet::parse(&request).ok().and_then(|packet| {
                match open_request(&keys, &packet) {
                    Opened::Authentic(request) => {
                        request.seal_response(&keys, &mut buffer, 48, &mut random)
                    }
                    Opened::Nak => append_unique_identifiers(&packet, &mut buffer, 48),
                    Opened::Dropped(_) => None,
                }
            });
            assert_eq!(allocations(), before, "{line}");
            answered += usize::from(length.is_some());
        }
    }
    assert!(answered > 70, "{answered}");
}
