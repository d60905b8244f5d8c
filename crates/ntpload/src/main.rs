//! A load generator for NTP servers.
//!
//! It keeps a number of requests outstanding, from as many source addresses as wanted, and
//! counts the answers. With the server's process ID it also tells the CPU time that one
//! request cost. Use it only against servers of your own: on the loopback interface or in
//! network namespaces that you made (`scripts/bench-server` does).
//!
//! Source addresses need not be configured one by one: `ip route add local 10.99.0.0/16 dev
//! lo` makes a whole network ours.

mod arguments;
mod client;
mod garbage;
mod load;
mod process;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args_os()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("ntpload: {error}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    match load::run(&arguments) {
        Ok(result) => {
            println!("{result}");
            if result.is_silence() {
                eprintln!(
                    "ntpload: no answer: is it the right address and port, does the server allow \
                     the source addresses, and does it know the key?"
                );
            }
            if result.is_right() && !result.is_silence() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("ntpload: {error}");
            ExitCode::FAILURE
        }
    }
}
