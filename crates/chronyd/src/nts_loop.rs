//! NTS in the event loop: what the loop waits for, and what the engine wants done.

use std::io::Read;
use std::sync::Arc;

use discipline::time::MonotonicTime;
use engine::action::{Action, KeyRequest, SavedFile};
use engine::ids::SourceId;

use crate::daemon::{Daemon, now};

/// Longest file of cookies that is read: eight cookies of 256 octets and two keys are less.
const COOKIE_FILE_MAX: u64 = 16384;

impl Daemon {
    /// When NTS needs a turn of the loop.
    pub(crate) fn nts_timeout(&self) -> Option<MonotonicTime> {
        let server = self.ke_server.as_ref().map(|server| server.next_timeout());
        let clients = self.establishments.next_timeout();
        server.into_iter().chain(clients).min()
    }

    /// Whether NTS is something to wait for.
    pub(crate) fn has_nts_work(&self) -> bool {
        self.ke_server.is_some() || self.establishments.is_busy()
    }

    /// Adds sockets to what is waited for.
    pub(crate) fn register_nts(&mut self) {
        self.establishments.register(&mut self.poll);
        if let Some(server) = &mut self.ke_server {
            server.register(&mut self.poll);
        }
    }

    /// Does what is due after a wait.
    pub(crate) fn serve_nts(&mut self) {
        if !self.has_nts_work() {
            return;
        }
        let at = now();
        for ended in self.establishments.serve(&self.poll, at.monotonic) {
            self.engine.handle_key_establishment(
                at,
                ended.source,
                ended.establishment,
                ended.result,
            );
        }
        let Some(server) = &mut self.ke_server else {
            return;
        };
        let wall = self.engine.wall_time(at);
        let engine = &mut self.engine;
        let mut allow = |client| engine.accept_key_establishment(at, client);
        if server.serve(&self.poll, &mut self.output, at.monotonic, wall, &mut allow) {
            self.engine.set_server_keys(Arc::clone(server.keys()));
            self.engine.publish(now());
        }
    }

    /// The command `rekey`.
    pub(crate) fn reload_nts_server(&mut self) {
        let at = now();
        let wall = self.engine.wall_time(at);
        if let Some(server) = &mut self.ke_server {
            server.reload(&mut self.output, at.monotonic, wall);
            self.engine.set_server_keys(Arc::clone(server.keys()));
        }
    }

    /// The command `dump`, and the exit.
    pub(crate) fn save_server_keys(&mut self) {
        if let Some(server) = &mut self.ke_server {
            server.save_keys(&mut self.output, now().monotonic);
        }
    }

    /// Actions of NTS; `Err` gives others back.
    pub(crate) fn run_nts_action(&mut self, action: Action) -> Result<(), Action> {
        match action {
            Action::StartKeyEstablishment(request) => self.start_key_establishment(&request),
            Action::CancelKeyEstablishment { source } => self.establishments.cancel(source),
            Action::TakeCookies { source, file } => self.take_cookies(source, &file),
            Action::SaveServerKeys => self.save_server_keys(),
            other => return Err(other),
        }
        Ok(())
    }

    fn start_key_establishment(&mut self, request: &KeyRequest) {
        let at = now();
        let started = self
            .establishments
            .start(&self.support, request, at.monotonic);
        if let Err(failure) = started {
            let (source, establishment) = (request.source, request.establishment);
            self.engine
                .handle_key_establishment(at, source, establishment, Err(failure));
        }
    }

    /// Reads a file of cookies and removes it, so that no cookie is used twice, whatever
    /// happens next.
    fn take_cookies(&mut self, source: SourceId, file: &SavedFile) {
        let Some(path) = self.files.path(file) else {
            return;
        };
        let Ok(open) = std::fs::File::open(&path) else {
            return;
        };
        // What cannot be removed is used all the same, as the reference does.
        let _ = std::fs::remove_file(&path);
        let mut text = String::new();
        if open.take(COOKIE_FILE_MAX).read_to_string(&mut text).is_ok() {
            self.engine.handle_cookies(now(), source, &text);
        }
    }
}
