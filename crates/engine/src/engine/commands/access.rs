//! Who is served and who may monitor (control-protocol chapter, sections 6 and 9.7).

use chrony_conf::access::{AccessRule, Subnet};
use chrony_conf::logging::{OpenCommand, OpenCommands as ConfiguredCommands};
use control_wire::{Address, OpenCommands, Status, Subnet as WireSubnet};

use super::super::Engine;
use super::{Answer, DONE};
use crate::server::access::{BadSubnet, Protected, change_message};

/// The words of `opencommands` as the protocol knows them.
const WORDS: [(OpenCommand, &str); 13] = [
    (OpenCommand::Activity, "activity"),
    (OpenCommand::AuthData, "authdata"),
    (OpenCommand::Clients, "clients"),
    (OpenCommand::Manual, "manual"),
    (OpenCommand::NtpData, "ntpdata"),
    (OpenCommand::RtcData, "rtcdata"),
    (OpenCommand::SelectData, "selectdata"),
    (OpenCommand::ServerStats, "serverstats"),
    (OpenCommand::Smoothing, "smoothing"),
    (OpenCommand::SourceName, "sourcename"),
    (OpenCommand::Sources, "sources"),
    (OpenCommand::SourceStats, "sourcestats"),
    (OpenCommand::Tracking, "tracking"),
];

/// The commands that are open over UDP.
pub(super) fn open_commands(configured: ConfiguredCommands) -> OpenCommands {
    let words = WORDS
        .iter()
        .filter(|(command, _)| configured.contains(*command))
        .map(|(_, word)| *word);
    // Every word of the table is known to the protocol, as a test proves.
    OpenCommands::from_words(words).unwrap_or_else(|_| OpenCommands::none())
}

/// The network of a request.
///
/// # Errors
///
/// A prefix length out of range, or an address that is none.
fn subnet(request: &WireSubnet) -> Result<Subnet, Status> {
    let prefix = u32::try_from(request.prefix_length).map_err(|_| Status::BadSubnet)?;
    let subnet = match request.address {
        Address::Unspecified if prefix == 0 => Subnet::Any,
        Address::Ipv4(address) => Subnet::Ipv4 { address, prefix },
        Address::Ipv6(address) => Subnet::Ipv6 { address, prefix },
        Address::Unspecified | Address::Id(_) => return Err(Status::BadSubnet),
    };
    if subnet.is_valid() {
        Ok(subnet)
    } else {
        Err(Status::BadSubnet)
    }
}

/// The rule that a request asks for.
///
/// # Errors
///
/// When its network is none.
fn rule(allow: bool, all: bool, request: &WireSubnet) -> Result<AccessRule, Status> {
    Ok(AccessRule {
        allow,
        all,
        subnet: subnet(request)?,
    })
}

/// The answer of an access check.
fn verdict(allowed: bool) -> Answer {
    Err(if allowed {
        Status::AccessAllowed
    } else {
        Status::AccessDenied
    })
}

impl Engine {
    /// Applies a `cmdallow` or `cmddeny` rule of the configuration.
    ///
    /// # Errors
    ///
    /// When the prefix is longer than an address.
    pub fn configure_command_access(&mut self, rule: &AccessRule) -> Result<(), BadSubnet> {
        self.commands.access.apply(rule)?;
        self.journal
            .debug(|| change_message(rule, Protected::Command));
        Ok(())
    }

    pub(super) fn change_ntp_access(
        &mut self,
        allow: bool,
        all: bool,
        request: &WireSubnet,
    ) -> Answer {
        let rule = rule(allow, all, request)?;
        self.change_access(&rule, true)
            .map_err(|_| Status::BadSubnet)?;
        DONE
    }

    pub(super) fn change_monitoring_access(
        &mut self,
        allow: bool,
        all: bool,
        request: &WireSubnet,
    ) -> Answer {
        let rule = rule(allow, all, request)?;
        self.commands
            .access
            .apply(&rule)
            .map_err(|_| Status::BadSubnet)?;
        self.journal.info(change_message(&rule, Protected::Command));
        DONE
    }

    pub(super) fn check_ntp_access(&self, host: Address) -> Answer {
        verdict(host.ip().is_some_and(|address| self.is_allowed(address)))
    }

    /// Looks only at the table, although 127.0.0.1 and ::1 are always answered.
    pub(super) fn check_monitoring_access(&self, host: Address) -> Answer {
        let table = &self.commands.access;
        verdict(host.ip().is_some_and(|address| table.is_allowed(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_opens_what_it_names() {
        for (command, word) in WORDS {
            let configured = [command].into_iter().collect();
            assert_eq!(
                OpenCommands::from_words([word]),
                Ok(open_commands(configured))
            );
        }
        assert_eq!(
            open_commands(ConfiguredCommands::default()),
            OpenCommands::default()
        );
    }
}
