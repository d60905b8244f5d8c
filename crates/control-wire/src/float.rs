//! The protocol's 32-bit floating-point format (control-protocol chapter, section 3.2).
//!
//! Bits 31…25 hold a two's complement exponent *e*, bits 24…0 a two's complement
//! coefficient *c* without a hidden bit; the value is c · 2^(e−25).

use crate::cursor::{Reader, Wire, Writer};

/// Bits of the coefficient, its sign included.
const COEFFICIENT_BITS: i32 = 25;
/// Largest exponent.
const MAX_EXPONENT: i32 = 63;
/// Smallest exponent.
const MIN_EXPONENT: i32 = -64;

/// A number as it travels: the 32 bits of the wire.
///
/// Kept as bits, not as `f64`, because several words can mean the same number and a
/// message must survive decoding and encoding unchanged.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Float(u32);

impl Float {
    /// The format's zero.
    pub const ZERO: Self = Self(0);

    /// Wraps a word from the wire; every word is a valid number.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word for the wire.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Encodes `value` exactly as the reference does, its rounding quirks included. NaN
    /// becomes 0, infinities and numbers out of range the largest number of their sign.
    #[must_use]
    pub fn new(value: f64) -> Self {
        let magnitude = value.abs();
        if value.is_nan() || magnitude < 1e-100 {
            return Self::ZERO;
        }
        let negative = value < 0.0;
        // The negative side has one value more, as usual in two's complement.
        let max_coefficient = if negative { 1 << 24 } else { (1 << 24) - 1 };
        let (exponent, coefficient) = if magnitude > 1e100 {
            (MAX_EXPONENT, max_coefficient)
        } else {
            scale(magnitude, max_coefficient)
        };
        Self::pack(exponent, if negative { -coefficient } else { coefficient })
    }

    /// The number, exactly.
    #[must_use]
    pub fn value(self) -> f64 {
        let exponent = (self.0 as i32) >> COEFFICIENT_BITS;
        let coefficient = ((self.0 << 7) as i32) >> 7;
        f64::from(coefficient) * power_of_two(exponent - COEFFICIENT_BITS)
    }

    fn pack(exponent: i32, coefficient: i32) -> Self {
        Self((exponent as u32) << COEFFICIENT_BITS | (coefficient as u32 & 0x01ff_ffff))
    }
}

/// Exponent and unsigned coefficient of a magnitude between 10^−100 and 10^100.
fn scale(magnitude: f64, max_coefficient: i32) -> (i32, i32) {
    let mut exponent = (magnitude.log2() + 1.0).trunc() as i32;
    let mut coefficient =
        (magnitude * power_of_two(COEFFICIENT_BITS - exponent) + 0.5).floor() as i64;
    while coefficient > i64::from(max_coefficient) {
        coefficient /= 2;
        exponent += 1;
    }
    if exponent > MAX_EXPONENT {
        return (MAX_EXPONENT, max_coefficient);
    }
    if exponent < MIN_EXPONENT {
        if exponent < MIN_EXPONENT - COEFFICIENT_BITS {
            return (0, 0);
        }
        coefficient >>= MIN_EXPONENT - exponent;
        exponent = MIN_EXPONENT;
    }
    // At most 2^24 after the loop.
    (exponent, coefficient as i32)
}

/// 2^`exponent` for the exponents of normal doubles, exact.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((i64::from(exponent) + 1023).clamp(1, 2046) as u64) << 52)
}

impl From<f64> for Float {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl From<Float> for f64 {
    fn from(float: Float) -> Self {
        float.value()
    }
}

impl std::fmt::Debug for Float {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.value())
    }
}

impl Wire for Float {
    const LEN: usize = 4;
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u32::read(reader).map(Self)
    }
    fn write(&self, writer: &mut Writer<'_>) {
        self.0.write(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::Float;

    /// The worked examples of the chapter; the 1327 recorded vectors are in `tests/golden.rs`.
    #[test]
    fn worked_examples() {
        assert_eq!(Float::new(0.1).bits(), 0xfccc_cccd);
        assert_eq!(Float::from_bits(0x1706_0000).value(), -1000.0);
        assert_eq!(Float::new(f64::INFINITY).bits(), 0x7eff_ffff);
        assert_eq!(Float::new(-1e30).bits(), 0x7f00_0000);
        assert_eq!(Float::new(f64::NAN).bits(), 0);
        assert_eq!(Float::new(-0.0).bits(), 0);
    }
}
