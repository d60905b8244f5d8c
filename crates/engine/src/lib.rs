//! The daemon's brain without I/O: events in, actions out.
pub mod action;
pub mod association;
pub mod event;
pub mod ids;
pub mod names;
pub mod random;
