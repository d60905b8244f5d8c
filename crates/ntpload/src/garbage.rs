//! Requests that no server may answer.

use ntp_wire::HEADER_LENGTH;

/// Transmit timestamp of all garbage that has one, by which an answer to it is known.
pub(crate) const MARK: u64 = 0x6761_7262_6167_6521;

/// Where the transmit timestamp is in a header.
const TRANSMIT: std::ops::Range<usize> = 40..48;
/// Longest datagram: what fits the smallest MTU of IPv6 with its headers.
const LENGTH_MAX: usize = 1232;

/// Version 4, mode client.
const CLIENT: u8 = 0x23;

/// Writes a malformed or unauthentic request; returns its length.
pub(crate) fn write(random: &mut impl FnMut() -> u64, buffer: &mut [u8]) -> usize {
    let most = buffer.len().min(LENGTH_MAX);
    let mut below = |limit: usize| (random() % limit as u64) as usize;
    let kind = below(7);
    let length = match kind {
        // Too short for a header.
        0 => below(HEADER_LENGTH),
        // Any length, but no request.
        1 | 2 => HEADER_LENGTH + below(most - HEADER_LENGTH + 1),
        // No multiple of four.
        3 => HEADER_LENGTH + 4 * below((most - HEADER_LENGTH) / 4) + 1 + below(3),
        // A crypto-NAK.
        4 => HEADER_LENGTH + 4,
        // MACs of unknown keys.
        5 => HEADER_LENGTH + 20 + 4 * below(2),
        // An extension field that is longer than the packet.
        _ => HEADER_LENGTH + 28 + 4 * below((most - HEADER_LENGTH) / 4 - 7),
    };
    let Some(message) = buffer.get_mut(..length) else {
        return 0;
    };
    for chunk in message.chunks_mut(8) {
        chunk.copy_from_slice(&random().to_be_bytes()[..chunk.len()]);
    }
    if let Some(transmit) = message.get_mut(TRANSMIT) {
        transmit.copy_from_slice(&MARK.to_be_bytes());
    }
    let Some((first, rest)) = message.split_first_mut() else {
        return length;
    };
    let tail = rest.get_mut(HEADER_LENGTH - 1..).unwrap_or_default();
    match kind {
        // Modes of answers and of control messages.
        1 => *first = *first & 0xf8 | [2, 4, 5, 6, 7][usize::from(*first >> 3) % 5],
        // Versions that nobody speaks.
        2 => *first = *first & 0xc7 | [0, 5, 6, 7][usize::from(*first) % 4] << 3,
        4 => {
            *first = CLIENT;
            tail.fill(0);
        }
        6 => {
            *first = CLIENT;
            // The two bytes of the length behind those of the type.
            if let Some(field_length) = tail.get_mut(2..4) {
                field_length.fill(0xfc);
            }
        }
        _ => *first = CLIENT,
    }
    length
}

#[cfg(test)]
mod tests {
    use ntp_wire::{Authentication, Mode, Packet};

    use super::*;

    #[test]
    fn nothing_is_a_request_without_authentication() {
        let mut state = 1u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state ^ state >> 33
        };
        let mut buffer = [0; 1280];
        let mut well_formed = 0;
        for _ in 0..100_000 {
            let length = write(&mut random, &mut buffer);
            assert!(length <= LENGTH_MAX);
            let Ok(packet) = Packet::parse(&buffer[..length]) else {
                continue;
            };
            well_formed += 1;
            let is_request = matches!(packet.header.mode, Mode::Client | Mode::SymmetricActive);
            let claims_to_be_authentic = packet.authentication != Authentication::None;
            assert!(!is_request || claims_to_be_authentic, "{packet:?}");
            assert_eq!(packet.header.transmit.to_bits(), MARK);
        }
        assert!(well_formed > 1000);
    }
}
