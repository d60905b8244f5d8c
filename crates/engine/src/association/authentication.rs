//! The seam to what authenticates packets.

use super::message::ReceivedAuthentication;

/// Longest NTP packet (ntp chapter, section 1).
pub const MAX_MESSAGE_LENGTH: usize = 1140;

/// A message under construction.
#[derive(Clone, Debug)]
pub struct MessageBuffer {
    bytes: [u8; MAX_MESSAGE_LENGTH],
    length: usize,
}

/// The message would be longer than an NTP packet may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTooLong;

impl Default for MessageBuffer {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_MESSAGE_LENGTH],
            length: 0,
        }
    }
}

impl MessageBuffer {
    /// The bytes so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), MessageTooLong> {
        let end = self.length.checked_add(bytes.len()).ok_or(MessageTooLong)?;
        self.bytes
            .get_mut(self.length..end)
            .ok_or(MessageTooLong)?
            .copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }
}

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
/// [`NoAuthentication`] and [`super::symmetric::SymmetricKey`] are here; the owner
/// implements it over the NTS client.
pub trait Authenticator {
    /// Called before each request. `false`: keys or cookies are missing, nothing is sent
    /// and the request counts as missed (ntp chapter, section 8.4, step 3).
    fn prepare(&mut self) -> bool {
        true
    }

    /// Appends authenticating fields or a MAC to a complete packet.
    fn protect(&mut self, message: &mut MessageBuffer) -> Result<(), AuthenticationFailed>;

    /// Test 5 (ntp chapter, section 10): whether the kind of authentication is the
    /// configured one and the packet is authentic. Called once for each response.
    ///
    /// `message` is the whole NTP message, `authentication` how it claims to be
    /// authenticated.
    fn verify(&mut self, message: &[u8], authentication: &ReceivedAuthentication) -> bool;
}

/// For associations without authentication.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthentication;

impl Authenticator for NoAuthentication {
    fn protect(&mut self, _: &mut MessageBuffer) -> Result<(), AuthenticationFailed> {
        Ok(())
    }

    fn verify(&mut self, _: &[u8], authentication: &ReceivedAuthentication) -> bool {
        *authentication == ReceivedAuthentication::None
    }
}
