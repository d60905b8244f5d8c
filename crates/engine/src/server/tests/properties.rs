//! Whatever arrives: no panic, no amplification, no answer to an answer.

use std::net::SocketAddr;
use std::sync::Arc;

use discipline::time::RawTime;
use ntp_wire::ptp::{PREFIX_LENGTH, PtpPrefix};
use ntp_wire::{Header, MessageWriter, Mode};
use nts::server::keys::ServerKeys;
use proptest::prelude::*;

use super::harness::{Server, Setup, golden_keys};
use crate::event::{PacketTime, TimestampSource};
use crate::server::responder::{Outcome, Request};

/// Payloads that are often close to requests.
fn payloads() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let header = (any::<u8>(), prop::array::uniform32(any::<u8>()));
    let tail = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..120),
        (any::<u16>(), 4u16..60).prop_map(|(kind, words)| {
            let mut field = vec![0; usize::from(words) * 4];
            field[..2].copy_from_slice(&kind.to_be_bytes());
            field[2..4].copy_from_slice(&(words * 4).to_be_bytes());
            field
        }),
        prop::sample::select(vec![0xf323u16, 0x010a]).prop_map(|kind| {
            let mut field = [0; 28];
            field[..2].copy_from_slice(&kind.to_be_bytes());
            field[3] = 28;
            field[4..8].copy_from_slice(&[0xf5, 0xbe, 0xdd, 0x9a]);
            field.to_vec()
        }),
    ];
    (
        header,
        prop::collection::vec(tail, 0..3),
        any::<Option<u8>>(),
        any::<bool>(),
    )
        .prop_map(|((first, rest), tails, key, on_ptp)| {
            let mut message = vec![first];
            message.extend(rest);
            message.resize(48, 0x55);
            message.extend(tails.concat());
            if let Some(key) = golden_keys().get(u32::from(key.unwrap_or(0)) % 15) {
                let mut buffer = [0; 1500];
                let mut writer = MessageWriter::new(&mut buffer);
                writer.append(&message).unwrap();
                writer.sign(key, first >> 3 & 7).unwrap();
                message = writer.written().to_vec();
            }
            if on_ptp {
                let mut prefix = [0; PREFIX_LENGTH];
                PtpPrefix::new(message.len() as u16, 123, 0).emit(&mut prefix);
                message.splice(..0, prefix);
            }
            (message, on_ptp)
        })
}

fn server() -> Server {
    let mut server = Server::new(Setup::default());
    server.snapshot.ptp_domain = Some(123);
    server.snapshot.signing = true;
    server
}

fn check(server: &mut Server, payload: &[u8], on_ptp: bool, remote: SocketAddr) {
    let raw = RawTime::from_ns(1_795_471_883_000_000_000);
    let request = Request {
        payload,
        remote,
        on_ptp,
        received: PacketTime {
            raw,
            source: TimestampSource::Hardware,
        },
        receive_duration_s: Some(1e-6),
        from_association: false,
    };
    let outcome = server
        .responder
        .respond(&request, &server.snapshot, || raw, &mut server.buffer);
    let offset = if on_ptp { PREFIX_LENGTH } else { 0 };
    let length = match outcome {
        Outcome::Reply { length, .. } => length,
        Outcome::Sign { .. } => offset + 48,
        Outcome::Ignored(_) | Outcome::ForAssociation => return,
    };
    assert!(length <= payload.len());
    let asked = Header::parse(payload[offset..].first_chunk().unwrap());
    let answer = Header::parse(server.buffer[offset..].first_chunk().unwrap());
    let expected = match asked.mode {
        Mode::SymmetricActive => Mode::SymmetricPassive,
        Mode::Client | Mode::Reserved => Mode::Server,
        mode => panic!("answer to {mode:?}"),
    };
    assert_eq!(answer.mode, expected);
    assert_eq!(answer.version, asked.version);
    assert_eq!(answer.receive.to_bits() & 1, 1);
    assert_eq!(answer.transmit.to_bits() & 1, 0);
    assert_ne!(answer.receive, answer.origin);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn near_requests((payload, on_ptp) in payloads(), port in 1u16..300) {
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        check(&mut server(), &payload, on_ptp, remote);
    }

    #[test]
    fn any_bytes(payload in prop::collection::vec(any::<u8>(), 0..1500), on_ptp: bool) {
        let remote = SocketAddr::from(([192, 0, 2, 1], 4000));
        check(&mut server(), &payload, on_ptp, remote);
    }

    #[test]
    fn any_nts_fields(kinds in prop::collection::vec((0u16..5, 4u16..70), 1..6)) {
        let mut server = server();
        let mut random = |bytes: &mut [u8]| bytes.fill(0x77);
        let keys = ServerKeys::generate(&mut random);
        server.snapshot.nts = Some(Arc::new(keys));
        let mut payload = vec![0x23];
        payload.resize(48, 0);
        for (kind, words) in kinds {
            let start = payload.len();
            payload.extend((kind << 8 | 4).to_be_bytes());
            payload.extend((words * 4).to_be_bytes());
            payload.resize(start + usize::from(words) * 4, 3);
        }
        let remote = SocketAddr::from(([192, 0, 2, 1], 4000));
        check(&mut server, &payload, false, remote);
    }
}
