//! What is wrong, where, and in which words the reference says it.

use std::fmt;

use crate::lexer::Word;
use crate::suggest;

/// Severity of a message, as the log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Information.
    Info,
    /// Warning: the daemon goes on.
    Warning,
    /// Error: the daemon goes on without something.
    Error,
    /// Fatal error: the daemon ends with status 1.
    Fatal,
}

/// One message for the log, in the reference's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How grave it is.
    pub severity: Severity,
    /// The text without time stamp and without the prefix `Fatal error : `.
    pub text: String,
}

impl Message {
    /// An informational message.
    pub fn info(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Info,
            text: text.into(),
        }
    }

    /// A warning.
    pub fn warning(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            text: text.into(),
        }
    }

    /// An error that is not fatal.
    pub fn error(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            text: text.into(),
        }
    }

    /// A fatal error.
    pub fn fatal(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Fatal,
            text: text.into(),
        }
    }
}

impl fmt::Display for Message {
    /// The line as the log and standard error have it (configuration chapter, section 1.6).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Fatal {
            formatter.write_str("Fatal error : ")?;
        }
        formatter.write_str(&self.text)
    }
}

/// A line of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// File as named by `-f`, `include`, or `DIR/NAME`; none for directives given as arguments.
    pub file: Option<String>,
    /// Line number from 1, or position among the directive arguments.
    pub line: usize,
}

impl fmt::Display for Location {
    /// `at line N in file F` or `at line N` (configuration chapter, section 3.3).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at line {}", self.line)?;
        match &self.file {
            Some(file) => write!(formatter, " in file {file}"),
            None => Ok(()),
        }
    }
}

/// Why a line was refused; the texts are those of the configuration chapter, section 3.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No such directive.
    InvalidDirective,
    /// Fewer arguments than the directive needs.
    MissingArguments,
    /// More arguments than the directive takes.
    TooManyArguments,
    /// Malformed in a directive that has no more specific text.
    CouldNotParse,
    /// A single integer out of its range.
    OutOfRange {
        /// What was given.
        value: i64,
        /// Smallest accepted value.
        min: i64,
        /// Largest accepted value.
        max: i64,
    },
    /// A source directive without a name.
    InvalidSyntax,
    /// Unknown option of `server`, `pool`, `peer`, `refclock` or `local`.
    InvalidOption,
    /// Bad or missing value of an option there.
    InvalidValue,
    /// Unknown word in `log`.
    InvalidLogParameter,
    /// Line or argument beyond the length limit.
    TooLong,
    /// A file could not be opened.
    CouldNotOpen {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// A directory of an `include` pattern could not be searched.
    CouldNotSearch {
        /// The pattern.
        pattern: String,
    },
    /// More than ten nested files.
    MaximumIncludeLevel,
}

impl Reason {
    /// The reference's line, for the directive as typed.
    pub fn text(&self, directive: &str, location: &Location) -> String {
        match self {
            Self::InvalidDirective => format!("Invalid directive {directive} {location}"),
            Self::MissingArguments => {
                format!("Missing arguments for {directive} directive {location}")
            }
            Self::TooManyArguments => {
                format!("Too many arguments for {directive} directive {location}")
            }
            Self::CouldNotParse => format!("Could not parse {directive} directive {location}"),
            Self::OutOfRange { value, min, max } => {
                format!(
                    "Invalid value {value} in {directive} directive (min {min}, max {max}) {location}"
                )
            }
            Self::InvalidSyntax => format!("Invalid syntax for {directive} directive {location}"),
            Self::InvalidOption => format!("Invalid option in {directive} directive {location}"),
            Self::InvalidValue => format!("Invalid value in {directive} directive {location}"),
            Self::InvalidLogParameter => format!("Invalid log parameter {location}"),
            Self::TooLong => format!("String too long {location}"),
            Self::CouldNotOpen { file, reason } => format!("Could not open {file} : {reason}"),
            Self::CouldNotSearch { pattern } => {
                format!("Could not search for files matching {pattern}")
            }
            Self::MaximumIncludeLevel => "Maximum include level reached".into(),
        }
    }
}

/// A reason with the place in its line, as the parsers return it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// Byte offset of the offending word in its line; none for the directive's own name.
    pub start: Option<usize>,
    /// Length of the offending word, bytes.
    pub length: usize,
    /// The words that would have been valid there, for a suggestion.
    pub candidates: Vec<&'static str>,
    /// What was expected, for a person.
    pub expected: Option<String>,
}

impl Fault {
    /// A fault of the whole directive: its name is marked.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            start: None,
            length: 0,
            candidates: Vec::new(),
            expected: None,
        }
    }

    /// A fault of one word.
    pub fn at(reason: Reason, start: usize, length: usize) -> Self {
        Self {
            start: Some(start),
            length,
            ..Self::new(reason)
        }
    }

    /// Adds what was expected.
    pub fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds the valid words.
    pub fn among(mut self, candidates: Vec<&'static str>) -> Self {
        self.candidates = candidates;
        self
    }
}

/// One error of a configuration, complete for showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Why.
    pub reason: Reason,
    /// The reference's line, without the prefix `Fatal error : `.
    pub text: String,
    /// Where, if the error belongs to a line.
    pub location: Option<Location>,
    /// The line as written (empty without a location).
    pub source: String,
    /// Byte offset of the offending word in `source`.
    pub start: usize,
    /// Length of the offending word in bytes.
    pub length: usize,
    /// What was expected there.
    pub expected: Option<String>,
    /// The nearest valid word.
    pub suggestion: Option<&'static str>,
}

impl Diagnostic {
    /// A fault in the line `source`; `name` is the directive's word as typed.
    pub fn new(fault: Fault, name: Word<'_>, source: &str, location: &Location) -> Self {
        let (start, length) = match fault.start {
            Some(start) => (start, fault.length),
            None => (name.start, name.text.len()),
        };
        let word = source
            .get(start..start.saturating_add(length))
            .unwrap_or("");
        Self {
            text: fault.reason.text(name.text, location),
            suggestion: suggest::nearest(word, &fault.candidates),
            reason: fault.reason,
            location: Some(location.clone()),
            source: source.to_owned(),
            start,
            length,
            expected: fault.expected,
        }
    }

    /// An error that belongs to no line: the configuration file itself cannot be read.
    pub fn without_line(reason: Reason) -> Self {
        Self {
            text: reason.text("", &Location::default()),
            reason,
            location: None,
            source: String::new(),
            start: 0,
            length: 0,
            expected: None,
            suggestion: None,
        }
    }
    /// Column of the offending word: characters from 1.
    pub fn column(&self) -> usize {
        self.source
            .get(..self.start)
            .map_or(0, |before| before.chars().count())
            + 1
    }

    /// The offending word.
    pub fn word(&self) -> &str {
        self.source
            .get(self.start..self.start.saturating_add(self.length))
            .unwrap_or("")
    }
}

/// All errors of a configuration in reading order; the first is the one the reference reports.
pub type Diagnostics = Vec<Diagnostic>;
