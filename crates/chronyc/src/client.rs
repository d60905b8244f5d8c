//! State of a session, and what all commands share: requests with their status lines, names of
//! sources, and output in the chosen format (chronyc chapter, sections 3.1 and 6).

use std::time::Duration;

use control_wire::{Address, Reply, ReplyError, Request, SingleAddress, Status};

use crate::connection::{Answer, Connection};
use crate::diagnosis;
use crate::document::Document;
use crate::options::Format;
use crate::output::{Output, complain};
use crate::quantities::ref_id_name;
use crate::resolver::Resolver;
use crate::signals::QuitFlag;

/// Printed when no server replied.
const NO_REPLY: &str = "506 Cannot talk to daemon";
/// Printed when the data of a reply are not those expected.
const BAD_REPLY: &str = "508 Bad reply from daemon";
/// Longest name in a column; `-w` adds [`WIDE_EXTRA`].
const MAX_COLUMN_NAME: usize = 25;
/// Characters that `-w` adds to columns of names.
pub(crate) const WIDE_EXTRA: usize = 14;

/// A session.
#[derive(Debug)]
pub(crate) struct Client {
    /// Names and addresses.
    pub(crate) resolver: Resolver,
    /// Whether sources are shown with their configured names.
    pub(crate) source_names: bool,
    /// Form of reports.
    pub(crate) format: Format,
    /// Whether columns of names are wide.
    pub(crate) wide: bool,
    /// The daemon.
    pub(crate) connection: Connection,
    /// Standard output.
    pub(crate) out: Output,
    /// JSON document of the command.
    pub(crate) document: Document,
    /// Set by signals.
    pub(crate) signals: QuitFlag,
    /// Set by the commands `quit` and `exit`.
    pub(crate) quit: bool,
    /// Whether stderr may carry more than the reference prints there: a person reads it.
    pub(crate) explain: bool,
}

/// One record of a report in its three forms.
pub(crate) trait Record {
    /// Lines for people, without the last newline. `extra` characters widen columns of names.
    fn text(&self, extra: usize) -> String;
    /// One line of comma-separated values.
    fn csv(&self) -> String;
    /// JSON text of an object.
    fn json(&self) -> String;
}

/// A request got no usable reply; the status line is printed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

impl Client {
    /// Prints a status line of the protocol.
    pub(crate) fn status_line(&mut self, line: &str) {
        match self.format {
            Format::Json => self.document.status(line),
            Format::Text | Format::Csv => self.out.line(line),
        }
    }

    /// Prints a line of free text.
    pub(crate) fn print_line(&mut self, line: &str) {
        match self.format {
            Format::Json => self.document.line(line),
            Format::Text | Format::Csv => self.out.line(line),
        }
    }

    /// Prints a message about the command itself.
    pub(crate) fn error(&mut self, message: &str) {
        complain!("{message}");
        self.document.error(message);
    }

    /// Tells a person, or the reader of a JSON document, more than the reference does.
    pub(crate) fn hint(&mut self, text: &str) {
        for line in text.lines() {
            self.document.hint(line.trim_start());
            if self.explain {
                self.out.write_pending();
                complain!("{line}");
            }
        }
    }

    /// Characters to be added to columns of names.
    pub(crate) const fn extra(&self) -> usize {
        if self.wide { WIDE_EXTRA } else { 0 }
    }

    /// Starts a list: in text its header, underlined.
    pub(crate) fn start_list(&mut self, name: &'static str, header: &str) {
        match self.format {
            Format::Text => {
                self.out.line(header);
                self.out.line(&"=".repeat(header.len()));
            }
            Format::Csv => {}
            Format::Json => self.document.start_list(name),
        }
    }

    /// Prints an item of a list.
    pub(crate) fn item(&mut self, record: &impl Record) {
        match self.format {
            Format::Text => self.out.line(&record.text(self.extra())),
            Format::Csv => self.out.line(&record.csv()),
            Format::Json => self.document.item(record.json()),
        }
    }

    /// Prints a report with one record.
    pub(crate) fn report(&mut self, name: &'static str, record: &impl Record) {
        match self.format {
            Format::Json => self.document.record(name, record.json()),
            Format::Text | Format::Csv => self.item(record),
        }
    }

