//! The arguments of one directive, read from left to right.
//!
//! Two grammars share this cursor (configuration chapter, section 3.2): directives with a
//! fixed number of arguments, and directives with options, where the unread rest of a
//! number becomes the next word (`maxpoll 4iburst`).

use crate::diagnostics::{Fault, Reason};
use crate::lexer::Word;
use crate::numbers;

/// How a directive names errors of its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// `Invalid option in …`, `Invalid value in …`.
    Named,
    /// `Could not parse …`.
    Plain,
}

/// A cursor over the arguments of a directive.
#[derive(Clone, Debug)]
pub struct Arguments<'l> {
    words: &'l [Word<'l>],
    index: usize,
    rest: Option<Word<'l>>,
    end: usize,
    style: ErrorStyle,
}

impl<'l> Arguments<'l> {
    /// A cursor over the words after the directive's name.
    pub fn new(words: &'l [Word<'l>]) -> Self {
        let end = words.last().map_or(0, |word| word.start + word.text.len());
        Self {
            words,
            index: 0,
            rest: None,
            end,
            style: ErrorStyle::Plain,
        }
    }

    /// Chooses how errors of options are named.
    pub fn with_style(&mut self, style: ErrorStyle) {
        self.style = style;
    }

    /// Number of arguments not read yet.
    pub fn remaining(&self) -> usize {
        self.words.len().saturating_sub(self.index) + usize::from(self.rest.is_some())
    }

    /// The next word, if there is one.
    pub fn next_word(&mut self) -> Option<Word<'l>> {
        if let Some(rest) = self.rest.take() {
            return Some(rest);
        }
        let word = self.words.get(self.index).copied()?;
        self.index += 1;
        Some(word)
    }

    /// The argument at an index, read or not.
    pub fn word(&self, index: usize) -> Option<Word<'l>> {
        self.words.get(index).copied()
    }

    /// The words not read yet.
    pub fn rest(&mut self) -> impl Iterator<Item = Word<'l>> + use<'_, 'l> {
        std::iter::from_fn(move || self.next_word())
    }

    /// Makes the part of `word` from `taken` the next word.
    pub fn give_back(&mut self, word: Word<'l>, taken: usize) {
        self.rest = word
            .text
            .get(taken..)
            .filter(|text| !text.is_empty())
            .map(|text| Word {
                text,
                start: word.start + taken,
            });
    }

    /// Checks the number of arguments of a directive with a fixed number of them.
    pub fn expect_count(&self, min: usize, max: usize) -> Result<(), Fault> {
        if self.words.len() < min {
            return Err(Fault::new(Reason::MissingArguments).expecting(format!(
                "expected {min} argument{}",
                if min == 1 { "" } else { "s" }
            )));
        }
        match self.words.get(max) {
            Some(extra) => {
                let fault = Fault::at(
                    Reason::TooManyArguments,
                    extra.start,
                    self.end.saturating_sub(extra.start),
                );
                Err(match extra.text.bytes().next() {
                    Some(b'#' | b'!' | b';' | b'%') => {
                        fault.expecting("comments need a line of their own")
                    }
                    _ => fault.expecting("nothing more is expected here"),
                })
            }
            None => Ok(()),
        }
    }

    /// The only argument of a directive.
    pub fn single(&mut self) -> Result<Word<'l>, Fault> {
        self.expect_count(1, 1)?;
        self.next_word()
            .ok_or_else(|| Fault::new(Reason::MissingArguments))
    }

    /// A fault `Could not parse` at the end of the line, where a word is missing.
    pub fn missing(&self, expected: &str) -> Fault {
        match self.end {
            0 => Fault::new(Reason::CouldNotParse),
            end => Fault::at(Reason::CouldNotParse, end, 0),
        }
        .expecting(expected)
    }

    /// The fault of a bad value of an option, in the directive's style.
    pub fn value_fault(&self, word: Option<Word<'_>>, expected: impl Into<String>) -> Fault {
        let reason = match self.style {
            ErrorStyle::Named => Reason::InvalidValue,
            ErrorStyle::Plain => Reason::CouldNotParse,
        };
        match word {
            Some(word) => Fault::at(reason, word.start, word.text.len()),
            None => Fault::at(reason, self.end, 0),
        }
        .expecting(expected)
    }

    /// The fault of an unknown option, in the directive's style.
    pub fn option_fault(&self, word: Word<'_>, candidates: Vec<&'static str>) -> Fault {
        let reason = match self.style {
            ErrorStyle::Named => Reason::InvalidOption,
            ErrorStyle::Plain => Reason::CouldNotParse,
        };
        let fault = Fault::at(reason, word.start, word.text.len());
        match word.text.bytes().next() {
            Some(b'#' | b'!' | b';' | b'%') => fault.expecting("comments need a line of their own"),
            _ => fault.among(candidates),
        }
    }

    /// OINT: an integer in `[min, max]`; the rest of its word is the next word.
    pub fn option_integer(&mut self, min: i32, max: i32) -> Result<i32, Fault> {
        let expected = || match (min, max) {
            (i32::MIN, i32::MAX) => "expected an integer".to_owned(),
            (_, i32::MAX) => format!("expected an integer of at least {min}"),
            _ => format!("expected an integer from {min} to {max}"),
        };
        let Some(word) = self.next_word() else {
            return Err(self.value_fault(None, expected()));
        };
        match numbers::wrapped_integer_prefix(word.text) {
            Some((value, length)) if (min..=max).contains(&value) => {
                self.give_back(word, length);
                Ok(value)
            }
            _ => Err(self.value_fault(Some(word), expected())),
        }
    }

    /// ODBL: a number; the rest of its word is the next word.
    pub fn option_double(&mut self) -> Result<f64, Fault> {
        let word = self.next_word();
        match word.and_then(|word| numbers::double_prefix(word.text).map(|found| (word, found))) {
            Some((word, (value, length))) => {
                self.give_back(word, length);
                Ok(value)
            }
            None => Err(self.value_fault(word, "expected a number")),
        }
    }

    /// OU32: an unsigned integer modulo 2³², also its word; the rest is the next word.
    pub fn option_unsigned(&mut self) -> Result<(u32, Word<'l>), Fault> {
        let word = self.next_word();
        match word
            .and_then(|word| numbers::wrapped_unsigned_prefix(word.text).map(|found| (word, found)))
        {
            Some((word, (value, length))) => {
                self.give_back(word, length);
                Ok((value, word))
            }
            None => Err(self.value_fault(word, "expected a positive integer")),
        }
    }
}

