//! No input makes the parsers panic, and what they accept is emitted as it was.

use ntp_wire::extension::Extensions;
use ntp_wire::ptp::{self, PREFIX_LENGTH, PtpPrefix};
use ntp_wire::{
    Header, Key, KeyKind, MAX_PACKET_LENGTH, MessageWriter, NtpTimestamp, Packet, TimestampWindow,
};
use proptest::prelude::*;

/// Bytes that often are packets: a header of any kind, then pieces with field headers.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let field = (any::<u16>(), 0u16..80, 0usize..80).prop_map(|(kind, length, body)| {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend((length & !3).to_be_bytes());
        bytes.resize(4 + (body & !3), 7);
        bytes
    });
    (
        prop::array::uniform32(any::<u8>()),
        prop::array::uniform16(any::<u8>()),
        prop::collection::vec(field, 0..5),
        prop::collection::vec(any::<u8>(), 0..30),
    )
        .prop_map(|(first, second, fields, tail)| {
            let mut bytes = first.to_vec();
            bytes.extend(second);
            bytes.extend(fields.concat());
            bytes.extend(&tail[..tail.len() & !3]);
            bytes
        })
}

fn check_packet(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else {
        return;
    };
    let mut buffer = [0; MAX_PACKET_LENGTH];
    let mut writer = MessageWriter::new(&mut buffer);
    packet.emit(&mut writer).unwrap();
    assert_eq!(writer.written(), bytes);
    assert_eq!(
        packet.mac_position() + packet.mac.map_or(0, |mac| mac.length()),
        bytes.len()
    );
    let _ = (packet.network_correction(), packet.monotonic_root());
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
        check_packet(&bytes);
        let _ = ptp::unwrap(&bytes, 123);
        for field in Extensions::of_plaintext(&bytes) {
            let _ = field;
        }
    }

    #[test]
    fn packets_survive(bytes in packets()) {
        check_packet(&bytes);
    }

    #[test]
    fn headers_survive(first in prop::array::uniform32(any::<u8>()),
                       second in prop::array::uniform16(any::<u8>())) {
        let bytes: [u8; 48] = [first.as_slice(), &second].concat().try_into().unwrap();
        prop_assert_eq!(Header::parse(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn ptp_prefixes_survive(bytes in prop::collection::vec(any::<u8>(), PREFIX_LENGTH)) {
        let bytes: [u8; PREFIX_LENGTH] = bytes.try_into().unwrap();
        let mut again = [0; PREFIX_LENGTH];
        PtpPrefix::parse(&bytes).emit(&mut again);
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn timestamps_survive_in_every_window(start_s in -1_000_000_000i64..5_000_000_000,
                                          after_s in 0i64..4_294_967_296,
                                          ns in 0i64..1_000_000_000) {
        let time_ns = (start_s + after_s) * 1_000_000_000 + ns;
        let window = TimestampWindow { start_s };
        let back = window.to_unix_ns(NtpTimestamp::from_unix_ns(time_ns));
        // Truncated twice.
        prop_assert!((0..=1).contains(&(time_ns - back)));
    }

    #[test]
    fn signed_packets_verify_and_damaged_ones_do_not(
        message in prop::collection::vec(any::<u8>(), 1..40),
        kind in prop::sample::select(KeyKind::ALL.to_vec()),
        version in 1u8..=4,
        flip in any::<prop::sample::Index>(),
    ) {
        let secret = vec![0x5a; kind.secret_length().unwrap_or(20)];
        let key = Key::new(9, kind, &secret).unwrap();
        let mut bytes = vec![version << 3 | 3];
        bytes.resize(48, 0);
        bytes.extend(&message);
        bytes.resize(48 + 32, 0);
        if version == 4 {
            bytes[48..52].copy_from_slice(&[0x12, 0x34, 0, 32]);
        } else {
            bytes.truncate(48);
        }
        let mut buffer = [0; 300];
        let mut writer = MessageWriter::new(&mut buffer);
        writer.append(&bytes).unwrap();
        writer.sign(&key, version).unwrap();
        let mut signed = writer.written().to_vec();
        let verify = |signed: &[u8]| {
            Packet::parse(signed).is_ok_and(|packet| packet.mac.is_some_and(|mac| {
                key.verify(packet.authenticated_bytes(), &mac, packet.header.version)
            }))
        };
        prop_assert!(verify(&signed));
        let index = flip.index(signed.len());
        signed[index] ^= 0x10;
        prop_assert!(!verify(&signed));
    }
}
