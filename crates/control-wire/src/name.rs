//! Names of sources: 256 bytes, NUL terminated (control-protocol chapter, sections 9.5 and 10.10).

use crate::cursor::{Reader, Wire, Writer};

/// Length of the field.
const FIELD_LENGTH: usize = 256;

/// A name as it travels; not necessarily terminated or printable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SourceName([u8; FIELD_LENGTH]);

impl SourceName {
    /// The field with `name` in it. Too long a name is cut to 256 bytes and then has no NUL, as the
    /// daemon does it in its replies.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = [0; FIELD_LENGTH];
        for (place, byte) in bytes.iter_mut().zip(name) {
            *place = *byte;
        }
        Self(bytes)
    }

    /// The bytes before the NUL; `None` without one.
    #[must_use]
    pub fn terminated(&self) -> Option<&[u8]> {
        self.0
            .split(|&byte| byte == 0)
            .next()
            .filter(|name| name.len() < FIELD_LENGTH)
    }

    /// The name of a request to add a source: `None` unless the last byte of the field is NUL too
    /// (section 9.5).
    #[must_use]
    pub fn requested(&self) -> Option<&[u8]> {
        self.terminated().filter(|_| self.0.ends_with(&[0]))
    }

    /// The name if it is terminated and made of visible ASCII characters (0x21…0x7E). The empty
    /// name is one.
    #[must_use]
    pub fn visible(&self) -> Option<&str> {
        let name = self.terminated()?;
        let visible = name.iter().all(u8::is_ascii_graphic);
        visible.then(|| std::str::from_utf8(name).ok()).flatten()
    }
}

impl Default for SourceName {
    fn default() -> Self {
        Self([0; FIELD_LENGTH])
    }
}

impl std::fmt::Debug for SourceName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.terminated().unwrap_or(&self.0);
        write!(formatter, "\"{}\"", name.escape_ascii())
    }
}

impl Wire for SourceName {
    const LEN: usize = FIELD_LENGTH;
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take().map(Self)
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::SourceName;

    #[test]
    fn termination_and_visibility() {
        assert_eq!(
            SourceName::new(b"ntp.example").visible(),
            Some("ntp.example")
        );
        assert_eq!(SourceName::new(b"").visible(), Some(""));
        assert_eq!(SourceName::new(b"a b").visible(), None);
        assert_eq!(
            SourceName::new(&[b'a'; 255]).visible().map(str::len),
            Some(255)
        );
        assert_eq!(SourceName::new(&[b'a'; 256]).terminated(), None);
        let mut tail = [b'a'; 256];
        tail[1] = 0;
        assert_eq!(SourceName::new(&tail).terminated(), Some(&b"a"[..]));
        assert_eq!(SourceName::new(&tail).requested(), None);
        assert_eq!(SourceName::new(b"a").requested(), Some(&b"a"[..]));
    }
}
