//! The daemon: arguments, start-up order, event loop, server threads, files.

mod arguments;
mod defaults;
mod files;
mod measurement_logs;
mod resolver;

fn main() {}
