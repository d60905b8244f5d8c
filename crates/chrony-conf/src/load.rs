//! Reading a whole configuration: arguments or file, `include` and `confdir`.
//!
//! The reference stops at the first error. So do the printed lines and messages here; the
//! reading goes on, to collect the other errors of the file.

use std::path::{Path, PathBuf};

use crate::arguments::Arguments;
use crate::config::{Config, InitStepSlew};
use crate::diagnostics::{Diagnostic, Diagnostics, Fault, Location, Message, Reason};
use crate::files::{self, DIRECTORIES_MAX, Reader};
use crate::lexer::{self, LINE_LENGTH_MAX, Word};
use crate::options::Options;
use crate::sources::AddressFamily;
use crate::table::{self, Directive, LoaderDirective, Parser};
use crate::{access, clock, glob, text};

/// Most nested files.
const INCLUDE_LEVEL_MAX: usize = 10;
/// Errors after which the reading stops.
const DIAGNOSTICS_MAX: usize = 100;

/// What the reading of a configuration gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration; complete only when there is no diagnostic.
    pub config: Config,
    /// The lines that `-p` prints, up to the first error.
    pub lines: Vec<String>,
    /// Messages for the log up to the first error, in order.
    pub messages: Vec<Message>,
    /// All errors; the first is the one that the reference reports.
    pub diagnostics: Diagnostics,
}

impl Loaded {
    /// The configuration, or the errors.
    pub fn into_result(self) -> Result<Config, Diagnostics> {
        if self.diagnostics.is_empty() {
            Ok(self.config)
        } else {
            Err(self.diagnostics)
        }
    }

    /// The messages with the first error as the last one, as the reference logs them.
    pub fn log(&self) -> Vec<Message> {
        let error = self
            .diagnostics
            .first()
            .map(|error| Message::fatal(error.text.clone()));
        self.messages.iter().cloned().chain(error).collect()
    }
}

/// Reads the configuration that the command line asks for.
pub fn load(options: &Options, reader: &dyn Reader) -> Loaded {
    let mut loader = Loader::new(options, reader);
    if options.directives.is_empty() {
        let file = options
            .config_file
            .as_ref()
            .unwrap_or(&options.defaults.config_file);
        loader.file(file, None);
    } else {
        loader.directives();
    }
    loader.loaded
}

/// The line that is being read.
struct Current<'l> {
    text: &'l str,
    location: &'l Location,
}

struct Loader<'a> {
    options: &'a Options,
    reader: &'a dyn Reader,
    loaded: Loaded,
    level: usize,
    /// Set when the nesting was too deep: further files would repeat the error without end.
    too_deep: bool,
}

impl<'a> Loader<'a> {
    fn new(options: &'a Options, reader: &'a dyn Reader) -> Self {
        let config = Config::new(options);
        let loaded = Loaded {
            config,
            lines: Vec::new(),
            messages: Vec::new(),
            diagnostics: Vec::new(),
        };
        Self {
            options,
            reader,
            loaded,
            level: 0,
            too_deep: false,
        }
    }

    fn failed(&self) -> bool {
        !self.loaded.diagnostics.is_empty()
    }

    fn given_up(&self) -> bool {
        self.loaded.diagnostics.len() >= DIAGNOSTICS_MAX
    }

    fn directives(&mut self) {
        use std::os::unix::ffi::OsStrExt;
        for (index, directive) in self.options.directives.iter().enumerate() {
            let location = Location {
                file: None,
                line: index + 1,
            };
            let bytes = directive.as_bytes();
            let text = text::from_bytes(bytes);
            self.line(&text, &location, bytes.len() > LINE_LENGTH_MAX);
        }
    }

    /// Reads a file; `origin` is the line that names it.
    fn file(&mut self, path: &Path, origin: Option<(&Current<'_>, Word<'_>)>) {
        if self.given_up() || self.too_deep {
            return;
        }
        if self.level >= INCLUDE_LEVEL_MAX {
            self.too_deep = true;
            return self.refuse_file(Reason::MaximumIncludeLevel, origin);
        }
        let name = text::from_path(path);
        let content = match self.reader.read(path) {
            Ok(content) => content,
            Err(error) => {
                let reason = files::reason(&error);
                return self.refuse_file(Reason::CouldNotOpen { file: name, reason }, origin);
            }
        };
        self.level += 1;
        let mut location = Location {
            file: Some(name),
            line: 0,
        };
        for line in lexer::lines(&content) {
            location.line += 1;
            if self.given_up() {
                break;
            }
            self.line(&line.text, &location, line.too_long);
        }
        self.level -= 1;
    }

    fn refuse_file(&mut self, reason: Reason, origin: Option<(&Current<'_>, Word<'_>)>) {
        let diagnostic = match origin {
            Some((current, word)) => {
                let fault = Fault::at(reason, word.start, word.text.len());
                Diagnostic::new(fault, word, current.text, current.location)
            }
            None => Diagnostic::without_line(reason),
        };
        self.loaded.diagnostics.push(diagnostic);
    }

