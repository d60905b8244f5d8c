//! Errors as a person wants to see them: the line, a caret under the word, the nearest
//! valid word.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostics::{Diagnostic, Diagnostics};

/// What stands in place of a file name for directives given as arguments.
const ARGUMENTS: &str = "command line";

/// One error as text of several lines, with colours for a terminal if wanted.
///
/// The title is the reference's line without the prefix `Fatal error : `.
pub fn render(diagnostic: &Diagnostic, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let title = printable(&diagnostic.text);
    let mut group = Group::with_title(Level::ERROR.primary_title(title.as_str()));
    let source = printable(&diagnostic.source);
    let path = diagnostic.location.as_ref().map(|location| {
        location
            .file
            .as_deref()
            .map_or_else(|| ARGUMENTS.to_owned(), printable)
    });
    if let (Some(location), Some(path)) = (&diagnostic.location, &path) {
        let end = diagnostic
            .start
            .saturating_add(diagnostic.length)
            .min(source.len());
        let start = diagnostic.start.min(end);
        let mark = AnnotationKind::Primary.span(start..end);
        let mark = match &diagnostic.expected {
            Some(expected) => mark.label(expected.as_str()),
            None => mark,
        };
        group = group.element(
            Snippet::source(source.as_str())
                .line_start(location.line)
                .path(path.as_str())
                .annotation(mark),
        );
    }
    let help = diagnostic
        .suggestion
        .map(|word| format!("did you mean `{word}`?"));
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// All errors, one after the other.
pub fn render_all(diagnostics: &Diagnostics, colour: bool) -> String {
    let shown: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| render(diagnostic, colour))
        .collect();
    shown.join("\n")
}

/// Text that is safe on a terminal: what is no character and what would control the
/// terminal is replaced, each by a character of the same length, so that places stay valid.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' => ' ',
            // One byte each, like the replacement.
            character if character.is_ascii_control() => '?',
            // Two bytes each.
            '\u{80}'..='\u{9F}' => '\u{BF}',
            // Three bytes each: carried bytes, see the `text` module.
            '\u{EF80}'..='\u{EFFF}' => char::REPLACEMENT_CHARACTER,
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::files::SystemReader;

    fn shown(directives: &[&str], colour: bool) -> String {
        let options = Options {
            directives: directives
                .iter()
                .map(|directive| (*directive).into())
                .collect(),
            ..Options::default()
        };
        let loaded = crate::load(&options, &SystemReader::new(|_, _| None));
        render_all(&loaded.diagnostics, colour)
    }

    #[test]
    fn line_caret_and_nearest_word() {
        let text = shown(
            &["port 1", "server ntp.example.net ibrust minpoll 4"],
            false,
        );
        let expected = "error: Invalid option in server directive at line 2
 --> command line:2:24
  |
2 | server ntp.example.net ibrust minpoll 4
  |                        ^^^^^^
  |
  = help: did you mean `iburst`?";
        assert_eq!(text, expected);
    }

    #[test]
    fn terminals_are_not_controlled_by_the_file() {
        let text = shown(&["port 1\x1b[31m\u{9b}2J"], false);
        assert!(!text.contains(['\x1b', '\u{9b}']), "{text:?}");
        assert!(shown(&["foo"], true).contains('\x1b'));
    }
}
