//! Every Linux system call that std does not wrap.
//!
//! The other crates of the project contain no `unsafe` code and no knowledge of the
//! kernel's structures; all of it is here, each block with the reason why it is sound.
//! This crate in turn contains no protocol and no policy: it says what the kernel said,
//! and the daemon decides.
//!
//! # Rooms
//!
//! - [`clock`]: reading the clocks, measuring their precision, steering the kernel's
//!   real-time clock ([`clock::KernelClock`]).
//! - [`event`]: waiting with `poll`, waking the loop from other threads, signals.
//! - [`socket`]: UDP, TCP and Unix sockets; batches of datagrams with receive and transmit
//!   timestamps of kernel and card ([`socket::SocketSupport`], [`socket::ReceiveBatch`],
//!   [`socket::SendBatch`]).
//! - [`file`](mod@file): files and folders without following links, access checks.
//! - [`hardware`]: network cards with timestamping and their clocks, the real-time clock
//!   chip; behind traits.
//! - [`process`]: daemonising, users and capabilities, memory and scheduler, the system
//!   call filter, syslog.
//!
//! # Rules
//!
//! - Only ordinary functions of the C library are called for time, sockets, files and
//!   clock steering, so that the daemon runs under preloaded simulators and tracers: no
//!   system call instruction, no epoll, no eventfd.
//! - What an older kernel or a simulator refuses falls back to the plain form: socket
//!   flags to `fcntl`, `recvmmsg` and `sendmmsg` to `recvmsg` and `sendmsg`,
//!   `SO_TIMESTAMPING` to `SO_TIMESTAMPNS` and `SO_TIMESTAMP`.
//! - Bytes that the kernel or the network fills are decoded by safe functions on slices
//!   ([`socket::Ancillary::parse`], [`socket::LoopedPacket::parse`],
//!   [`socket::decode_address`]), which are fuzzed.
//! - Nothing is allocated per packet.
//! - Errors are [`std::io::Error`], with the name of the call where a message prints it
//!   ([`CallError`], [`clock::ClockError`], [`socket::SocketError`]); [`error_text`] gives
//!   their text as the C library words it.
//!
//! # Failures in tests
//!
//! What cannot be provoked on a healthy machine is brought about in two ways: the clock
//! works on any [`clock::Kernel`] and the hardware clocks stand behind traits, so that a
//! test gives its own; and [`process::Filter::deny`] with [`process::Violation::Fail`]
//! makes the real kernel refuse chosen calls to a process, whatever program runs in it.

pub mod clock;
mod error;
pub mod event;
pub mod file;
pub mod hardware;
pub mod process;
pub mod socket;

pub use error::{CallError, error_text};
