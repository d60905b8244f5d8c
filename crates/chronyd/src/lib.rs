//! The daemon: arguments, start-up order, event loop, server threads, files.
//!
//! [`run`] is the whole program. [`arguments`] reads the command line, [`startup`] takes the
//! steps from there to a running daemon in the order that others can observe, and
//! [`daemon`] is the event loop: it waits in `poll`, hands what happened to the engine and
//! does what the engine wants. No algorithm lives here.

pub mod answering;
pub mod arguments;
pub mod call_filter;
pub mod cards;
pub mod command_sockets;
pub mod configuration;
pub mod daemon;
pub mod defaults;
pub mod descriptors;
pub mod devices;
pub mod files;
pub mod hardware_reader;
pub mod ke_certificates;
pub mod ke_client;
pub mod ke_helpers;
pub mod ke_io;
pub mod ke_server;
pub mod ke_sessions;
pub mod kernel_clock;
pub mod mail;
pub mod measurement_logs;
pub mod notification;
pub mod ntp_sockets;
pub mod nts_loop;
pub mod output;
pub mod privileges;
pub mod random;
pub mod real_time_clock;
pub mod refclocks;
pub mod resolver;
pub mod sent_packets;
pub mod server_threads;
pub mod serving;
pub mod signing;
pub mod start_checks;
pub mod startup;
pub mod state_files;
pub mod transmit_timestamps;

pub use startup::run;
