//! Reading and writing fixed-size fields, and the macros that turn a table of fields into
//! a struct with both directions.
//!
//! Nothing here can panic: a read beyond the end gives `None`, a write beyond the end is
//! cut. Messages have fixed lengths that are compared with the tables in tests, so neither
//! happens once a datagram's length has been checked.

/// A value with a fixed length on the wire (control-protocol chapter, section 3).
pub(crate) trait Wire: Sized {
    /// Length in bytes.
    const LEN: usize;
    /// Takes the value from the reader; `None` if the bytes end early.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
    /// Appends the value to the writer.
    fn write(&self, writer: &mut Writer<'_>);
}

/// Bytes not read yet.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes `N` bytes.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// The part of a buffer that is not filled yet.
pub(crate) struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    /// Writes to `buffer` from its first byte.
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self(buffer)
    }

    /// Appends `bytes`; what does not fit is lost (cannot happen with the lengths of the
    /// tables). The length is known to the compiler, which makes a field one store: most of
    /// the work of a reply otherwise.
    pub(crate) fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_first_chunk_mut() {
            *place = *bytes;
            self.0 = rest;
        }
    }
}

macro_rules! wire_integer {
    ($($ty:ty),*) => {$(
        impl Wire for $ty {
            const LEN: usize = size_of::<$ty>();
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                Some(<$ty>::from_be_bytes(reader.take()?))
            }
            fn write(&self, writer: &mut Writer<'_>) {
                writer.put(&self.to_be_bytes());
            }
        }
    )*};
}

wire_integer!(u8, i8, u16, i16, u32, i32, u64);

impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    const LEN: usize = N * T::LEN;
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut items = [T::default(); N];
        for item in &mut items {
            *item = T::read(reader)?;
        }
        Some(items)
    }
    fn write(&self, writer: &mut Writer<'_>) {
        for item in self {
            item.write(writer);
        }
    }
}

/// Reserved bytes: the default has `FILL` in all of them, as the reference sends it; received
/// ones have no meaning and are only kept so that a message stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved<const N: usize, const FILL: u8>([u8; N]);

impl<const N: usize, const FILL: u8> Default for Reserved<N, FILL> {
    fn default() -> Self {
        Self([FILL; N])
    }
}

impl<const N: usize, const FILL: u8> Wire for Reserved<N, FILL> {
    const LEN: usize = N;
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take().map(Self)
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.put(&self.0);
    }
}

/// Defines a struct from a table of fields in wire order, with its [`Wire`] implementation.
/// `field: Type as u8` stores an enumeration in an integer of that width.
macro_rules! wire_struct {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $ty:ty $(as $repr:ty)?),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl $crate::cursor::Wire for $name {
            const LEN: usize = 0 $(+ $crate::cursor::wire_field!(len $ty $(, $repr)?))*;
            fn read(reader: &mut $crate::cursor::Reader<'_>) -> Option<Self> {
                Some(Self {
                    $($field: $crate::cursor::wire_field!(read reader, $ty $(, $repr)?),)*
                })
            }
            fn write(&self, writer: &mut $crate::cursor::Writer<'_>) {
                $($crate::cursor::wire_field!(write writer, self.$field, $ty $(, $repr)?);)*
            }
        }
    };
}
pub(crate) use wire_struct;

/// One field of [`wire_struct!`]: its length, reading and writing.
macro_rules! wire_field {
    (len $ty:ty) => {
        <$ty as $crate::cursor::Wire>::LEN
    };
    (len $ty:ty, $repr:ty) => {
        <$repr as $crate::cursor::Wire>::LEN
    };
    (read $reader:ident, $ty:ty) => {
        <$ty as $crate::cursor::Wire>::read($reader)?
    };
    (read $reader:ident, $ty:ty, $repr:ty) => {
        <$ty>::from_code(u16::from(<$repr as $crate::cursor::Wire>::read($reader)?))
    };
    (write $writer:ident, $value:expr, $ty:ty) => {
        $crate::cursor::Wire::write(&$value, $writer)
    };
    (write $writer:ident, $value:expr, $ty:ty, $repr:ty) => {
        // A code that does not fit its field becomes the largest, which is never assigned.
        $crate::cursor::Wire::write(
            &<$repr>::try_from($value.code()).unwrap_or(<$repr>::MAX),
            $writer,
        )
    };
}
pub(crate) use wire_field;
