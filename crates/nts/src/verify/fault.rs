//! What is wrong with a certificate (NTS chapter, section 4.2).

use crate::time::WallTime;
use crate::verify::ExpectedName;

/// A certificate of the chain that is outside its dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFault {
    /// Subject of the certificate.
    pub subject: String,
    /// Its not-before or not-after.
    pub date: WallTime,
}

/// The name is not in the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameFault {
    /// The names and addresses it has.
    pub presented: Vec<String>,
}

/// All that is wrong with a certificate. The text is the one of the reference's log line,
/// each sentence followed by a space, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    /// The name it was checked for.
    pub expected: ExpectedName,
    /// Subject of the server's certificate.
    pub subject: String,
    /// Issuer of the server's certificate.
    pub issuer: String,
    /// The time it was checked for, unless times were not checked.
    pub now: Option<WallTime>,
    /// No path to a trusted certificate.
    pub issuer_unknown: bool,
    /// A certificate that is not valid yet.
    pub not_yet_valid: Option<DateFault>,
    /// A certificate that has ended.
    pub expired: Option<DateFault>,
    /// The name does not match.
    pub name: Option<NameFault>,
}

impl Default for CertificateFault {
    fn default() -> Self {
        Self {
            expected: ExpectedName::Dns(String::new()),
            subject: String::new(),
            issuer: String::new(),
            now: None,
            issuer_unknown: false,
            not_yet_valid: None,
            expired: None,
            name: None,
        }
    }
}

impl CertificateFault {
    /// Whether anything is wrong.
    pub const fn is_any(&self) -> bool {
        self.issuer_unknown
            || self.not_yet_valid.is_some()
            || self.expired.is_some()
            || self.name.is_some()
    }

    /// Which server, which field of the certificate, and what to do: for a second log line.
    pub fn hint(&self) -> String {
        let mut parts = Vec::new();
        if self.issuer_unknown {
            parts.push(format!(
                "no trusted certificate leads to issuer \"{}\": name that CA, or the server's own certificate, in ntstrustedcerts (with the certset of the source)",
                self.issuer
            ));
        }
        let now = self.now.map(utc).unwrap_or_default();
        if let Some(fault) = &self.not_yet_valid {
            parts.push(format!(
                "\"{}\" is not valid before {} and the clock reads {now}: if the clock is wrong see nocerttimecheck",
                fault.subject,
                utc(fault.date)
            ));
        }
        if let Some(fault) = &self.expired {
            parts.push(format!(
                "\"{}\" is not valid after {} and the clock reads {now}: the server's operator has to renew it; if the clock is wrong see nocerttimecheck",
                fault.subject,
                utc(fault.date)
            ));
        }
        if let Some(fault) = &self.name {
            let presented = match fault.presented.as_slice() {
                [] => "no name at all".to_owned(),
                names => names.join(", "),
            };
            parts.push(format!(
                "the certificate is for {presented}: use one of these names in the directive"
            ));
        }
        format!(
            "Certificate \"{}\" of {} rejected: {}",
            self.subject,
            self.expected,
            parts.join("; ")
        )
    }
}

impl std::fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Error in the certificate verification. The certificate is NOT trusted. ")?;
        for (applies, sentence) in [
            (self.issuer_unknown, "The certificate issuer is unknown. "),
            (
                self.not_yet_valid.is_some(),
                "The certificate chain uses not yet valid certificate. ",
            ),
            (
                self.expired.is_some(),
                "The certificate chain uses expired certificate. ",
            ),
            (
                self.name.is_some(),
                "The name in the certificate does not match the expected. ",
            ),
        ] {
            if applies {
                f.write_str(sentence)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for CertificateFault {}

/// Date and time of day, as in `2026-11-24 14:00:00 UTC`.
pub(crate) fn utc(time: WallTime) -> String {
    match x509_parser::time::ASN1Time::from_timestamp(time.seconds()) {
        Ok(time) => {
            let time = time.to_datetime();
            format!(
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
                time.year(),
                u8::from(time.month()),
                time.day(),
                time.hour(),
                time.minute(),
                time.second()
            )
        }
        Err(_) => format!("{} s since 1970", time.seconds()),
    }
}
