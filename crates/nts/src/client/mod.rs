//! Client.
pub mod packet;
