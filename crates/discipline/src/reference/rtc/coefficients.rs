//! What the rtcfile says; its text is parsed and made by crate `chrony-conf`.

/// What is known about the RTC from earlier runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcCoefficients {
    /// Whether the values may be used.
    pub valid: bool,
    /// RTC time that the offset belongs to, seconds.
    pub reference_time_s: i64,
    /// RTC − system, seconds.
    pub offset_s: f64,
    /// Gain of the RTC on the system clock, ppm.
    pub rate_ppm: f64,
}

impl RtcCoefficients {
    /// The expected RTC − system when the RTC shows `rtc_s`, seconds.
    pub fn offset_at(&self, rtc_s: i64) -> f64 {
        self.offset_s + self.rate_ppm * 1e-6 * (rtc_s as f64 - self.reference_time_s as f64)
    }
}
