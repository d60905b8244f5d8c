//! Random bytes of the kernel, fetched in blocks: a report makes a request for each source, and
//! each request has a random number.

use std::cell::RefCell;
use std::io;

/// Bytes fetched at once.
const BLOCK: usize = 256;

thread_local! {
    /// Bytes not used yet.
    static POOL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Four random bytes, used once.
pub(crate) fn word() -> io::Result<[u8; 4]> {
    POOL.with_borrow_mut(|pool| {
        let mut bytes = [0; 4];
        if pool.len() < bytes.len() {
            pool.resize(BLOCK, 0);
            fill(pool)?;
        }
        for byte in &mut bytes {
            *byte = pool.pop().unwrap_or_default();
        }
        Ok(bytes)
    })
}

/// Fills `bytes` straight from the kernel.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_differ() {
        let words: std::collections::BTreeSet<_> =
            (0..1000).map(|_| super::word().unwrap()).collect();
        // Four equal pairs among 1000 words of 32 bits happen once in 10^16 runs.
        assert!(words.len() > 996);
    }
}
