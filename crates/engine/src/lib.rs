//! The daemon's brain without I/O.
