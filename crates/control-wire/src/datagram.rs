//! A datagram built on the stack.

use crate::cursor::Writer;

/// Longest datagram of the protocol in either direction, CLIENT_ACCESSES_BY_INDEX3
/// (control-protocol chapter, section 4.4).
const CAPACITY: usize = 520;

/// A message ready to be sent; dereferences to its bytes.
#[derive(Clone)]
pub struct Datagram {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Datagram {
    /// A datagram of `length` bytes, zero where `fill` does not write.
    pub(crate) fn build(length: usize, fill: impl FnOnce(&mut Writer<'_>)) -> Self {
        // Filled where it is: a copy of the capacity costs more than what is written.
        let mut datagram = Self {
            bytes: [0; CAPACITY],
            length: length.min(CAPACITY),
        };
        fill(&mut Writer::new(&mut datagram.bytes));
        datagram
    }
}

impl std::ops::Deref for Datagram {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

impl std::fmt::Debug for Datagram {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.iter() {
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}
