//! The seam to what authenticates packets.

use std::sync::Arc;

use discipline::time::MonotonicTime;
use ntp_wire::{Authentication, KeyRing, MessageTooLong, MessageWriter, Packet};

use crate::random::RandomSource;

/// The packet could not be authenticated; nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticationFailed;

impl From<MessageTooLong> for AuthenticationFailed {
    fn from(_: MessageTooLong) -> Self {
        Self
    }
}

/// Makes and checks the authentication of one association's packets.
///
/// [`NoAuthentication`] and [`SymmetricKey`] are here, NTS in [`crate::nts_client`].
pub trait Authenticator {
    /// Called before each request. `false`: keys or cookies are missing, nothing is sent
    /// and the request counts as missed (ntp chapter, section 8.4, step 3).
    fn prepare(&mut self, now: MonotonicTime, random: &mut dyn RandomSource) -> bool {
        let _ = (now, random);
        true
    }

    /// Appends authenticating fields or a MAC to header and extension fields.
    ///
    /// # Errors
    /// When the packet cannot be sent.
    fn protect(&mut self, message: &mut MessageWriter<'_>) -> Result<(), AuthenticationFailed>;

    /// Test 5 (ntp chapter, section 10): whether the kind of authentication is the
    /// configured one and the packet is authentic. Called once for each response.
    fn verify(&mut self, packet: &Packet<'_>) -> bool;
}

/// For associations without authentication.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthentication;

impl Authenticator for NoAuthentication {
    fn protect(&mut self, _: &mut MessageWriter<'_>) -> Result<(), AuthenticationFailed> {
        Ok(())
    }

    fn verify(&mut self, packet: &Packet<'_>) -> bool {
        packet.authentication == Authentication::None
    }
}

/// Authentication with one key of the key file (ntp chapter, section 3.2).
#[derive(Clone, Debug)]
pub struct SymmetricKey {
    key_id: u32,
    keys: Arc<KeyRing>,
}

impl SymmetricKey {
    /// The key `key_id` of `keys`. While it is missing there, nothing is sent and nothing
    /// is accepted.
    pub fn new(key_id: u32, keys: Arc<KeyRing>) -> Self {
        Self { key_id, keys }
    }
}

impl Authenticator for SymmetricKey {
    fn protect(&mut self, message: &mut MessageWriter<'_>) -> Result<(), AuthenticationFailed> {
        let key = self.keys.get(self.key_id).ok_or(AuthenticationFailed)?;
        let version = message.written().first().ok_or(AuthenticationFailed)? >> 3 & 7;
        Ok(message.sign(key, version)?)
    }

    fn verify(&mut self, packet: &Packet<'_>) -> bool {
        match (self.keys.get(self.key_id), &packet.mac) {
            (Some(key), Some(mac)) => {
                packet.authentication == Authentication::Symmetric
                    && mac.key_id == self.key_id
                    && key.verify(packet.authenticated_bytes(), mac, packet.header.version)
            }
            _ => false,
        }
    }
}
