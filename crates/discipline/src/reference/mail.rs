//! The mail of `mailonchange` (discipline chapter, section 9.8).

use crate::time::CookedTime;

/// A mail that should be sent about a large change of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MailRequest {
    /// The change being made to the clock, seconds.
    pub change_s: f64,
    /// The configured threshold, seconds.
    pub threshold_s: f64,
    /// When; the owner knows the local time zone.
    pub time: CookedTime,
}

/// The local time as the mail names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailDate<'a> {
    /// `%A`, for example `Tuesday`.
    pub weekday: &'a str,
    /// Day of the month.
    pub day: u32,
    /// `%B`, for example `November`.
    pub month: &'a str,
    /// Year.
    pub year: i64,
    /// `%H:%M:%S`.
    pub time: &'a str,
    /// `%Z`.
    pub zone: &'a str,
}

impl MailRequest {
    /// The input of the mail program (called with `-t`).
    pub fn text(&self, address: &str, host: &str, date: &MailDate<'_>) -> String {
        format!(
            "To: {address}\n\
             Subject: chronyd reports change to system clock on node [{host}]\n\
             \n\
             On {}, {:02} {} {}\n  with the system clock reading {} ({})\n\
             \n\
             chronyd started to apply an adjustment of {:.3} seconds to it,\n  \
             which exceeded the reporting threshold of {:.3} seconds\n\
             \n",
            date.weekday,
            date.day,
            date.month,
            date.year,
            date.time,
            date.zone,
            self.change_s,
            self.threshold_s
        )
    }

    /// The message when the mail program could not be run; the line feed at its end is the
    /// reference's.
    pub fn failure(address: &str) -> String {
        format!("Could not send mail notification to user {address}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_reference_s() {
        let request = MailRequest {
            change_s: -1.25,
            threshold_s: 0.5,
            time: CookedTime::ZERO,
        };
        let date = MailDate {
            weekday: "Tuesday",
            day: 3,
            month: "November",
            year: 2026,
            time: "08:09:10",
            zone: "CET",
        };
        assert_eq!(
            request.text("root@host", "box", &date),
            "To: root@host\nSubject: chronyd reports change to system clock on node [box]\n\n\
             On Tuesday, 03 November 2026\n  with the system clock reading 08:09:10 (CET)\n\n\
             chronyd started to apply an adjustment of -1.250 seconds to it,\n  which exceeded \
             the reporting threshold of 0.500 seconds\n\n"
        );
    }
}
