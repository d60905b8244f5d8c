//! NTP on the wire.
pub mod leap;
pub use leap::LeapIndicator;
