//! `*.sources` files (configuration chapter, section 3.5).

use std::path::PathBuf;

use crate::arguments::Arguments;
use crate::diagnostics::{Diagnostic, Diagnostics, Fault, Location, Reason};
use crate::files::{self, DIRECTORIES_MAX, Reader};
use crate::lexer;
use crate::sources::{self, SourceKind, SourceSpec};
use crate::text;

/// Sources of the source directories.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceFiles {
    /// Sources, sorted by name; the order in which new ones are added.
    pub sources: Vec<SourceSpec>,
    /// Lines that were left out. The reference says nothing about them; none is fatal.
    pub diagnostics: Diagnostics,
}

/// Reads all `*.sources` files, at start and on `reload sources`.
///
/// Each element of `directories` is one `sourcedir` line with its own precedence; lines
/// with more than ten directories are ignored (quirk).
pub fn read(directories: &[Vec<PathBuf>], reader: &dyn Reader) -> SourceFiles {
    let mut found = SourceFiles::default();
    for line in directories
        .iter()
        .filter(|line| line.len() <= DIRECTORIES_MAX)
    {
        for path in files::by_precedence(line, ".sources", reader) {
            if let Ok(content) = reader.read(&path) {
                parse_into(&mut found, &content, &text::from_path(&path));
            }
        }
    }
    found.sources.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Parses the content of one file; `name` is for the diagnostics.
pub fn parse(content: &[u8], name: &str) -> SourceFiles {
    let mut found = SourceFiles::default();
    parse_into(&mut found, content, name);
    found
}

fn parse_into(found: &mut SourceFiles, content: &[u8], file: &str) {
    for (index, line) in lexer::lines(content).enumerate() {
        // A line without end may be half written; one that is too long ends the reading.
        if !line.terminated || line.too_long {
            break;
        }
        let words = lexer::words(&line.text);
        let Some((name, rest)) = words.split_first() else {
            continue;
        };
        let result = match SourceKind::from_directive(name.text) {
            Some(kind) => sources::parse(kind, &mut Arguments::new(rest)),
            None => Err(
                Fault::at(Reason::InvalidDirective, name.start, name.text.len())
                    .expecting("expected server, pool or peer")
                    .among(vec!["server", "pool", "peer"]),
            ),
        };
        match result {
            Ok(spec) => found.sources.push(spec),
            Err(fault) => {
                let location = Location {
                    file: Some(file.to_owned()),
                    line: index + 1,
                };
                found
                    .diagnostics
                    .push(Diagnostic::new(fault, *name, &line.text, &location));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(specs: &[SourceSpec]) -> Vec<&str> {
        specs.iter().map(|spec| spec.name.as_str()).collect()
    }

    #[test]
    fn wrong_lines_and_half_written_ones_are_left_out() {
        let found = parse(
            b"server a\n# c\nport 5\nserver b bogus\nPEER c\npool d",
            "x.sources",
        );
        assert_eq!(names(&found.sources), ["a", "c"]);
        let places: Vec<_> = found
            .diagnostics
            .iter()
            .map(|error| (error.column(), error.text.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                (1, "Invalid directive port at line 3 in file x.sources"),
                (
                    10,
                    "Invalid option in server directive at line 4 in file x.sources"
                ),
            ]
        );
    }

    #[test]
    fn a_long_line_ends_the_reading() {
        let content = [b"server a\n#".as_slice(), &[b'x'; 3000], b"\nserver b\n"].concat();
        assert_eq!(names(&parse(&content, "x").sources), ["a"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&content, "x");
        }
    }
}
