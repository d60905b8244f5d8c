//! Every Linux system call that std does not wrap.
//!
//! All `unsafe` code of the project is here.

pub mod clock;
mod error;
pub mod event;
pub mod hardware;
pub mod process;
pub mod socket;

pub use error::{CallError, error_text};
