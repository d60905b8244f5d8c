//! chronyc: the client of chronyd.
//!
//! The program is a thin layer over modules, from outside to inside:
//!
//! - `options` takes the arguments, `privileges` gives up root;
//! - `interactive` or the loops here read commands;
//! - `commands` holds the table of commands and turns arguments into requests, with the helpers
//!   `numbers`, `resolver` and `date`;
//! - `reports` asks for data and shows them in text, CSV and JSON (`quantities`,
//!   `document`);
//! - `client` is the state of the session, which all of them share;
//! - `connection` exchanges requests and replies (`unix_socket`, `signals`).
//!
//! What the reference prints is printed byte for byte; what this client adds (JSON, suggestions,
//! explanations of a failed connection) needs an option or goes to a terminal only, so that
//! scripts see no difference.

mod calendar;
mod client;
mod commands;
mod connection;
mod date;
mod diagnosis;
mod document;
mod help;
mod interactive;
mod keygen;
mod numbers;
mod options;
mod output;
mod privileges;
mod quantities;
mod random;
mod reports;
mod resolver;
mod signals;
mod unix_socket;

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Read};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use client::Client;
use connection::{Connection, server_list};
use document::Document;
use options::{Format, Invocation, Options};
use output::{Output, complain};
use resolver::Resolver;
use signals::QuitFlag;

/// Bytes of a line of standard input; longer ones are split.
const MAX_LINE: usize = 2047;
/// Bytes of the arguments joined to a command, each with a space, from which on it is too long.
const MAX_JOINED: usize = 2048;

/// Whether the last command failed, for the thread that ends the program on signals.
static LAST_FAILED: AtomicBool = AtomicBool::new(false);

/// Notes the result of the last command.
fn remember_exit_status(success: bool) {
    LAST_FAILED.store(!success, Ordering::SeqCst);
}

/// Exit status by the last command.
fn last_exit_status() -> i32 {
    LAST_FAILED.load(Ordering::SeqCst).into()
}

/// The whole program; `arguments` begin with its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments
        .into_iter()
        .map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_else(|| "chronyc".to_owned());
    let arguments: Vec<String> = arguments.collect();
    let mut out = Output::stdout();
    let success = match options::parse(&arguments) {
        Invocation::Help => print_and_flush(&mut out, &options::usage(&program)),
        Invocation::Version => print_and_flush(&mut out, &options::version_line()),
        Invocation::Invalid(message) => {
            complain!("{program}: {message}");
            print_and_flush(&mut out, &options::usage(&program));
            false
        }
        Invocation::Run(options) => run_session(&options, out),
    };
    if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The reference does not look at the result either.
fn print_and_flush(out: &mut Output, text: &str) -> bool {
    out.put(text);
    out.flush();
    true
}

/// Runs the commands of the arguments or of standard input. `true` if the last one succeeded.
fn run_session(options: &Options, out: Output) -> bool {
    if let Err(message) = privileges::drop_to(&options.user) {
        complain!("{message}");
        return false;
    }
    let interactive = std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
        && options.words.is_empty();
    let signals = QuitFlag::register();
    let resolver = Resolver {
        family: options.family,
        reverse: !options.numeric && options.format == Format::Text,
        debug: options.debug,
    };
    let servers = server_list(&options.servers, options.port, &resolver);
    let mut connection = Connection::new(servers, signals.clone(), options.debug);
    if !connection.open() {
        complain!("Could not open connection to daemon");
        if std::io::stderr().is_terminal() {
            complain!("{}", diagnosis::of_trials(&connection.trials));
        }
        return false;
    }
    let mut client = Client {
        resolver,
        source_names: options.source_names,
        format: options.format,
        wide: options.wide,
        connection,
        out,
        document: Document::default(),
        signals,
        quit: false,
        explain: std::io::stderr().is_terminal(),
    };
    if interactive {
        return interactive::run(client, options.end_dot);
    }
    let success = if options.words.is_empty() {
        run_stdin(&mut client, options.end_dot)
    } else {
        run_words(&mut client, options)
    };
    client.connection.close();
    success
}

/// The words after the options: one command, or with `-m` one command each, up to the first
/// that fails.
fn run_words(client: &mut Client, options: &Options) -> bool {
    let joined = options.words.join(" ");
    let lines = if options.multiple {
        options.words.clone()
    } else {
        vec![joined]
    };
    for line in lines {
        if line.len() + 1 >= MAX_JOINED {
            complain!("Command too long");
            return false;
        }
        if !commands::run_line(client, &line, options.end_dot) {
            return false;
        }
        if client.quit || client.signals.is_set() {
            break;
        }
    }
    true
}

/// Lines of standard input, up to its end or `quit`. The status is that of the last one.
fn run_stdin(client: &mut Client, end_dot: bool) -> bool {
    let mut input = std::io::stdin().lock();
    let mut success = true;
    loop {
        let mut line = Vec::new();
        // One byte less than a full line with its newline.
        let limit = MAX_LINE as u64;
        match input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(1..) if !client.signals.is_set() => {}
            _ => return success,
        }
        success = commands::run_line(client, &String::from_utf8_lossy(&line), end_dot);
        if client.quit {
            return success;
        }
    }
}
