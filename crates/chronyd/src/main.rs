//! chronyd: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    chronyd::run(std::env::args_os())
}
