//! `chronyd -p -f FILE` without the daemon: prints a configuration, or its errors.
//!
//! `cargo run -p chrony-conf --example print_config -- FILE`

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use chrony_conf::files::SystemReader;
use chrony_conf::{Options, load, print, render};

fn main() -> ExitCode {
    let options = Options {
        config_file: std::env::args_os().nth(1).map(Into::into),
        ..Options::default()
    };
    let loaded = load(&options, &SystemReader::new(|_, _| None));
    let written = std::io::stdout().write_all(&print(&loaded));
    for message in loaded.log() {
        eprintln!("{message}");
    }
    if !loaded.diagnostics.is_empty() && std::io::stderr().is_terminal() {
        eprintln!("{}", render::render_all(&loaded.diagnostics, true));
    }
    ExitCode::from(u8::from(written.is_err() || !loaded.diagnostics.is_empty()))
}
