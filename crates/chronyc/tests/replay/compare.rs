//! Comparison of what was printed with what was recorded. What cannot be the same is blanked on
//! both sides, and only that: versions, random keys, process IDs, wording of help and banner.

use super::sample::Sample;
use super::session::Printed;

/// The one line of the usage text that the reference has not.
const JSON_OPTION: &str = "  -j, --json\tEnable JSON format\n";
/// Samples that print random keys.
const RANDOM_KEYS: [u32; 8] = [430, 431, 432, 433, 434, 435, 440, 441];
/// Samples of the text of `help`, whose wording is free.
const HELP: [u32; 2] = [30, 31];
/// Samples of interactive sessions, whose banner is free.
const INTERACTIVE: [u32; 3] = [850, 851, 852];

impl Printed {
    /// The text without what may differ.
    pub(crate) fn normalised(&self, number: u32) -> Printed {
        let mut output = self.output.replace(JSON_OPTION, "");
        if matches!(number, 2 | 3) {
            output = replace_between(&output, "version ", " (", "VERSION");
        }
        if RANDOM_KEYS.contains(&number) {
            output = blank_key(&output);
        }
        if HELP.contains(&number) {
            output = output.lines().map(first_column).collect();
        }
        if INTERACTIVE.contains(&number) {
            let session = output.split_once("\n\n").map_or("", |(_, session)| session);
            output = session.replace("^D", "");
        }
        Printed {
            output,
            errors: blank_process_ids(&self.errors),
        }
    }
}

/// What was recorded, without what may differ.
pub(crate) fn normalise_sample(sample: &Sample) -> Printed {
    let recorded = Printed {
        output: sample.output.clone(),
        errors: sample.errors.clone(),
    };
    recorded.normalised(sample.number())
}

/// Replaces what stands between two marks in the first line that has both.
fn replace_between(text: &str, before: &str, after: &str, with: &str) -> String {
    let Some((head, rest)) = text.split_once(before) else {
        return text.to_owned();
    };
    match rest.split_once(after) {
        Some((_, tail)) => format!("{head}{before}{with}{after}{tail}"),
        None => text.to_owned(),
    }
}

/// Keys of the same length count as the same.
fn blank_key(text: &str) -> String {
    let Some((head, rest)) = text.split_once("HEX:") else {
        return text.to_owned();
    };
    let digits = rest.find('\n').unwrap_or(rest.len());
    let (key, tail) = rest.split_at(digits);
    let blank = |digit: char| match digit {
        '0'..='9' | 'A'..='F' => 'X',
        other => other,
    };
    format!(
        "{head}HEX:{}{tail}",
        key.chars().map(blank).collect::<String>()
    )
}

fn blank_process_ids(text: &str) -> String {
    let mut parts = text.split("chronyc.");
    let mut blanked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        blanked.push_str("chronyc.PID");
        blanked.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    blanked
}

/// The first column of a row of `help`: all of a long one, else 28 characters.
fn first_column(line: &str) -> String {
    const COLUMN: usize = 28;
    match line.split_at_checked(COLUMN) {
        Some((column, _)) if column.ends_with(' ') => format!("{column}\n"),
        _ => format!("{line}\n"),
    }
}

/// Differences between recorded and found text.
pub(crate) fn differences(recorded: &Printed, found: &Printed) -> Vec<String> {
    let mut list = Vec::new();
    for (what, recorded, found) in [
        ("stdout", &recorded.output, &found.output),
        ("stderr", &recorded.errors, &found.errors),
    ] {
        if recorded != found {
            list.push(format!("{what}: {}", first_difference(recorded, found)));
        }
    }
    list
}

fn first_difference(recorded: &str, found: &str) -> String {
    let mut pairs = recorded.lines().zip(found.lines()).enumerate();
    match pairs.find(|(_, (recorded, found))| recorded != found) {
        Some((number, (recorded, found))) => {
            format!(
                "line {}\nrecorded {recorded:?}\nfound    {found:?}",
                number + 1
            )
        }
        None => format!(
            "{} lines recorded, {} found; end recorded {:?}, found {:?}",
            recorded.lines().count(),
            found.lines().count(),
            recorded.lines().last(),
            found.lines().last()
        ),
    }
}
