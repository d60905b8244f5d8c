//! chronyc: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    chronyc::run(std::env::args_os())
}
