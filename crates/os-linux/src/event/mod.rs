//! Waiting: `poll(2)` with a reusable set of descriptors, waking the loop from another
//! thread, and signals as input of the loop.
//!
//! One turn of a loop:
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use os_linux::clock::raw_time;
//! use os_linux::event::{Interest, PollSet, SIGTERM, Signals, Timeout};
//!
//! let signals = Signals::install(&[SIGTERM])?;
//! let mut set = PollSet::default();
//! let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! let deadline = raw_time().plus(1.0);
//! loop {
//!     set.clear();
//!     let signal_slot = set.add(signals.as_fd(), Interest::READ);
//!     let socket_slot = set.add(socket.as_fd(), Interest::READ | Interest::ERROR_QUEUE);
//!     set.wait(Timeout::until(deadline, raw_time()))?;
//!     if set.readiness(signal_slot).readable() && signals.take().is_some() {
//!         break;
//!     }
//!     if set.readiness(socket_slot).error_queue() { /* transmit timestamps */ }
//!     if set.readiness(socket_slot).readable() { /* packets */ }
//!     if raw_time() >= deadline { /* timers */ }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod pipe;
mod poll;
mod signal;

pub use pipe::{WakeReceiver, Waker, wake_pipe};
pub(crate) use pipe::{pipe, read};
pub use poll::{Interest, PollSet, Readiness, Timeout};
pub use signal::{Signals, block_in_this_thread, ignore_broken_pipe, restore_default};

/// Signal numbers, so that users of this crate need no libc.
pub use libc::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
