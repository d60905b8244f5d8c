//! Randomness for nonces, identifiers and keys, handed in by the caller.

use rustls::crypto::ring;

/// A source of random octets of cryptographic quality.
///
/// Any `FnMut(&mut [u8])` is one, so that the engine's own source can be passed as
/// `&mut |bytes: &mut [u8]| source.fill(bytes)`.
pub trait Random {
    /// Fills `bytes` with random bits.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}

/// Octets fetched from the system at a time.
const POOL: usize = 1024;

/// The system's random source behind a small buffer, so that a server thread needs one
/// system call for about twenty responses. Every octet is handed out once and then wiped.
pub struct SystemRandom {
    pool: [u8; POOL],
    used: usize,
}

impl SystemRandom {
    /// An empty buffer; the first use fills it.
    pub const fn new() -> Self {
        Self {
            pool: [0; POOL],
            used: POOL,
        }
    }
}

impl Default for SystemRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for SystemRandom {
    /// # Panics
    ///
    /// If the system has no random numbers: nothing secret could be made then.
    fn fill(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.used == POOL {
                ring::default_provider()
                    .secure_random
                    .fill(&mut self.pool)
                    .expect("the system's random number source works");
                self.used = 0;
            }
            let pool = &mut self.pool[self.used..];
            let (now, later) = rest.split_at_mut(rest.len().min(pool.len()));
            let taken = &mut pool[..now.len()];
            now.copy_from_slice(taken);
            taken.fill(0);
            self.used += now.len();
            rest = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_is_refilled_and_never_repeats() {
        let mut random = SystemRandom::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut bytes = [0; 16];
            random.fill(&mut bytes);
            assert!(seen.insert(bytes));
        }
    }
}
