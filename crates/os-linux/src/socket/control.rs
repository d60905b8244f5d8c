//! Control messages (`cmsghdr`) as bytes.
//!
//! The layout is the kernel's: a length of the machine's word size, level and type of 32
//! bits, the data, padding to the word size. Plain safe code reads and writes it instead
//! of the C library's macros, since these need raw pointers.

/// Alignment of headers and data.
const WORD: usize = size_of::<usize>();

/// Size of a header.
const HEADER: usize = WORD + 8;

/// Size of the buffer for control messages (system chapter, section 6.3).
pub(super) const CONTROL_SIZE: usize = 256;

const fn align(length: usize) -> usize {
    length.next_multiple_of(WORD)
}

/// One control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ControlMessage<'a> {
    pub(super) level: i32,
    pub(super) kind: i32,
    pub(super) data: &'a [u8],
}

/// The control messages in a buffer. Ends at the first one that does not fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct ControlMessages<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for ControlMessages<'a> {
    type Item = ControlMessage<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0;
        let length = usize::from_ne_bytes(*bytes.first_chunk()?);
        let data = bytes.get(HEADER..length)?;
        let level = i32::from_ne_bytes(*bytes.get(WORD..)?.first_chunk()?);
        let kind = i32::from_ne_bytes(*bytes.get(WORD + 4..)?.first_chunk()?);
        // `length` is within the buffer here, so aligning it cannot overflow.
        self.0 = bytes.get(align(length)..).unwrap_or(&[]);
        Some(ControlMessage { level, kind, data })
    }
}

/// Writes control messages one after the other.
#[derive(Debug)]
pub(super) struct ControlWriter<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> ControlWriter<'a> {
    pub(super) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, length: 0 }
    }

    /// Appends a message. What does not fit is left out; the callers' messages together
    /// are below half of [`CONTROL_SIZE`].
    pub(super) fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let end = HEADER + data.len();
        let Some(space) = self.buffer.get_mut(self.length..self.length + align(end)) else {
            debug_assert!(false, "control buffer too small");
            return;
        };
        space[..WORD].copy_from_slice(&end.to_ne_bytes());
        space[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        space[WORD + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        space[HEADER..end].copy_from_slice(data);
        space[end..].fill(0);
        self.length += align(end);
    }

    /// Bytes written.
    pub(super) fn finish(self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout_is_the_c_librarys() {
        assert_eq!(size_of::<libc::cmsghdr>(), HEADER);
        for length in 0..20u32 {
            // SAFETY: these compute lengths only.
            let (space, end) = unsafe { (libc::CMSG_SPACE(length), libc::CMSG_LEN(length)) };
            assert_eq!(space as usize, align(HEADER + length as usize));
            assert_eq!(end as usize, HEADER + length as usize);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            messages in prop::collection::vec((any::<i32>(), any::<i32>(),
                prop::collection::vec(any::<u8>(), 0..20)), 0..5)
        ) {
            let mut buffer = [0xaa; CONTROL_SIZE];
            let mut writer = ControlWriter::new(&mut buffer);
            for (level, kind, data) in &messages {
                writer.push(*level, *kind, data);
            }
            let length = writer.finish();
            let read: Vec<_> = ControlMessages(&buffer[..length])
                .map(|message| (message.level, message.kind, message.data.to_vec()))
                .collect();
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(ControlMessages(&bytes).count() <= bytes.len() / HEADER);
        }
    }

    #[test]
    fn a_length_beyond_the_buffer_ends_the_list() {
        for length in [0, HEADER - 1, HEADER + 9, usize::MAX] {
            let mut bytes = [0; HEADER + 8];
            bytes[..WORD].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(ControlMessages(&bytes).next(), None, "{length}");
        }
    }
}
