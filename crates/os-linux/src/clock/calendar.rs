//! Calendar time of the machine's zone, in the words of its locale.

use std::ffi::CStr;

/// Longest text, bytes.
const TEXT_MAX: usize = 64;

/// A time (POSIX seconds) in the local zone as `strftime` formats it; empty when the C
/// library cannot tell, or for a text of more than 64 bytes.
pub fn local_time_text(seconds: i64, format: &CStr) -> String {
    let mut buffer = [0u8; TEXT_MAX];
    // SAFETY: `tm` consists of integers and a pointer that may be null; localtime_r fills it,
    // and strftime writes at most the buffer's length. Both read the terminated format only.
    let length = unsafe {
        let mut broken: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&seconds, &mut broken).is_null() {
            return String::new();
        }
        libc::strftime(
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            format.as_ptr(),
            &broken,
        )
    };
    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_limits() {
        // Half a year is in the middle of the year in every zone.
        assert_eq!(local_time_text(1_720_000_000, c"%Y"), "2024");
        assert_eq!(local_time_text(i64::MAX, c"%Y"), "");
        let long = std::ffi::CString::new("x".repeat(100)).unwrap();
        assert_eq!(local_time_text(0, &long), "");
    }
}
