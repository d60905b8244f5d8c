//! Hardware clocks.

pub(crate) mod ioctl;
