//! The file of a client association, `<address>.nts` (NTS chapter, section 7.2).

use std::fmt::Write;
use std::net::IpAddr;

use zeroize::Zeroize;

use crate::aead::Algorithm;
use crate::authenticator::MAX_COOKIE;
use crate::client::association::{NtpTarget, POOL};
use crate::hex;
use crate::session_keys::SessionKeys;
use crate::time::WallTime;

const IDENTIFIER: &str = "NNC0";

/// Name of the file in `ntsdumpdir`: the address of the NTS-KE server.
pub fn file_name(address: IpAddr) -> String {
    format!("{address}.nts")
}

/// What is wrong with a file. A file that cannot be used only costs a key establishment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpError {
    /// Line 1 is not `NNC0`.
    Identifier,
    /// Line 2 is not the name of the source.
    Name,
    /// Line 3 is not a time.
    Time,
    /// Line 4 is not an address and a port.
    Target,
    /// Line 5 is not a number, an AEAD and two keys of its length.
    Keys,
    /// A cookie is not 1 … 256 octets in hexadecimal.
    Cookie,
}

impl std::fmt::Display for DumpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identifier => "line 1 is not NNC0",
            Self::Name => "line 2 is not the name of the source",
            Self::Time => "line 3 is not a time in seconds since 1970",
            Self::Target => "line 4 is not an address and a port",
            Self::Keys => "line 5 is not a number, 15 or 30, and two keys of that AEAD",
            Self::Cookie => "a line is not a cookie of at most 256 octets in hexadecimal",
        })
    }
}

impl std::error::Error for DumpError {}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Configured name of the source.
    pub name: String,
    /// Time of the last key establishment.
    pub established: WallTime,
    /// NTP address and port in use; port 0: not negotiated.
    pub target: NtpTarget,
    /// KE number.
    pub key_id: u32,
    /// Both keys.
    pub keys: SessionKeys,
    /// At most 8 cookies, the next one to be used first.
    pub cookies: Vec<Vec<u8>>,
}

impl Dump {
    /// Reads a file; lines after the eighth cookie are ignored.
    ///
    /// # Errors
    ///
    /// The first thing wrong.
    pub fn parse(text: &str) -> Result<Self, DumpError> {
        let (identifier, rest) = text.split_once('\n').ok_or(DumpError::Identifier)?;
        if identifier != IDENTIFIER {
            return Err(DumpError::Identifier);
        }
        let mut lines = rest.lines();
        let mut words = || {
            let line = lines.next().unwrap_or_default();
            line.split_ascii_whitespace().collect::<Vec<_>>()
        };
        let &[name] = words().as_slice() else {
            return Err(DumpError::Name);
        };
        let &[time] = words().as_slice() else {
            return Err(DumpError::Time);
        };
        let established = WallTime::from_decimal_seconds(time).ok_or(DumpError::Time)?;
        let target = parse_target(&words()).ok_or(DumpError::Target)?;
        let (key_id, keys) = parse_keys(&words()).ok_or(DumpError::Keys)?;
        let cookies = lines.take(POOL).map(parse_cookie).collect::<Option<_>>();
        Ok(Self {
            name: name.to_owned(),
            established,
            target,
            key_id,
            keys,
            cookies: cookies.ok_or(DumpError::Cookie)?,
        })
    }

    /// Writes the file.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{IDENTIFIER}\n{}\n{}\n{} {}\n{} {} ",
            self.name,
            self.established.to_decimal_seconds(),
            self.target.address,
            self.target.port,
            self.key_id,
            self.keys.algorithm().number(),
        );
        hex::push(&mut text, self.keys.s2c());
        text.push(' ');
        hex::push(&mut text, self.keys.c2s());
        // Writing to a String cannot fail.
        let _ = writeln!(text);
        for cookie in &self.cookies {
            hex::push(&mut text, cookie);
            text.push('\n');
        }
        text
    }
}

fn parse_target(words: &[&str]) -> Option<NtpTarget> {
    let &[address, port] = words else {
        return None;
    };
    Some(NtpTarget {
        address: address.parse().ok()?,
        port: port.parse().ok()?,
    })
}

