//! The rtcfile.

/// What is known about the RTC from earlier runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcCoefficients {
    /// Whether the values may be used.
    pub valid: bool,
    /// RTC time that the offset belongs to, seconds.
    pub reference_s: f64,
    /// RTC − system, seconds.
    pub offset_s: f64,
    /// Gain of the RTC on the system clock, ppm.
    pub rate_ppm: f64,
}

impl RtcCoefficients {
    /// Reads the first line. `None` is the warning `Could not read coefficients from %s`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.lines().next()?.split_whitespace();
        let valid = words.next()?.parse::<i64>().ok()? != 0;
        let mut number = || {
            let value = words.next()?.parse::<f64>().ok()?;
            value.is_finite().then_some(value)
        };
        Some(Self {
            valid,
            reference_s: number()?,
            offset_s: number()?,
            rate_ppm: number()?,
        })
    }

    /// The line of the file, line feed included.
    pub fn to_line(&self) -> String {
        format!(
            "{} {:.0} {:.6} {:.3}\n",
            u8::from(self.valid),
            self.reference_s,
            self.offset_s,
            self.rate_ppm
        )
    }

    /// The expected RTC − system when the RTC shows `rtc_s`, seconds.
    pub fn offset_at(&self, rtc_s: f64) -> f64 {
        self.offset_s + self.rate_ppm * 1e-6 * (rtc_s - self.reference_s)
    }
}
