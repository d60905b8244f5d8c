//! The commands: names, and what each does (chronyc chapter, sections 4.4 and 12).

mod access;
mod add_source;
mod clock;
mod settings;
mod sources;

pub(crate) use add_source::option_names as add_options;
use control_wire::Request;

use crate::client::{Client, Failed};
use crate::diagnosis::suggestion;
use crate::options::Format;
use crate::output::complain;
use crate::reports;
use crate::resolver::Resolver;
use crate::{help, keygen};

/// Why a command cannot be sent: a message for stderr, empty where the reference says nothing, and
/// more for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistake {
    message: String,
    hint: String,
}

impl Mistake {
    fn new(message: &str) -> Self {
        Self {
            message: message.to_owned(),
            hint: String::new(),
        }
    }

    fn with_hint(message: &str, hint: String) -> Self {
        Self {
            message: message.to_owned(),
            hint,
        }
    }

    /// Fails as the reference does, which prints nothing; a person is told.
    fn silent(hint: &str) -> Self {
        Self::with_hint("", hint.to_owned())
    }

    fn report(&self, client: &mut Client) {
        if !self.message.is_empty() {
            client.error(&self.message);
        }
        client.hint(&self.hint);
    }
}

/// Makes a request of the arguments.
type MakeRequest = fn(&Resolver, &str) -> Result<Request, Mistake>;
/// Does something else with the arguments.
type Run = fn(&mut Client, &str) -> Result<(), Failed>;

/// What a command does.
#[derive(Clone, Copy)]
enum Action {
    /// Send a request of which the status is the result.
    Submit(MakeRequest),
    /// Anything else.
    Run(Run),
}

/// One command.
struct Command {
    name: &'static str,
    action: Action,
    /// Not in help, documentation and completion.
    hidden: bool,
}

const fn submit(name: &'static str, make: MakeRequest) -> Command {
    Command {
        name,
        action: Action::Submit(make),
        hidden: false,
    }
}

const fn run(name: &'static str, run: Run) -> Command {
    Command {
        name,
        action: Action::Run(run),
        hidden: false,
    }
}

const fn hidden(command: Command) -> Command {
    Command {
        hidden: true,
        ..command
    }
}

/// A command without arguments.
macro_rules! plain {
    ($name:literal, $request:ident) => {
        submit($name, |_, _| Ok(Request::$request))
    };
}

const COMMANDS: &[Command] = &[
    submit("accheck", access::accheck),
    run("activity", reports::activity),
    submit("add", add_source::add),
    submit("allow", access::allow),
    run("authdata", reports::authdata),
    hidden(run("authhash", authentication_gone)),
    submit("burst", sources::burst),
    run("clients", reports::clients),
    submit("cmdaccheck", access::cmdaccheck),
    submit("cmdallow", access::cmdallow),
    submit("cmddeny", access::cmddeny),
    plain!("cyclelogs", CycleLogs),
    submit("delete", sources::delete),
    submit("deny", access::deny),
    hidden(submit("dfreq", clock::dfreq)),
    run("dns", settings::dns),
    hidden(submit("doffset", clock::doffset)),
    plain!("dump", Dump),
    run("exit", quit),
    run("help", help::help),
    run("keygen", keygen::keygen),
    submit("local", clock::local),
    submit("makestep", clock::makestep),
    run("manual", clock::manual),
    submit("maxdelay", sources::maxdelay),
    submit("maxdelaydevratio", sources::maxdelaydevratio),
    submit("maxdelayratio", sources::maxdelayratio),
    submit("maxpoll", sources::maxpoll),
    submit("maxupdateskew", clock::maxupdateskew),
    submit("minpoll", sources::minpoll),
    submit("minstratum", sources::minstratum),
    run("ntpdata", reports::ntpdata),
    submit("offline", sources::offline),
    submit("offset", sources::offset),
    submit("online", sources::online),
    plain!("onoffline", OnOffline),
    hidden(run("password", authentication_gone)),
    submit("polltarget", sources::polltarget),
    run("quit", quit),
    plain!("refresh", Refresh),
    plain!("rekey", Rekey),
    submit("reload", sources::reload),
    plain!("reselect", Reselect),
    submit("reselectdist", clock::reselectdist),
    submit("reset", sources::reset),
    run("retries", settings::retries),
    run("rtcdata", reports::rtcdata),
    run("selectdata", reports::selectdata),
    submit("selectopts", sources::selectopts),
    run("serverstats", reports::serverstats),
    run("settime", clock::settime),
    plain!("shutdown", Shutdown),
    run("smoothing", reports::smoothing),
    submit("smoothtime", clock::smoothtime),
    run("sourcename", reports::sourcename),
    run("sources", reports::sources),
    run("sourcestats", reports::sourcestats),
    run("timeout", settings::timeout),
    run("tracking", reports::tracking),
    plain!("trimrtc", TrimRtc),
    run("waitsync", reports::waitsync),
    plain!("writertc", WriteRtc),
];

/// Names of the commands that are not hidden, in alphabetical order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS
        .iter()
        .filter(|command| !command.hidden)
        .map(|command| command.name)
}

/// Words that may stand after a command, for completion (section 4.3).
pub(crate) fn second_words(command: &str) -> &'static [&'static str] {
    match command {
        "add" => &["peer", "pool", "server"],
        "manual" => &["on", "off", "delete", "list", "reset"],
        "reload" | "reset" => &["sources"],
        "authdata" | "selectdata" | "sources" | "sourcestats" => &["-a", "-v"],
        _ => &[],
    }
}

/// Splits off the first word of a line in which single spaces separate words.
pub(crate) fn split_word(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// One space for each run of white space, none at the ends.
fn normalise(line: &str) -> String {
    let is_space = |character: char| character.is_ascii_whitespace() || character == '\u{b}';
    let words: Vec<&str> = line
        .split(is_space)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// Runs one line. `true` if it succeeded.
pub(crate) fn run_line(client: &mut Client, line: &str, end_dot: bool) -> bool {
    let line = normalise(line);
    if line.is_empty() || line.starts_with(['!', ';', '#', '%']) {
        return true;
    }
    let (name, arguments) = split_word(&line);
    let (mut success, submitted) = match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => command.action.perform(client, arguments),
        None => {
            client.error("Unrecognized command");
            client.hint(&suggestion(name, names()));
            (false, false)
        }
    };
    if client.format == Format::Json {
        let document = client.document.finish(&line, success);
        client.out.line(&document);
    }
    if end_dot {
        client.out.line(".");
    }
    if !client.out.flush() {
        complain!("Could not write to stdout");
        // A request that was executed is not undone by the lost line.
        success &= submitted;
    }
    success
}

impl Action {
    /// Whether it succeeded, and whether it was a request for its status only.
    fn perform(self, client: &mut Client, arguments: &str) -> (bool, bool) {
        match self {
            Self::Run(run) => (run(client, arguments).is_ok(), false),
            Self::Submit(make) => match make(&client.resolver, arguments) {
                Ok(request) => (client.submit(&request).is_ok(), true),
                Err(mistake) => {
                    mistake.report(client);
                    (false, false)
                }
            },
        }
    }
}

fn quit(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    client.quit = true;
    Ok(())
}

/// `password` and `authhash`, still found in old scripts.
fn authentication_gone(client: &mut Client, _arguments: &str) -> Result<(), Failed> {
    client.error("Authentication is no longer supported");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, normalise};

    #[test]
    fn white_space() {
        assert_eq!(normalise("\t a  b\r\n"), "a b");
        assert_eq!(normalise(" \t"), "");
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(COMMANDS.len(), 62);
    }
}
