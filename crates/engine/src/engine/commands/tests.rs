//! The command handler against recorded exchanges and against any bytes.

mod bench;
mod changes;
#[path = "../../../../../tests/data/control/exchanges.rs"]
mod exchanges;
mod golden;
#[path = "../../../../../tests/data/control/mask.rs"]
mod mask;
mod properties;
