//! Any bytes as a drift file, as points of temperature compensation and as files of the real-time clock.
#![no_main]

use chrony_conf::{drift, rtc_files, temperature};
use libfuzzer_sys::fuzz_target;

fn check(content: &[u8]) {
    if let Some(read) = drift::parse(content) {
        assert!(read.frequency_ppm.is_finite() && read.effective_skew_ppm() > 0.0);
        if read.frequency_ppm.abs() < 1e6 && read.skew_ppm.abs() < 1e6 {
            let again = drift::parse(drift::format(&read).as_bytes());
            assert!(again.is_some_and(|again| (again.skew_ppm - read.skew_ppm).abs() < 1e-6));
        }
    }
    if let Ok(points) = temperature::parse(content) {
        assert!(points.len() >= 2);
    }
    rtc_files::parse_hwclock(content);
    if let Some(read) = rtc_files::parse_coefficients(content) {
        assert!(rtc_files::parse_coefficients(rtc_files::format_coefficients(&read).as_bytes()).is_some());
    }
}

fuzz_target!(|content: &[u8]| check(content));