    fn line(&mut self, text: &str, location: &Location, too_long: bool) {
        let current = Current { text, location };
        if too_long {
            let fault = Fault::at(Reason::TooLong, 0, text.len())
                .expecting(format!("a line can have {LINE_LENGTH_MAX} bytes"));
            return self.refuse(&current, Word { text: "", start: 0 }, fault);
        }
        let words = lexer::words(text);
        let Some((name, rest)) = words.split_first() else {
            return;
        };
        let found = table::find(name.text);
        if !self.failed() && found.is_none_or(Directive::is_printed) {
            self.loaded.lines.push(lexer::normalised(&words));
        }
        let result = match found {
            Some(directive) => self.directive(directive, &current, *name, rest),
            None => Err(Fault::new(Reason::InvalidDirective).among(table::names())),
        };
        if let Err(fault) = result {
            self.refuse(&current, *name, fault);
        }
    }

    fn refuse(&mut self, current: &Current<'_>, name: Word<'_>, fault: Fault) {
        let diagnostic = Diagnostic::new(fault, name, current.text, current.location);
        self.loaded.diagnostics.push(diagnostic);
    }

    fn directive(
        &mut self,
        directive: &'static Directive,
        current: &Current<'_>,
        name: Word<'_>,
        words: &[Word<'_>],
    ) -> Result<(), Fault> {
        let mut arguments = Arguments::new(words);
        match directive.parser {
            Parser::Obsolete => {
                self.message(Message::warning(format!(
                    "{} directive is no longer supported",
                    name.text
                )));
            }
            Parser::Loader(kind) => self.own_directive(kind, current, words, &mut arguments)?,
            _ => table::apply(directive, &mut self.loaded.config, &mut arguments)?,
        }
        Ok(())
    }

    fn message(&mut self, message: Message) {
        if !self.failed() {
            self.loaded.messages.push(message);
        }
    }

    fn own_directive(
        &mut self,
        kind: LoaderDirective,
        current: &Current<'_>,
        words: &[Word<'_>],
        arguments: &mut Arguments<'_>,
    ) -> Result<(), Fault> {
        match kind {
            LoaderDirective::Include => self.include(current, arguments)?,
            LoaderDirective::ConfDir => self.conf_dir(current, words, arguments)?,
            LoaderDirective::InitStepSlew => self.init_step_slew(arguments)?,
            LoaderDirective::MakeStep => {
                self.loaded.config.clock.makestep =
                    clock::makestep(arguments, self.options.restart)?;
            }
            LoaderDirective::Access(allow) => {
                let rule = self.access(allow, arguments)?;
                self.loaded.config.server.access.push(rule);
            }
            LoaderDirective::CommandAccess(allow) => {
                let rule = self.access(allow, arguments)?;
                self.loaded.config.command.access.push(rule);
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        current: &Current<'_>,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), Fault> {
        let word = arguments.single()?;
        if !glob::is_pattern(word.text) {
            self.file(&text::to_path(word.text), Some((current, word)));
            return Ok(());
        }
        let files = glob::expand(word.text, self.reader).map_err(|_| {
            let pattern = word.text.to_owned();
            Fault::at(
                Reason::CouldNotSearch { pattern },
                word.start,
                word.text.len(),
            )
        })?;
        for file in files {
            self.file(&file, Some((current, word)));
        }
        Ok(())
    }

    fn conf_dir(
        &mut self,
        current: &Current<'_>,
        words: &[Word<'_>],
        arguments: &mut Arguments<'_>,
    ) -> Result<(), Fault> {
        let Some(first) = words.first() else {
            return Err(arguments.missing("expected 1 to 10 directories"));
        };
        if let Some(extra) = words.get(DIRECTORIES_MAX) {
            return Err(
                Fault::at(Reason::CouldNotParse, extra.start, extra.text.len())
                    .expecting("expected at most 10 directories"),
            );
        }
        let directories: Vec<PathBuf> = words.iter().map(|word| text::to_path(word.text)).collect();
        for file in files::by_precedence(&directories, ".conf", self.reader) {
            self.file(&file, Some((current, *first)));
        }
        Ok(())
    }

    fn access(
        &self,
        allow: bool,
        arguments: &mut Arguments<'_>,
    ) -> Result<access::AccessRule, Fault> {
        // After an error nothing is asked of the resolver: it may block, the result is unused.
        // What has no letter cannot be a host name and is an error all the same.
        let failed = self.failed();
        access::parse(allow, arguments, &mut |name| {
            if failed {
                let may_be_host = name.contains(|character: char| character.is_alphabetic());
                return may_be_host.then(|| std::net::Ipv4Addr::UNSPECIFIED.into());
            }
            self.reader.resolve(name, self.options.family)
        })
    }

    fn init_step_slew(&mut self, arguments: &mut Arguments<'_>) -> Result<(), Fault> {
        if self.options.restart {
            return Ok(());
        }
        let threshold_s = clock::leading_double(arguments)?;
        let mut addresses = Vec::new();
        for word in arguments.rest() {
            match self.host(word.text) {
                Some(address) => addresses.push(address),
                None => self.message(Message::warning(format!(
                    "Could not resolve address of initstepslew server {}",
                    word.text
                ))),
            }
        }
        self.loaded.config.init_step_slew = Some(InitStepSlew {
            threshold_s,
            addresses,
        });
        Ok(())
    }

    /// Address of a host; a literal one of the excluded family is refused.
    fn host(&self, name: &str) -> Option<std::net::IpAddr> {
        let family: AddressFamily = self.options.family;
        match name.parse() {
            Ok(address) => Some(address).filter(|address| family.contains(*address)),
            Err(_) if self.failed() => None,
            Err(_) => self.reader.resolve(name, family),
        }
    }
}
