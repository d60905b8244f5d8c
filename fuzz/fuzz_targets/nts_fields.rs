//! NTS extension fields: requests as a server takes them, responses as a client takes them,
//! authenticators.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ntp_wire::{MAX_PACKET_LENGTH, Packet};
use nts::aead::{AeadKey, Algorithm};
use nts::authenticator::Authenticator;
use nts::client::packet::open_response;
use nts::server::key_file::KeyFile;
use nts::server::packet::{Opened, append_unique_identifiers, open_request};

const KEYS: &str = include_str!("../../tests/data/nts/ntskeys_30");

fuzz_target!(|data: &[u8]| {
    for algorithm in [Algorithm::AesSivCmac256, Algorithm::Aes128GcmSiv] {
        let _ = Authenticator::parse(data, algorithm);
    }
    let Ok(packet) = Packet::parse(data) else {
        return;
    };
    let keys = KeyFile::parse(KEYS).expect("a golden file").keys;
    let mut buffer = [0; MAX_PACKET_LENGTH];
    match open_request(&keys, &packet) {
        Opened::Authentic(request) => {
            let mut random = |bytes: &mut [u8]| bytes.fill(1);
            let length = request.seal_response(&keys, &mut buffer, 48, &mut random);
            assert!(length.is_none_or(|length| length == data.len()));
        }
        Opened::Nak => {
            let _ = append_unique_identifiers(&packet, &mut buffer, 48);
        }
        Opened::Dropped(_) => {}
    }
    let s2c = AeadKey::new(Algorithm::AesSivCmac256, &[7; 32]).expect("32 octets");
    let _ = open_response(&packet, &[0; 32], &s2c);
});
