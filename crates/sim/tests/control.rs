//! Recorded exchanges with whole daemons: the command handler of an engine that was put in
//! the recorded state, in the simulator, gives the recorded reply.
//!
//! Compared is everything but measurements (`tests/data/control/mask.rs`): codes, statuses,
//! lengths, sequence numbers, addresses, names, states, strata, options, modes, keys, and
//! which counters have counted.

#[path = "../../../tests/data/control/exchanges.rs"]
mod exchanges;
#[path = "../../../tests/data/control/mask.rs"]
mod mask;

#[path = "control/main_daemon.rs"]
mod main_daemon;
#[path = "control/replay.rs"]
mod replay;
#[path = "control/simulated.rs"]
mod simulated;
