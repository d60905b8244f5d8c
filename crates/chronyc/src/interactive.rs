//! The interactive session: line editing, history and completion (chronyc chapter, section 4.3).

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use control_wire::{Index, Reply, Request, SingleAddress};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use signal_hook::consts::{SIGHUP, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::client::Client;
use crate::commands;
use crate::options::VERSION;

const PROMPT: &str = "chronyc> ";
/// Bytes of a line that count.
const MAX_LINE: usize = 2047;
/// Sources whose names are offered.
const MAX_COMPLETED_SOURCES: u32 = 64;

/// Commands whose first argument is a source.
const SOURCE_COMMANDS: [&str; 15] = [
    "delete",
    "maxdelay",
    "maxdelaydevratio",
    "maxdelayratio",
    "maxpoll",
    "minpoll",
    "minstratum",
    "ntpdata",
    "offline",
    "offset",
    "online",
    "polltarget",
    "selectopts",
    "sourcename",
    "burst",
];

struct SessionHelper<'c> {
    client: &'c RefCell<Client>,
}

impl Completer for SessionHelper<'_> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or(line);
        let start = typed.rfind(' ').map_or(0, |space| space + 1);
        let (before, prefix) = typed.split_at(start);
        let words: Vec<&str> = before.split_whitespace().collect();
        let candidates = self.candidates(&words);
        let fitting = candidates
            .into_iter()
            .filter(|candidate| candidate.starts_with(prefix));
        Ok((start, fitting.map(|word| word + " ").collect()))
    }
}

impl SessionHelper<'_> {
    /// Words that may follow `words`.
    fn candidates(&self, words: &[&str]) -> Vec<String> {
        let owned =
            |names: &mut dyn Iterator<Item = &'static str>| names.map(str::to_owned).collect();
        match words {
            [] => owned(&mut commands::names()),
            ["add", _, _, ..] => owned(&mut commands::add_options()),
            ["selectopts", _, ..] => ["noselect", "prefer", "require", "trust"]
                .iter()
                .flat_map(|option| [format!("+{option}"), format!("-{option}")])
                .collect(),
            ["burst", _] => self.sources(),
            [command] if *command != "burst" && SOURCE_COMMANDS.contains(command) => self.sources(),
            [command] => owned(&mut commands::second_words(command).iter().copied()),
            _ => Vec::new(),
        }
    }

    /// Addresses of the sources and their configured names, as far as the daemon tells at once.
    fn sources(&self) -> Vec<String> {
        let Ok(mut client) = self.client.try_borrow_mut() else {
            return Vec::new();
        };
        client.without_waiting(|client| {
            let mut found = Vec::new();
            let connection = &mut client.connection;
            let mut ask = |request: &Request| match connection.exchange(request) {
                Some((header, Ok(reply))) if header.status.is_success() => Some(reply),
                _ => None,
            };
            let Some(Reply::NSources(count)) = ask(&Request::NSources) else {
                return found;
            };
            for index in 0..count.n_sources.min(MAX_COMPLETED_SOURCES) {
                let Some(Reply::SourceStats(source)) = ask(&Request::SourceStats(Index { index }))
                else {
                    break;
                };
                let address = source.ip_addr;
                if address.is_unspecified() {
                    continue;
                }
                found.push(address.to_string());
                let name = ask(&Request::NtpSourceName(SingleAddress { address }));
                if let Some(Reply::NtpSourceName(name)) = name
                    && let Some(name) = name.visible()
                    && !found.iter().any(|known| known == name)
                {
                    found.push(name.to_owned());
                }
            }
            found
        })
    }
}

impl Hinter for SessionHelper<'_> {
    type Hint = String;
}
impl Highlighter for SessionHelper<'_> {}
impl Validator for SessionHelper<'_> {}
impl Helper for SessionHelper<'_> {}

/// The lines at the start.
fn banner() -> String {
    format!(
        "chrony version {VERSION}\n\
         isochrony is free software under the Apache License 2.0 or the MIT license,\n\
         at your choice. It comes without any warranty.\n\
         Type \"help\" for a list of commands, \"quit\" to leave.\n\n"
    )
}

/// Whether the editor waits for a key.
static AT_PROMPT: AtomicBool = AtomicBool::new(false);

/// While the editor waits for a key it does not notice signals, so a thread ends the program then.
/// The terminal is put back as it was.
fn end_on_signals() {
    let terminal = nix::sys::termios::tcgetattr(std::io::stdin()).ok();
    let Ok(mut signals) = Signals::new([SIGTERM, SIGQUIT, SIGHUP]) else {
        return;
    };
    thread::spawn(move || {
        let at_prompt = signals.forever().any(|_| AT_PROMPT.load(Ordering::SeqCst));
        if at_prompt {
            if let Some(terminal) = terminal {
                let now = nix::sys::termios::SetArg::TCSANOW;
                let _ = nix::sys::termios::tcsetattr(std::io::stdin(), now, &terminal);
            }
            crate::unix_socket::remove_all_paths();
            crate::output::new_line();
            std::process::exit(crate::last_exit_status());
        }
    });
}

/// Runs commands until the end. `true` if the last one succeeded.
pub(crate) fn run(mut client: Client, end_dot: bool) -> bool {
    client.out.put(&banner());
    client.out.flush();
    end_on_signals();
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .build();
    let client = RefCell::new(client);
    let history = MemHistory::with_config(&config);
    let Ok(mut editor) = Editor::with_history(config, history) else {
        return plain(client.into_inner(), end_dot);
    };
    editor.set_helper(Some(SessionHelper { client: &client }));
    let mut success = true;
    loop {
        AT_PROMPT.store(true, Ordering::SeqCst);
        let read = editor.readline(PROMPT);
        AT_PROMPT.store(false, Ordering::SeqCst);
        match read {
            Ok(line) => {
                let mut client = client.borrow_mut();
                success = commands::run_line(&mut client, cut(&line), end_dot);
                crate::remember_exit_status(success);
                if client.quit || client.signals.is_set() {
                    return success;
                }
            }
            Err(ReadlineError::Signal(_)) => {}
            Err(_) => {
                if !edits_on(std::env::var("TERM").ok().as_deref()) {
                    crate::output::new_line();
                }
                return success;
            }
        }
    }
}

/// Whether the editor edits on a terminal of this type; it then ends the line itself. On others it
/// prints the prompt and reads plain lines (rustyline's own list).
fn edits_on(terminal: Option<&str>) -> bool {
    const PLAIN_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];
    terminal.is_none_or(|name| {
        PLAIN_TERMINALS
            .iter()
            .all(|plain| !plain.eq_ignore_ascii_case(name))
    })
}

/// The part of a line that counts.
fn cut(line: &str) -> &str {
    let mut end = line.len().min(MAX_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or(line)
}

/// Without an editor: a prompt and plain lines.
fn plain(mut client: Client, end_dot: bool) -> bool {
    let mut lines = std::io::stdin().lines();
    let mut success = true;
    loop {
        client.out.put(PROMPT);
        client.out.flush();
        let Some(Ok(line)) = lines.next() else {
            crate::output::new_line();
            return success;
        };
        success = commands::run_line(&mut client, cut(&line), end_dot);
        if client.quit || client.signals.is_set() {
            return success;
        }
    }
}
