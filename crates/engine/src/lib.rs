//! The daemon's brain without I/O: events in, actions out.
//!
//! [`Engine`] is told what happened, each time with the clocks' readings
//! ([`Engine::handle_datagram`], [`Engine::handle_timeout`], [`Engine::handle_resolved`], …),
//! and is then asked what it wants done ([`Engine::poll_action`], [`Engine::poll_timeout`]).
//! It reads no clock, opens no socket, draws no randomness of its own, so the same code runs
//! in the daemon's event loop, in the simulator at many times real time, and under a fuzzer.
//!
//! Rooms, from the packet to the clock:
//!
//! - [`association`]: one NTP source as a protocol machine: when to ask, what to send, which
//!   answers to believe, and the sample they make;
//! - [`registry`]: the sources by address, name and pool; [`names`]: when names are resolved;
//! - [`engine`]: the wiring: samples → selection → reference → clock, and back to everything
//!   that stores a time;
//! - [`steering`]: the local clock and the reference behind one interface;
//! - [`server`]: answers requests from an immutable snapshot, without the engine.

pub mod action;
pub mod association;
pub mod engine;
pub mod event;
pub mod ids;
pub mod leap;
pub mod names;
pub mod nts_client;
pub mod random;
pub mod refclock;
pub mod registry;
pub mod server;
pub mod settings;
pub mod steering;

pub use engine::Engine;
