//! Building a message in a buffer: header, extension fields, MAC.

use crate::extension::EXTENSION_HEADER_LENGTH;
use crate::mac::Key;
use crate::{HEADER_LENGTH, Header};

/// The message would not fit in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTooLong;

impl std::fmt::Display for MessageTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NTP message does not fit")
    }
}

impl std::error::Error for MessageTooLong {}

/// Appends to a buffer. After an error the message is as before the failed call.
#[derive(Debug)]
pub struct MessageWriter<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> MessageWriter<'a> {
    /// An empty message; it may grow to the length of `buffer`.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// A message of which the first `length` bytes are in the buffer already (limited to
    /// what the buffer holds).
    pub fn with_written(buffer: &'a mut [u8], length: usize) -> Self {
        let length = length.min(buffer.len());
        Self { buffer, length }
    }

    /// The message so far.
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// Length of the message so far.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// How many bytes can still be written.
    pub const fn remaining(&self) -> usize {
        self.buffer.len() - self.length
    }

    /// Lets `length` more bytes belong to the message and returns them, zeroed.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn reserve(&mut self, length: usize) -> Result<&mut [u8], MessageTooLong> {
        let end = self.length.checked_add(length).ok_or(MessageTooLong)?;
        let bytes = self
            .buffer
            .get_mut(self.length..end)
            .ok_or(MessageTooLong)?;
        bytes.fill(0);
        self.length = end;
        Ok(bytes)
    }

    /// Appends bytes as they are.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), MessageTooLong> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Appends a header; meant to be the first thing.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn header(&mut self, header: &Header) -> Result<(), MessageTooLong> {
        let bytes: &mut [u8; HEADER_LENGTH] = self
            .reserve(HEADER_LENGTH)?
            .try_into()
            .map_err(|_| MessageTooLong)?;
        header.emit(bytes);
        Ok(())
    }

    /// Appends an extension field with a zeroed body of `body_length` bytes, rounded up to a
    /// multiple of four, and returns the body to be filled.
    ///
    /// # Errors
    /// When it does not fit, or not in the 16-bit length of a field.
    pub fn reserve_extension(
        &mut self,
        kind: u16,
        body_length: usize,
    ) -> Result<&mut [u8], MessageTooLong> {
        let total = body_length
            .checked_next_multiple_of(4)
            .and_then(|body| body.checked_add(EXTENSION_HEADER_LENGTH))
            .ok_or(MessageTooLong)?;
        let wire_length = u16::try_from(total).map_err(|_| MessageTooLong)?;
        let (head, body) = self
            .reserve(total)?
            .split_first_chunk_mut::<EXTENSION_HEADER_LENGTH>()
            .ok_or(MessageTooLong)?;
        head[..2].copy_from_slice(&kind.to_be_bytes());
        head[2..].copy_from_slice(&wire_length.to_be_bytes());
        Ok(body)
    }

    /// Appends an extension field; the body is padded with zeros to a multiple of four.
    ///
    /// # Errors
    /// As [`Self::reserve_extension`].
    pub fn extension(&mut self, kind: u16, body: &[u8]) -> Result<(), MessageTooLong> {
        self.reserve_extension(kind, body.len())?[..body.len()].copy_from_slice(body);
        Ok(())
    }

    /// Appends the MAC of everything written so far, truncated as the version asks (ntp
    /// chapter, section 3.2).
    ///
    /// # Errors
    /// When it does not fit.
    pub fn sign(&mut self, key: &Key, version: u8) -> Result<(), MessageTooLong> {
        let digest = key.digest(self.written());
        let digest = digest.truncated(version);
        let start = self.length;
        self.append(&key.id().to_be_bytes())?;
        self.append(digest).inspect_err(|_| self.length = start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyKind;

    #[test]
    fn fields_are_padded_and_limits_kept() {
        let mut buffer = [0xff; 20];
        let mut writer = MessageWriter::new(&mut buffer);
        writer.extension(0x0204, &[1, 2, 3, 4, 5]).unwrap();
        assert_eq!(writer.written(), [2, 4, 0, 12, 1, 2, 3, 4, 5, 0, 0, 0]);
        assert_eq!(writer.extension(1, &[0; 5]), Err(MessageTooLong));
        assert_eq!(writer.header(&Header::default()), Err(MessageTooLong));
        assert_eq!((writer.length(), writer.remaining()), (12, 8));
        let key = Key::new(1, KeyKind::Md5, b"secret").unwrap();
        assert_eq!(writer.sign(&key, 4), Err(MessageTooLong));
        assert_eq!(writer.length(), 12);
        assert_eq!(
            writer.reserve_extension(1, usize::MAX).map(|_| ()),
            Err(MessageTooLong)
        );
    }
}
