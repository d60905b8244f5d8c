// The loader of configuration-cases.tsv, included by the tests of several crates through
// `#[path]`. The header of the table explains its columns.

use std::path::Path;

/// How a case was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `chronyd -p -f t.conf`.
    Print,
    /// `chronyd -p ARG...`.
    Arguments,
    /// `chronyd -x -d -t 0 -f t.conf`.
    Start,
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Line in the table.
    pub(crate) line: usize,
    /// Text of the configuration or of the arguments.
    pub(crate) config: Vec<u8>,
    /// Whether the reference ended with a fatal error.
    pub(crate) error: bool,
    /// Standard error without time stamps, lines joined by line feeds.
    pub(crate) message: Vec<u8>,
    /// How it was run.
    pub(crate) mode: Mode,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Exit status.
    pub(crate) exit: i32,
}

/// A file that is there before each case.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    /// Path in the fixture folder.
    pub(crate) path: String,
    /// Content.
    pub(crate) content: Vec<u8>,
}

/// The lines that mode `start` appends to the configuration.
pub(crate) const START_LINES: &[u8] = b"\nport 0\ncmdport 0\nbindcmdaddress /\npidfile /\n";

const TABLE: &str = include_str!("configuration-cases.tsv");

/// All rows.
pub(crate) fn cases() -> Vec<Case> {
    let rows = TABLE
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'));
    rows.map(|(index, line)| {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns.len(), 6, "line {}", index + 1);
        Case {
            line: index + 1,
            config: unescape(columns[0]),
            error: columns[1] == "error",
            message: unescape(columns[2]),
            mode: match columns[3] {
                "print" => Mode::Print,
                "args" => Mode::Arguments,
                "start" => Mode::Start,
                other => panic!("mode {other} in line {}", index + 1),
            },
            stdout: unescape(columns[4]),
            exit: columns[5].parse().expect("exit status"),
        }
    })
    .collect()
}

/// The files of the fixture folder.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let rows = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("# fixture\t"));
    rows.map(|line| {
        let (path, content) = line.split_once('\t').expect("fixture");
        Fixture {
            path: path.to_owned(),
            content: unescape(content),
        }
    })
    .collect()
}

/// Writes the fixtures: mode 0640, keys3 0644.
pub(crate) fn install(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for fixture in fixtures() {
        let path = folder.join(&fixture.path);
        std::fs::create_dir_all(path.parent().expect("folder")).expect("create folder");
        std::fs::write(&path, &fixture.content).expect("write fixture");
        let mode = if fixture.path == "keys3" {
            0o644
        } else {
            0o640
        };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set mode");
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("hexadecimal escape")
            }
            other => panic!("escape {other:?}"),
        });
    }
    bytes
}
