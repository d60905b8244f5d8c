//! NTP on the wire.
