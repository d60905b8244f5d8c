//! The command handler against recorded exchanges and against any bytes.

mod bench;
mod changes;
mod golden;
mod mask;
mod properties;
