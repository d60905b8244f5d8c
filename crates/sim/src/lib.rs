//! A deterministic network and clock simulator that runs engines against each other.

pub mod clock;
pub mod link;
pub mod optimal;
pub mod random;
