//! The NTP server (ntp chapter, section 6), without sockets.
//!
//! The main thread publishes a [`ServerSnapshot`] whenever something changes: how to make
//! cooked time of raw time, what the own clock is synchronised to, who is allowed, the keys.
//! Any number of threads answer from it, each with its own [`Responder`]; a request never
//! enters the engine. What the threads share is the [`ClientLog`] (rate limits, interleaved
//! timestamps), whose locks are held for single records, and nothing else.
//!
//! Rooms:
//!
//! - [`responder`]: the decisions about a request, in the order of section 6.1;
//! - [`response`]: header, fields and timestamps of an answer;
//! - [`broadcast`]: packets that nobody asked for;
//! - [`snapshot`], [`published`]: the state that is served, and its way to the threads;
//! - [`card_times`]: timestamps of network cards on the raw clock;
//! - [`access`]: `allow` and `deny`, also `cmdallow` and `cmddeny`;
//! - [`client_log`], [`rate_limit`]: clients and how often they are answered, also for NTS-KE
//!   and monitoring;
//! - [`timestamps`]: when answers left, for interleaved mode;
//! - [`counters`], [`statistics`]: what `serverstats` reports;
//! - [`signing`]: the messages to and from an MS-SNTP signing service.

pub mod access;
pub mod broadcast;
pub mod card_times;
pub mod client_log;
pub mod counters;
pub mod published;
pub mod rate_limit;
pub mod responder;
pub mod response;
pub mod signing;
pub mod snapshot;
pub mod statistics;
pub mod timestamps;

pub use access::AccessTable;
pub use client_log::{ClientLog, Limits, LogReader, Service};
pub use published::{Published, Reader};
pub use responder::{Outcome, Request, Responder, ResponseBuffer, ServerShared};
pub use snapshot::{ServedReference, ServerSnapshot, Smoothing, TimeModel};

#[cfg(test)]
mod tests;
