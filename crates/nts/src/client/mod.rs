//! The client of NTS-protected NTP: packets, the state of a source, its file.

pub mod association;
pub mod dump;
pub mod packet;
