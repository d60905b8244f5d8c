//! Any bytes: the handler never panics, and never answers with more than it was sent.

use control_wire::{Command, MAX_REQUEST_LENGTH};
use proptest::prelude::*;

use super::bench::Bench;
use crate::engine::commands::CommandPeer;

const DIRECTIVES: &str = "server 127.0.0.11\nserver ntp.test\nserver 127.0.0.12 key 1\n\
    manual\nsmoothtime 400 0.01\nlocal\nallow\ncmdallow 192.0.2.0/24\ncmdratelimit";

fn peer() -> impl Strategy<Value = CommandPeer> {
    prop::sample::select(vec![
        CommandPeer::Unix,
        CommandPeer::Udp([127, 0, 0, 1].into()),
        CommandPeer::Udp([192, 0, 2, 1].into()),
        CommandPeer::Udp([198, 51, 100, 1].into()),
    ])
}

/// A request of a known command with any data, long enough to be executed.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(any::<u8>(), MAX_REQUEST_LENGTH);
    (prop::sample::select(Command::ALL), data, 0u8..20).prop_map(|(command, mut bytes, zeros)| {
        let code = command.code().to_be_bytes();
        bytes.splice(..6, [6, 1, 0, 0, code[0], code[1]]);
        // Often small numbers, families and indexes that exist.
        for index in (20..bytes.len()).filter(|index| index % 4 < 3 && zeros < 10) {
            if let Some(byte) = bytes.get_mut(index) {
                *byte = 0;
            }
        }
        bytes.truncate(command.request_length());
        bytes
    })
}

/// Whether a request may give more addresses access to the commands.
fn allows(request: &[u8]) -> bool {
    [Command::CommandAllow, Command::CommandAllowAll]
        .iter()
        .any(|command| request[4..6] == command.code().to_be_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_datagrams(datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..900), peer()), 1..20)) {
        let mut bench = Bench::new(DIRECTIVES, &[]);
        for (bytes, from) in datagrams {
            let reply = bench.send(&bytes, from).unwrap_or_default();
            prop_assert!(reply.len() <= bytes.len());
        }
    }

    #[test]
    fn random_commands(requests in prop::collection::vec((request(), peer()), 1..30)) {
        let foreign = CommandPeer::Udp([198, 51, 100, 1].into());
        let mut bench = Bench::new(DIRECTIVES, &[]);
        let mut may_be_allowed = false;
        for (bytes, from) in requests {
            let reply = bench.send(&bytes, from);
            prop_assert!(reply.as_ref().is_none_or(|reply| reply.len() <= bytes.len()));
            prop_assert!(from != CommandPeer::Unix || reply.is_some());
            prop_assert!(from != foreign || may_be_allowed || reply.is_none());
            may_be_allowed |= from == CommandPeer::Unix && allows(&bytes);
            bench.run_for(0.5);
        }
    }
}
