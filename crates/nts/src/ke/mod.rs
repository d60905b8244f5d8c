//! Key establishment (NTS-KE, RFC 8915, section 4): records, sessions of both sides.

pub mod client;
pub mod failure;
pub mod record;
pub mod request;
pub mod response;
pub mod server;
mod stream;
#[cfg(test)]
mod tests;
