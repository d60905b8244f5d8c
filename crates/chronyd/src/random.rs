//! The kernel's random source.

use engine::random::RandomSource;

/// Bytes fetched at a time: enough for about twenty NTS responses.
const BUFFER_SIZE: usize = 1024;

/// Random bits of cryptographic quality from `getrandom`, fetched in batches.
#[derive(Debug)]
pub struct KernelRandom {
    buffer: [u8; BUFFER_SIZE],
    used: usize,
}

impl KernelRandom {
    /// Fetches nothing yet. An error means that the kernel has no random source; the text
    /// is that of a fatal message.
    pub fn new() -> Result<Self, &'static str> {
        let mut random = Self {
            buffer: [0; BUFFER_SIZE],
            used: BUFFER_SIZE,
        };
        random
            .refill()
            .map_err(|_| "Can't read from /dev/urandom")?;
        Ok(random)
    }

    fn refill(&mut self) -> Result<(), getrandom::Error> {
        getrandom::fill(&mut self.buffer)?;
        self.used = 0;
        Ok(())
    }
}

impl RandomSource for KernelRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.used == BUFFER_SIZE && self.refill().is_err() {
                // It worked at start, so it cannot fail now; predictable timestamps must
                // never be sent.
                std::process::abort();
            }
            let unused = &mut self.buffer[self.used..];
            let (now, later) = rest.split_at_mut(rest.len().min(unused.len()));
            let taken = &mut unused[..now.len()];
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
    fn bytes_are_used_once() {
        let mut random = KernelRandom::new().unwrap();
        let values: std::collections::BTreeSet<u64> =
            (0..1000).map(|_| random.next_u64()).collect();
        assert_eq!(values.len(), 1000);
    }
}
