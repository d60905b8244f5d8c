//! Server.
pub mod cookie;
pub mod credentials;
pub mod key_file;
pub mod key_ring;
pub mod keys;
pub mod packet;
