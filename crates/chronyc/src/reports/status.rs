//! `activity`, `authdata` and `sourcename` (chronyc chapter, sections 7.5, 7.7 and 7.8).

use control_wire::{Activity, AuthData, AuthMode, Reply, Request, SingleAddress, SourceMode};
use serde::Serialize;

use super::sources::source_data;
use super::{ListOptions, captions, header, known_age};
use crate::client::{Client, Failed, Record};
use crate::document::to_json;
use crate::options::Format;
use crate::quantities::interval;

impl Record for Activity {
    fn text(&self, _extra: usize) -> String {
        // The numbers are unsigned in the reference's text.
        format!(
            "200 OK\n\
             {} sources online\n\
             {} sources offline\n\
             {} sources doing burst (return to online)\n\
             {} sources doing burst (return to offline)\n\
             {} sources with unknown address",
            self.online.cast_unsigned(),
            self.offline.cast_unsigned(),
            self.burst_online.cast_unsigned(),
            self.burst_offline.cast_unsigned(),
            self.unresolved.cast_unsigned(),
        )
    }

    fn csv(&self) -> String {
        format!(
            "{},{},{},{},{}",
            self.online.cast_unsigned(),
            self.offline.cast_unsigned(),
            self.burst_online.cast_unsigned(),
            self.burst_offline.cast_unsigned(),
            self.unresolved.cast_unsigned(),
        )
    }

    fn json(&self) -> String {
        to_json(&ActivityJson {
            sources_online: self.online,
            sources_offline: self.offline,
            sources_in_burst_then_online: self.burst_online,
            sources_in_burst_then_offline: self.burst_offline,
            sources_with_unknown_address: self.unresolved,
        })
    }
}

#[derive(Serialize)]
struct ActivityJson {
    sources_online: i32,
    sources_offline: i32,
    sources_in_burst_then_online: i32,
    sources_in_burst_then_offline: i32,
    sources_with_unknown_address: i32,
}

/// `activity`.
pub(crate) fn activity(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    let Reply::Activity(data) = client.request(&Request::Activity)? else {
        return Err(Failed);
    };
    client.report("activity", &data);
    Ok(())
}

/// `sourcename`.
pub(crate) fn sourcename(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let Some(address) = client.resolver.address(arguments) else {
        client.error("Could not read address");
        return Err(Failed);
    };
    let request = Request::NtpSourceName(SingleAddress { address });
    let Reply::NtpSourceName(name) = client.request(&request)? else {
        return Err(Failed);
    };
    let Some(name) = name.visible() else {
        client.hint("The name of the source contains bytes that cannot be shown");
        return Err(Failed);
    };
    match client.format {
        Format::Json => client.document.record("source_name", to_json(name)),
        Format::Text | Format::Csv => client.out.line(name),
    }
    Ok(())
}

const HEADER: &str = "Name/IP address             Mode KeyID Type KLen Last Atmp  NAK Cook CLen";
const CAPTIONS: [&str; 5] = [
    "{}                             .- Auth. mechanism (NTS, SK - symmetric key)",
    "{}                            |   Key length -.  Cookie length (bytes) -.",
    "{}                            |       (bits)  |  Num. of cookies --.    |",
    "{}                            |               |  Key est. attempts  |   |",
    "{}                            |               |           |         |   |",
];

struct Authentication {
    data: AuthData,
    name: String,
    address: String,
}

#[derive(Serialize)]
struct AuthenticationJson<'a> {
    name: &'a str,
    address: &'a str,
    mode: &'static str,
    key_id: u32,
    key_type: u16,
    key_length_bits: u16,
    last_key_establishment_age_seconds: Option<u32>,
    key_establishment_attempts: u16,
    nak_received: bool,
    cookies: u16,
    cookie_length_bytes: u16,
}

impl Authentication {
    const fn mode(&self) -> &'static str {
        match self.data.mode {
            AuthMode::None => "-",
            AuthMode::SymmetricKey => "SK",
            AuthMode::Nts => "NTS",
            AuthMode::Unknown(_) => "?",
        }
    }
}

impl Record for Authentication {
    fn text(&self, extra: usize) -> String {
        let data = &self.data;
        format!(
            "{:width$} {:>4} {:5} {:4} {:4} {} {:4} {:4} {:4} {:4}",
            self.name,
            self.mode(),
            data.key_id,
            data.key_type,
            data.key_length_bits,
            interval(data.last_ke_ago_s),
            data.ke_attempts,
            data.nak,
            data.cookies,
            data.cookie_length,
            width = 27 + extra,
        )
    }

    fn csv(&self) -> String {
        let data = &self.data;
        format!(
            "{},{},{},{},{},{},{},{},{},{}",
            self.name,
            self.mode(),
            data.key_id,
            data.key_type,
            data.key_length_bits,
            data.last_ke_ago_s,
            data.ke_attempts,
            data.nak,
            data.cookies,
            data.cookie_length,
        )
    }

    fn json(&self) -> String {
        let data = &self.data;
        to_json(&AuthenticationJson {
            name: &self.name,
            address: &self.address,
            mode: match data.mode {
                AuthMode::None => "none",
                AuthMode::SymmetricKey => "symmetric key",
                AuthMode::Nts => "NTS",
                AuthMode::Unknown(_) => "unknown",
            },
            key_id: data.key_id,
            key_type: data.key_type,
            key_length_bits: data.key_length_bits,
            last_key_establishment_age_seconds: known_age(data.last_ke_ago_s),
            key_establishment_attempts: data.ke_attempts,
            nak_received: data.nak != 0,
            cookies: data.cookies,
            cookie_length_bytes: data.cookie_length,
        })
    }
}

/// `authdata`.
pub(crate) fn authdata(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    let options = ListOptions::parse(arguments);
    let n_sources = client.number_of_sources()?;
    captions(client, options.verbose, &CAPTIONS);
    let header = header(client, HEADER, "Name/IP address");
    client.start_list("source_authentication", &header);
    for index in 0..n_sources {
        let source = source_data(client, index)?;
        if !matches!(source.mode, SourceMode::Client | SourceMode::Peer)
            || !options.shows(source.ip_addr)
        {
            continue;
        }
        let address = source.ip_addr;
        let request = Request::AuthData(SingleAddress { address });
        let Reply::AuthData(data) = client.request(&request)? else {
            return Err(Failed);
        };
        let name = client.source_column(address, None);
        client.item(&Authentication {
            data,
            name,
            address: address.to_string(),
        });
    }
    Ok(())
}