/// KE number, AEAD, S2C, C2S: in this order.
fn parse_keys(words: &[&str]) -> Option<(u32, SessionKeys)> {
    let &[key_id, aead, s2c, c2s] = words else {
        return None;
    };
    let algorithm = Algorithm::from_number(aead.parse().ok()?)?;
    let mut s2c = hex::parse(s2c)?;
    let mut c2s = hex::parse(c2s)?;
    let keys = SessionKeys::new(algorithm, &c2s, &s2c);
    s2c.zeroize();
    c2s.zeroize();
    Some((key_id.parse().ok()?, keys?))
}

fn parse_cookie(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split_ascii_whitespace();
    let cookie = hex::parse(words.next()?)?;
    (words.next().is_none() && cookie.len() <= MAX_COOKIE).then_some(cookie)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::text;

    const FILES: [&str; 4] = [
        "dump_siv.nts",
        "dump_gcm_compliant.nts",
        "dump_siv_lost_responses.nts",
        "dump_siv_xleave_f323.nts",
    ];

    /// All golden files are read and written back octet by octet.
    #[test]
    fn golden_files() {
        for name in FILES {
            let golden = text(name);
            let dump = Dump::parse(&golden).unwrap();
            assert_eq!(dump.cookies.len(), 8);
            assert_eq!(dump.to_text(), golden, "{name}");
        }
    }

    #[test]
    fn damage_is_named() {
        let good = text("dump_siv.nts");
        let lines: Vec<&str> = good.lines().collect();
        let with = |number: usize, line: &str| {
            let mut lines = lines.clone();
            lines[number - 1] = line;
            Dump::parse(&(lines.join("\n") + "\n"))
        };
        assert_eq!(Dump::parse("").unwrap_err(), DumpError::Identifier);
        assert_eq!(with(1, "NNC0\r").unwrap_err(), DumpError::Identifier);
        assert_eq!(with(2, "two words").unwrap_err(), DumpError::Name);
        assert_eq!(with(3, "nan").unwrap_err(), DumpError::Time);
        assert_eq!(with(4, "nts-ec.test 123").unwrap_err(), DumpError::Target);
        assert_eq!(with(4, "127.0.0.1 65536").unwrap_err(), DumpError::Target);
        assert_eq!(with(5, "1 15 00 00").unwrap_err(), DumpError::Keys);
        assert_eq!(
            with(5, &lines[4].replace(" 15 ", " 30 ")).unwrap_err(),
            DumpError::Keys
        );
        assert_eq!(with(6, "").unwrap_err(), DumpError::Cookie);
        assert_eq!(with(6, "ABC").unwrap_err(), DumpError::Cookie);
        assert_eq!(with(6, &"AB".repeat(257)).unwrap_err(), DumpError::Cookie);
        assert!(with(6, &"ab".repeat(256)).is_ok());
        // More cookies than the pool has room for, and none at all.
        let more = good.clone() + "zz\n";
        assert_eq!(Dump::parse(&more).unwrap().cookies.len(), 8);
        assert!(
            Dump::parse(&lines[..5].join("\n"))
                .unwrap()
                .cookies
                .is_empty()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn round_trip(
            tenths in 0i64..40_000_000_000,
            key_id: u32,
            port: u16,
            octets: [u8; 16],
            cookies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..257), 0..9),
        ) {
            let keys = SessionKeys::new(Algorithm::Aes128GcmSiv, &octets, &[7; 16]).unwrap();
            let dump = Dump {
                name: "s.test".to_owned(),
                established: WallTime::from_ns(tenths * 100_000_000),
                target: NtpTarget { address: IpAddr::from(octets), port },
                key_id,
                keys,
                cookies,
            };
            let again = Dump::parse(&dump.to_text()).unwrap();
            prop_assert_eq!(again.to_text(), dump.to_text());
            prop_assert_eq!(again.cookies, dump.cookies);
            prop_assert_eq!(again.keys, dump.keys);
        }

        #[test]
        fn any_text(text in "(NNC0\n)?.{0,200}") {
            let _ = Dump::parse(&text);
        }
    }
}
