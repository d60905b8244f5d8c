//! Key establishment (NTS-KE).
pub mod record;
