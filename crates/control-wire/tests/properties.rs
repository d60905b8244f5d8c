//! Any bytes are parsed without panic, and what is parsed survives encoding.

use control_wire::{Command, Float, Reply, ReplyHeader, Request, RequestHeader};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Random data behind any command: encoding and decoding again gives the same request.
    #[test]
    fn requests_round_trip(index in 0..Command::ALL.len(), sequence: u32, attempt: u16,
                           data in prop::collection::vec(any::<u8>(), 540)) {
        let command = Command::ALL[index];
        let request = Request::parse_data(command, &data).expect("long enough");
        let header = RequestHeader { version: 6, command: command.code(), attempt, sequence };
        let datagram = request.emit(&header);
        prop_assert_eq!(RequestHeader::parse(&datagram), Ok(header));
        prop_assert_eq!(Request::parse(&header, &datagram), Ok(request));
    }

    /// Random datagrams of every length.
    #[test]
    fn random_requests(datagram in prop::collection::vec(any::<u8>(), 0..900)) {
        if let Ok(header) = RequestHeader::parse(&datagram) {
            let _ = Request::parse(&header, &datagram);
        }
    }

    /// Random replies with a plausible header: decoding, encoding and decoding again agrees.
    #[test]
    fn replies_round_trip(code in 0u16..30, data in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut datagram = data;
        for (place, byte) in datagram.iter_mut().zip([6, 2, 0, 0, 0, 33, 0, code as u8]) {
            *place = byte;
        }
        if let Some(header) = ReplyHeader::parse(&datagram)
            && let Ok(reply) = Reply::parse(&header, &datagram)
        {
            let encoded = reply.emit(&header);
            prop_assert!(encoded.len() <= datagram.len());
            prop_assert_eq!(ReplyHeader::parse(&encoded), Some(header));
            prop_assert_eq!(Reply::parse(&header, &encoded), Ok(reply));
        }
    }

    /// A number is kept to 23 significant bits within the range of the format.
    #[test]
    fn float_precision(value in prop::num::f64::NORMAL) {
        let decoded = Float::new(value).value();
        if (1e-18..4e18).contains(&value.abs()) {
            prop_assert!(((decoded - value) / value).abs() <= 1.0 / f64::from(1 << 22));
        }
        prop_assert_eq!(Float::new(decoded).value(), decoded);
    }

    /// Every word means a number that can be encoded again.
    #[test]
    fn float_words(bits: u32) {
        let value = Float::from_bits(bits).value();
        prop_assert!(value.is_finite());
        prop_assert_eq!(Float::new(value).value(), value);
    }
}
