//! Network Time Security (RFC 8915), client and server, without sockets, clocks or files.
//!
//! NTS has two parts. **Key establishment** (NTS-KE) is one request and one response over
//! TLS 1.3: client and server agree on an AEAD algorithm, both export the same two keys from
//! the TLS session (C2S for requests, S2C for responses), and the server hands out cookies.
//! A **cookie** holds the two keys, encrypted with a key that only the server has, so that
//! the server keeps no state. **NTP packets** then carry a cookie and an authenticator; each
//! response brings new cookies, so that each is used once.
//!
//! | Room | What it does |
//! |---|---|
//! | [`aead`] | the two algorithms, expanded keys, in place |
//! | [`session_keys`] | C2S and S2C, and their export from TLS |
//! | [`authenticator`] | the authenticator field of NTP packets |
//! | [`ke`] | NTS-KE: records, requests, responses, sessions of both sides |
//! | [`verify`] | certificates, as a client checks them |
//! | [`client`] | the state of an NTS source: cookies, retries, its file |
//! | [`server`] | server keys and their file, cookies, NTP responses, certificates in use |
//! | [`log`] | lines for the log |
//! | [`random`], [`time`] | what the caller hands in |
//!
//! # A client
//!
//! An [`Association`](client::association::Association) is polled by the source's timer. It
//! asks for a key establishment, for which the caller makes a
//! [`ClientSession`](ke::client::ClientSession), connects a socket and carries octets; or
//! for a request, whose NTS fields it appends. Responses go to
//! [`handle_response`](client::association::Association::handle_response) before anything
//! else looks at them.
//!
//! # A server
//!
//! The main thread owns a [`KeyRing`](server::key_ring::KeyRing) and
//! [`LiveCredentials`](server::credentials::LiveCredentials) and publishes immutable
//! snapshots of both. Threads that answer NTP requests use
//! [`open_request`](server::packet::open_request), which allocates nothing; whoever accepts
//! TCP connections makes a [`ServerSession`](ke::server::ServerSession) for each.
//!
//! # Rules
//!
//! Everything that arrives (records, fields, cookies, certificates, files) is parsed once,
//! without panics, and what is wrong with it is an enum that names the rule. Keys are wiped
//! from memory when dropped. Behaviour and messages are those of the NTS chapter of the
//! specification; where a type does better than the reference, its documentation says so.

pub mod aead;
pub mod authenticator;
pub mod client;
mod hex;
pub mod ke;
pub mod log;
pub mod random;
pub mod server;
pub mod session_keys;
#[cfg(test)]
mod testing;
pub mod time;
pub mod verify;
