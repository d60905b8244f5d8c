//! From samples to a steered clock.
pub mod time;
