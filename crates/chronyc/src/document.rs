//! The JSON document of one command (`-j`; its schema is in `docs/chronyc.schema.json`).

use serde::Serialize;

/// A status line of the protocol, e.g. `200 OK`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct StatusLine {
    code: u16,
    message: String,
}

/// What a command has to say, collected until it ends.
#[derive(Debug, Default)]
pub(crate) struct Document {
    statuses: Vec<StatusLine>,
    errors: Vec<String>,
    hints: Vec<String>,
    lines: Vec<String>,
    /// Name and JSON text of reports with a single record.
    records: Vec<(&'static str, String)>,
    /// Name and JSON texts of reports with a list.
    list: Option<(&'static str, Vec<String>)>,
}

impl Document {
    /// Adds a status line, `NNN text`.
    pub(crate) fn status(&mut self, line: &str) {
        let (code, message) = line.split_once(' ').unwrap_or(("", line));
        self.statuses.push(StatusLine {
            code: code.parse().unwrap_or(0),
            message: message.trim_start_matches("- ").to_owned(),
        });
    }

    /// Adds a message about the command itself.
    pub(crate) fn error(&mut self, message: &str) {
        self.errors.push(message.to_owned());
    }

    /// Adds an explanation or suggestion.
    pub(crate) fn hint(&mut self, text: &str) {
        self.hints.push(text.to_owned());
    }

    /// Adds a line of free text.
    pub(crate) fn line(&mut self, text: &str) {
        self.lines.push(text.to_owned());
    }

    /// Adds a record.
    pub(crate) fn record(&mut self, name: &'static str, json: String) {
        self.records.push((name, json));
    }

    /// Starts a list, which is shown even if it stays empty.
    pub(crate) fn start_list(&mut self, name: &'static str) {
        self.list.get_or_insert((name, Vec::new()));
    }

    /// Adds an item to the list.
    pub(crate) fn item(&mut self, json: String) {
        if let Some((_, items)) = &mut self.list {
            items.push(json);
        }
    }

    /// The document as one line of text, and an empty one for the next command.
    pub(crate) fn finish(&mut self, command: &str, success: bool) -> String {
        let done = std::mem::take(self);
        let mut members = vec![
            format!("\"command\":{}", to_json(command)),
            format!("\"success\":{success}"),
            format!("\"status\":{}", to_json(&done.statuses)),
        ];
        for (name, texts) in [
            ("errors", &done.errors),
            ("hints", &done.hints),
            ("output", &done.lines),
        ] {
            if !texts.is_empty() {
                members.push(format!("\"{name}\":{}", to_json(texts)));
            }
        }
        members.extend(
            done.records
                .iter()
                .map(|(name, json)| format!("\"{name}\":{json}")),
        );
        if let Some((name, items)) = done.list {
            members.push(format!("\"{name}\":[{}]", items.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// JSON text of a value whose members are all numbers, strings, lists and structs, which cannot fail.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn members_in_order() {
        let mut document = Document::default();
        document.start_list("sources");
        document.status("503 No such source");
        assert_eq!(
            document.finish("a \"b\"", false),
            "{\"command\":\"a \\\"b\\\"\",\"success\":false,\
             \"status\":[{\"code\":503,\"message\":\"No such source\"}],\"sources\":[]}"
        );
        assert_eq!(
            document.finish("x", true),
            "{\"command\":\"x\",\"success\":true,\"status\":[]}"
        );
    }
}