    /// Makes a request whose reply carries data.
    pub(crate) fn request(&mut self, request: &Request) -> Result<Reply, Failed> {
        let (header, reply) = self.exchange(request)?;
        if !header.status.is_success() {
            self.refused(header.status);
            return Err(Failed);
        }
        if header.status != Status::Success {
            // The answers of access checks; a report cannot have them.
            self.status_line(header.status.text());
        }
        self.expected(request, reply)
    }

    /// Makes a request of which the status is the result, and prints it. The reply, for those that
    /// have data too.
    pub(crate) fn submit(&mut self, request: &Request) -> Result<Reply, Failed> {
        let (header, reply) = self.exchange(request)?;
        if !header.status.is_success() {
            self.refused(header.status);
            return Err(Failed);
        }
        self.status_line(header.status.text());
        self.expected(request, reply)
    }

    fn refused(&mut self, status: Status) {
        self.status_line(status.text());
        self.hint(diagnosis::of_status(status));
    }

    /// The reply, if it is of the kind that answers the request.
    fn expected(
        &mut self,
        request: &Request,
        reply: Result<Reply, ReplyError>,
    ) -> Result<Reply, Failed> {
        match reply {
            Ok(reply) if reply.code() == request.command().reply_code() => Ok(reply),
            _ => {
                self.status_line(BAD_REPLY);
                Err(Failed)
            }
        }
    }

    fn exchange(&mut self, request: &Request) -> Result<Answer, Failed> {
        if let Some(answer) = self.connection.exchange(request) {
            return Ok(answer);
        }
        self.status_line(NO_REPLY);
        self.hint(&diagnosis::of_trials(&self.connection.trials));
        Err(Failed)
    }

    /// The configured name of a source; `?` if it cannot be shown.
    fn configured_name(&mut self, address: Address) -> String {
        let request = Request::NtpSourceName(SingleAddress { address });
        match self.request(&request) {
            Ok(Reply::NtpSourceName(name)) => name.visible().unwrap_or("?").to_owned(),
            _ => "?".to_owned(),
        }
    }

    /// How a source is called, in full (section 6.2). `ref_id` is given for reference clocks.
    pub(crate) fn source_name(&mut self, address: Address, ref_id: Option<u32>) -> String {
        match (ref_id, self.source_names) {
            (Some(ref_id), _) => ref_id_name(ref_id),
            (None, true) => self.configured_name(address),
            (None, false) => self.address_name(address),
        }
    }

    /// As [`Client::source_name`], cut to the column where a resolved name does not fit.
    pub(crate) fn source_column(&mut self, address: Address, ref_id: Option<u32>) -> String {
        let name = self.source_name(address, ref_id);
        if ref_id.is_some() || self.source_names {
            return name;
        }
        self.cut(name)
    }

    /// How a client is called, cut to the column.
    pub(crate) fn client_column(&mut self, address: Address) -> String {
        let name = self.address_name(address);
        self.cut(name)
    }

    fn address_name(&self, address: Address) -> String {
        match address.ip() {
            Some(ip) => self.resolver.name_of(ip),
            None => address.to_string(),
        }
    }

    fn cut(&self, name: String) -> String {
        let limit = MAX_COLUMN_NAME + self.extra();
        if !self.resolver.reverse || name.chars().count() <= limit {
            return name;
        }
        name.chars().take(limit - 1).chain(['>']).collect()
    }

    /// Number of sources, the first request of every list of them.
    pub(crate) fn number_of_sources(&mut self) -> Result<u32, Failed> {
        match self.request(&Request::NSources)? {
            Reply::NSources(reply) => Ok(reply.n_sources),
            _ => Err(Failed),
        }
    }

    /// Does something with a short wait for replies and without repetitions.
    pub(crate) fn without_waiting<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        const SHORT_WAIT: Duration = Duration::from_millis(200);
        let timeout = std::mem::replace(&mut self.connection.timeout, SHORT_WAIT);
        let retries = std::mem::replace(&mut self.connection.retries, 0);
        let result = ask(self);
        self.connection.timeout = timeout;
        self.connection.retries = retries;
        result
    }
}
