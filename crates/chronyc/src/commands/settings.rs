//! Commands that change the session only (chronyc chapter, section 9).

use std::time::Duration;

use crate::client::{Client, Failed};
use crate::numbers::int_prefix;
use crate::resolver::Family;

/// `dns`.
pub(super) fn dns(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    match arguments {
        "-n" => client.resolver.reverse = false,
        "+n" => client.resolver.reverse = true,
        "-4" => client.resolver.family = Family::Ipv4,
        "-6" => client.resolver.family = Family::Ipv6,
        "-46" => client.resolver.family = Family::Any,
        _ => {
            client.error("Unrecognized dns command");
            return Err(Failed);
        }
    }
    Ok(())
}

/// A number; a word that is none counts as 0 (quirk).
fn number(arguments: &str) -> i32 {
    int_prefix(arguments).map_or(0, |(number, _)| number)
}

/// `timeout`.
pub(super) fn timeout(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    /// Shortest timeout in milliseconds.
    const MIN_TIMEOUT_MS: u64 = 100;
    let number = number(arguments);
    match u64::try_from(number) {
        Ok(milliseconds @ MIN_TIMEOUT_MS..) => {
            client.connection.timeout = Duration::from_millis(milliseconds);
            Ok(())
        }
        _ => {
            client.error(&format!("Timeout {number} is too short"));
            Err(Failed)
        }
    }
}

/// `retries`.
pub(super) fn retries(client: &mut Client, arguments: &str) -> Result<(), Failed> {
    /// Most repetitions of a request.
    const MAX_RETRIES: u32 = 30;
    match u32::try_from(number(arguments)) {
        Ok(retries @ ..=MAX_RETRIES) => {
            client.connection.retries = retries;
            Ok(())
        }
        _ => {
            client.error("Invalid maximum number of retries");
            Err(Failed)
        }
    }
}