/// An option of a directive: its name and what it does to the typed value.
pub struct OptionEntry<T: 'static> {
    /// Name, matched without regard to case.
    pub name: &'static str,
    /// Reads the option's value, if it has one, and stores it.
    pub apply: fn(&mut T, &mut Arguments<'_>) -> Result<(), Fault>,
}

/// Reads options up to the end of the line.
pub fn read_options<T>(
    entries: &'static [OptionEntry<T>],
    target: &mut T,
    arguments: &mut Arguments<'_>,
) -> Result<(), Fault> {
    while let Some(word) = arguments.next_word() {
        match entries
            .iter()
            .find(|entry| entry.name.eq_ignore_ascii_case(word.text))
        {
            Some(entry) => (entry.apply)(target, arguments)?,
            None => {
                return Err(
                    arguments.option_fault(word, entries.iter().map(|entry| entry.name).collect())
                );
            }
        }
    }
    Ok(())
}

/// One word of a fixed list, without regard to case, and nothing after it.
pub fn keyword<T: Copy>(
    arguments: &mut Arguments<'_>,
    values: &[(&'static str, T)],
) -> Result<T, Fault> {
    let names = || values.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let Some(word) = arguments.next_word() else {
        return Err(arguments.missing(&format!("expected one of {}", names().join(", "))));
    };
    let found = values
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word.text));
    match (found, arguments.next_word()) {
        (Some((_, value)), None) => Ok(*value),
        (Some(_), Some(extra)) => {
            Err(
                Fault::at(Reason::CouldNotParse, extra.start, extra.text.len())
                    .expecting("nothing more is expected here"),
            )
        }
        (None, _) => Err(
            Fault::at(Reason::CouldNotParse, word.start, word.text.len())
                .expecting(format!("expected one of {}", names().join(", ")))
                .among(names()),
        ),
    }
}
