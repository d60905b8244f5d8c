//! The daemon's brain without I/O.
pub mod random;
