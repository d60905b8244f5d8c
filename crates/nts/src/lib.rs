//! Network Time Security.
pub mod aead;
mod hex;
pub mod ke;
pub mod random;
pub mod server;
pub mod session_keys;
#[cfg(test)]
mod testing;
pub mod time;
