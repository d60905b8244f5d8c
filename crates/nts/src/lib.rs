//! Network Time Security.
pub mod aead;
pub mod authenticator;
pub mod client;
mod hex;
pub mod ke;
pub mod log;
pub mod random;
pub mod server;
pub mod session_keys;
#[cfg(test)]
mod testing;
pub mod time;
pub mod verify;
