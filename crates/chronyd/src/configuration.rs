//! Reading the configuration, and telling the administrator what is wrong with it.

use std::io::IsTerminal;
use std::net::IpAddr;

use chrony_conf::files::{Reader, SystemReader};
use chrony_conf::keys::KeyFile;
use chrony_conf::options::{BuildDefaults, Options};
use chrony_conf::sources::{AddressFamily, SourceSpec};
use chrony_conf::{Config, Message, Severity as ConfSeverity, load, print, render};
use discipline::journal::Severity;
use ntp_wire::{Key, KeyRing};

use crate::arguments::{Arguments, FamilyLimit};
use crate::defaults;
use crate::output::Output;
use crate::resolver::look_up;

/// The reader of configuration files.
pub fn reader() -> impl Reader + Send + use<> {
    SystemReader::new(|name: &str, family: AddressFamily| -> Option<IpAddr> {
        let found = look_up(name, engine::settings::family(family));
        found.first().map(|first| first.address)
    })
}

/// What the command line says about the configuration.
pub fn options(arguments: &Arguments) -> Options {
    let defaults = BuildDefaults {
        config_file: defaults::CONFIG_FILE.into(),
        command_socket: defaults::COMMAND_SOCKET.into(),
        pid_file: defaults::PIDFILE.into(),
        user: defaults::USER.to_owned(),
        hwclock_file: (!defaults::HWCLOCK_FILE.is_empty()).then(|| defaults::HWCLOCK_FILE.into()),
        rtc_device: defaults::RTC_DEVICE.into(),
    };
    Options {
        defaults,
        config_file: Some(arguments.config_file.clone().into()),
        directives: arguments.directives.iter().map(Into::into).collect(),
        family: match arguments.family {
            None => AddressFamily::Any,
            Some(FamilyLimit::V4) => AddressFamily::Ipv4,
            Some(FamilyLimit::V6) => AddressFamily::Ipv6,
        },
        restart: arguments.restarted,
        client_only: arguments.client_only,
    }
}

/// Writes messages of the configuration to the log.
pub fn say(output: &mut Output, messages: &[Message]) {
    for message in messages {
        let severity = match message.severity {
            ConfSeverity::Info => Severity::Info,
            ConfSeverity::Warning => Severity::Warning,
            ConfSeverity::Error => Severity::Error,
            ConfSeverity::Fatal => Severity::Fatal,
        };
        output.write(severity, &message.text);
    }
}

/// Reads the configuration. With `-p` its lines are printed. `None`: there is an error,
/// which has been said.
pub fn read(arguments: &Arguments, output: &mut Output, reader: &dyn Reader) -> Option<Config> {
    let loaded = load(&options(arguments), reader);
    if arguments.print_config {
        use std::io::Write;
        // A closed pipe is the reader's choice.
        let _ = std::io::stdout().write_all(&print::print(&loaded));
    }
    say(output, &loaded.log());
    if !loaded.diagnostics.is_empty() {
        explain(&loaded.diagnostics);
        return None;
    }
    Some(loaded.config)
}

/// On a terminal, every error with its line, a caret and the nearest valid word.
fn explain(diagnostics: &chrony_conf::Diagnostics) {
    if std::io::stderr().is_terminal() {
        eprintln!("{}", render::render_all(diagnostics, true));
    }
}

/// Reads the source directories. The reference leaves out what it does not understand in
/// silence; here the administrator is told which line has no effect.
pub fn read_source_directories(
    config: &Config,
    output: &mut Output,
    reader: &dyn Reader,
) -> Vec<SourceSpec> {
    let found = chrony_conf::source_files::read(&config.source_directories, reader);
    for error in found.diagnostics.iter() {
        let text = format!("{} (ignored)", error.text);
        output.write(Severity::Warning, &text);
    }
    found.sources
}

/// Loads the symmetric keys, with the messages about them.
pub fn load_keys(config: &Config, output: &mut Output, reader: &dyn Reader) -> KeyRing {
    let Some(path) = &config.process.key_file else {
        return KeyRing::default();
    };
    let file: KeyFile = chrony_conf::keys::load(path, reader, &|_| true);
    say(output, &file.messages);
    KeyRing::new(file.keys.iter().filter_map(|key| {
        // A length that the algorithm does not take was refused by the parser already.
        Key::new(key.id, key.key_type, &key.secret).ok()
    }))
}
