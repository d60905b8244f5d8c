//! Messages to and from an MS-SNTP signing service (ntp chapter, section 6.9).
//!
//! The caller keeps the stream socket. [`SigningQueue`] keeps the answers that wait for a
//! signature, the first of them under way: [`SigningQueue::request`] is what to write, and
//! [`SigningQueue::take_response`] takes what was read.

use std::collections::VecDeque;

use ntp_wire::{HEADER_LENGTH, MAX_PACKET_LENGTH};

/// Positions of the queue, of which one stays free: 15 answers may wait.
const POSITIONS: u16 = 16;
/// Length of a request: length, version, operation, packet ID, zeros, key ID, packet.
pub const REQUEST_LENGTH: usize = 20 + HEADER_LENGTH;
/// Length of a response's length.
const LENGTH_LENGTH: usize = 4;
/// Version, operation and packet ID of a response.
const RESPONSE_HEAD: usize = 12;
/// Operation of a request: sign to client.
const OPERATION_SIGN: u32 = 0;
/// Operation of a response: success.
const OPERATION_SUCCESS: u32 = 3;

/// The service does not speak the protocol: the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadResponse;

impl std::fmt::Display for BadResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bad response of the signing service")
    }
}

impl std::error::Error for BadResponse {}

/// A response of the service that was read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningResponse<'a, Client> {
    /// Who waits for it.
    pub client: Client,
    /// The signed packet to be sent to the client; `None` when the service did not sign it.
    pub signed: Option<&'a [u8]>,
    /// How many bytes of what was read it took.
    pub length: usize,
}

#[derive(Clone, Debug)]
struct Waiting<Client> {
    client: Client,
    packet_id: u16,
    key_id: u32,
    packet: [u8; HEADER_LENGTH],
}

/// Answers that wait for a signature. `Client` says where a signed answer goes.
#[derive(Clone, Debug)]
pub struct SigningQueue<Client> {
    waiting: VecDeque<Waiting<Client>>,
    next_id: u16,
}

impl<Client> Default for SigningQueue<Client> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            next_id: 0,
        }
    }
}

impl<Client: Copy> SigningQueue<Client> {
    /// Queues an answer; `false` when too many wait and it is dropped.
    pub fn push(&mut self, client: Client, key_id: u32, packet: [u8; HEADER_LENGTH]) -> bool {
        if self.waiting.len() >= usize::from(POSITIONS) - 1 {
            return false;
        }
        self.waiting.push_back(Waiting {
            client,
            packet_id: self.next_id,
            key_id,
            packet,
        });
        self.next_id = (self.next_id + 1) % POSITIONS;
        true
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What to write to the service for the first that waits.
    pub fn request(&self) -> Option<[u8; REQUEST_LENGTH]> {
        let first = self.waiting.front()?;
        let mut bytes = [0; REQUEST_LENGTH];
        let rest = (REQUEST_LENGTH - LENGTH_LENGTH) as u32;
        bytes[..4].copy_from_slice(&rest.to_be_bytes());
        bytes[8..12].copy_from_slice(&OPERATION_SIGN.to_be_bytes());
        bytes[12..14].copy_from_slice(&first.packet_id.to_be_bytes());
        bytes[16..20].copy_from_slice(&first.key_id.to_be_bytes());
        bytes[20..].copy_from_slice(&first.packet);
        Some(bytes)
    }

    /// Looks for the response to the first that waits in what was read so far; `None` when
    /// it is not complete.
    ///
    /// # Errors
    /// When the length is impossible or nobody waits; [`Self::clear`] and close then.
    pub fn take_response<'a>(
        &mut self,
        read: &'a [u8],
    ) -> Result<Option<SigningResponse<'a, Client>>, BadResponse> {
        let Some((length, rest)) = read.split_first_chunk::<LENGTH_LENGTH>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if !(RESPONSE_HEAD..=RESPONSE_HEAD + MAX_PACKET_LENGTH).contains(&length) {
            return Err(BadResponse);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let waiting = self.waiting.pop_front().ok_or(BadResponse)?;
        let word = |offset: usize| {
            body.get(offset..)
                .and_then(|rest| rest.first_chunk())
                .map(|bytes| u32::from_be_bytes(*bytes))
        };
        let signed = (word(4) == Some(OPERATION_SUCCESS)
            && word(8) == Some(waiting.packet_id.into()))
        .then(|| body.get(RESPONSE_HEAD..).unwrap_or_default());
        Ok(Some(SigningResponse {
            client: waiting.client,
            signed,
            length: LENGTH_LENGTH + length,
        }))
    }

    /// Forgets all that wait, when the connection was lost.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_wait() {
        let mut queue = SigningQueue::default();
        assert!((0..15).all(|client| queue.push(client, 1, [0; 48])));
        assert!(!queue.push(15, 1, [0; 48]));
        assert!(!queue.is_empty());
        queue.clear();
        assert!(queue.is_empty() && queue.request().is_none());
        assert_eq!(
            queue.take_response(&[0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(BadResponse)
        );
    }

    #[test]
    fn lengths_are_checked_and_parts_awaited() {
        let mut queue = SigningQueue::default();
        queue.push((), 1, [0; 48]);
        assert_eq!(queue.take_response(&[0, 0, 0]), Ok(None));
        assert_eq!(queue.take_response(&[0, 0, 0, 11]), Err(BadResponse));
        assert_eq!(queue.take_response(&[0, 0, 4, 0x81]), Err(BadResponse));
        assert_eq!(queue.take_response(&[0, 0, 0, 13, 0]), Ok(None));
    }

    proptest::proptest! {
        /// Whatever the service sends, a response is within what was read, and is given to the one
        /// who waits, once.
        #[test]
        fn any_response(
            length in 0..1200u32,
            body in proptest::collection::vec(proptest::num::u8::ANY, 0..1200),
        ) {
            let mut queue = SigningQueue::default();
            queue.push(7, 1, [0; 48]);
            let read = [&length.to_be_bytes()[..], &body].concat();
            if let Ok(Some(response)) = queue.take_response(&read) {
                proptest::prop_assert_eq!(response.client, 7);
                proptest::prop_assert_eq!(response.length, 4 + length as usize);
                proptest::prop_assert!(response.length <= read.len());
                proptest::prop_assert!(
                    response.signed.is_none_or(|signed| signed.len() + 16 == response.length)
                );
                proptest::prop_assert!(queue.is_empty());
            }
        }
    }
}
