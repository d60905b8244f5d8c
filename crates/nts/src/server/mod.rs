//! The server: keys, cookies, answers to NTP requests, certificates.

pub mod cookie;
pub mod credentials;
pub mod key_file;
pub mod key_ring;
pub mod keys;
pub mod packet;
