//! The daemon's side of the control protocol (control-protocol chapter).
//!
//! [`Engine::handle_command`] takes a datagram that arrived on a command socket and gives
//! the reply, if there is to be one. It goes through the steps of section 5 here; what a
//! command then does is in a room by subject:
//!
//! - `source_reports`, `clock_reports`, `server_reports`: what is told about sources, the
//!   clock, and clients;
//! - `source_changes`, `clock_changes`, `access`: what commands change;
//! - `real_time_clock`: the chip;
//! - `targets`: which sources a request means; `wire`: numbers of the wire.
//!
//! A command acts through the same methods as events do, so what it changes is followed
//! everywhere. What needs the system (files to be read again, routes, the end of the daemon)
//! becomes an [`Action`](crate::action::Action) to be done before the reply is sent.

mod access;
mod clock_changes;
mod clock_reports;
mod real_time_clock;
mod server_reports;
mod source_changes;
mod source_reports;
mod targets;
#[cfg(test)]
mod tests;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrony_conf::config::{Config, LeapSecondMode};
use control_wire::{
    Address, Datagram, OpenCommands, Refusal, Reply, Request, RequestHeader, Status, Transport,
    reply_length,
};
use discipline::reference::{Announcement, ManualInput, Smoothing, SmoothingSettings};
use discipline::time::CookedTime;

pub use real_time_clock::PendingSave;

use super::Engine;
use crate::event::Now;
use crate::ids::SourceId;
use crate::server::rate_limit::Decision;
use crate::server::{AccessTable, LogReader, Service};

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandPeer {
    /// A socket of the Unix domain: whoever could connect may do everything.
    Unix,
    /// A host.
    Udp(IpAddr),
}

impl CommandPeer {
    const fn transport(self) -> Transport {
        match self {
            Self::Unix => Transport::Unix,
            Self::Udp(_) => Transport::Udp,
        }
    }

    /// Exactly these two: other addresses of the own host are ordinary hosts (section 5).
    fn is_localhost(self) -> bool {
        match self {
            Self::Unix => false,
            Self::Udp(address) => address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST,
        }
    }
}

/// What becomes of a request that was looked at: data, or a status without data.
type Answer = Result<Reply, Status>;

/// Done, and nothing to tell.
const DONE: Answer = Ok(Reply::Null);

/// What commands need beside the sources and the clock.
pub(super) struct Commands {
    open: OpenCommands,
    access: AccessTable,
    /// Requests that got as far as the rate limit, over both kinds of socket.
    hits: u64,
    /// Those that the rate limit dropped.
    drops: u64,
    /// The main thread's access to the records of clients; `None` with `noclientlog`.
    pub(super) clients: Option<LogReader>,
    /// `settime`.
    manual: ManualInput,
    /// `smoothtime`, when configured.
    smoothing: Option<Smoothing>,
    /// Whether a leap second is slewed away, which hides it from clients of smoothed time.
    leap_mode: LeapSecondMode,
    /// The address of the source that gave the reference, which may have been removed since or
    /// have another address now; unspecified for a reference clock.
    reference_address: Address,
    /// The latest command is answered when a file was written.
    pending_save: Option<PendingSave>,
}

impl Commands {
    /// `clients` is a reader of the client log, when there is one.
    pub(super) fn new(config: &Config, clients: Option<LogReader>, now: CookedTime) -> Self {
        let smooth = config
            .clock
            .smooth_time
            .filter(|smooth| smooth.is_enabled());
        Self {
            open: access::open_commands(config.command.open_commands),
            access: AccessTable::default(),
            hits: 0,
            drops: 0,
            clients,
            manual: ManualInput::new(config.client.manual),
            leap_mode: config.clock.leap_mode,
            reference_address: Address::Unspecified,
            pending_save: None,
            smoothing: smooth.map(|smooth| {
                let settings = SmoothingSettings {
                    max_frequency_ppm: smooth.max_frequency_ppm,
                    max_wander_ppm: smooth.max_wander_ppm,
                    leap_only: smooth.leap_only,
                };
                Smoothing::new(settings, now)
            }),
        }
    }
}

impl Engine {
    /// A datagram arrived on a command socket. The result is the reply, never longer than the
    /// request; `None`: no reply, or [`Engine::take_pending_save`] has to be answered. Actions
    /// that follow are to be done before it is sent, as whoever gets it relies on them; the end
    /// of the daemon alone comes after it.
    pub fn handle_command(
        &mut self,
        now: Now,
        datagram: &[u8],
        from: CommandPeer,
    ) -> Option<Datagram> {
        if !self.may_ask(from) {
            return None;
        }
        let header = RequestHeader::parse(datagram).ok()?;
        self.commands.hits = self.commands.hits.wrapping_add(1);
        if !self.passes_rate_limit(now, from) {
            self.commands.drops = self.commands.drops.wrapping_add(1);
            return None;
        }
        let answer = match Request::parse(&header, datagram) {
            Err(Refusal::Silent) => return None,
            Err(Refusal::Status(status)) => Err(status),
            Ok(request)
                if self
                    .commands
                    .open
                    .permits(request.command(), from.transport()) =>
            {
                self.execute(now, &header, &request)
            }
            Ok(_) => Err(Status::Unauthorised),
        };
        if self.commands.pending_save.is_some() {
            return None;
        }
        let (reply, status) = match &answer {
            Ok(reply) => (reply, Status::Success),
            Err(status) => (&Reply::Null, *status),
        };
        // The tables of lengths allow no longer one (section 4.4).
        if reply_length(reply.code()) > datagram.len() {
            return None;
        }
        Some(reply.answer(&header, status))
    }

    /// The file that the latest command wants written before it is answered (`writertc`).
    pub fn take_pending_save(&mut self) -> Option<PendingSave> {
        self.commands.pending_save.take()
    }

    /// Step 2 of section 5.
    fn may_ask(&self, from: CommandPeer) -> bool {
        match from {
            CommandPeer::Unix => true,
            CommandPeer::Udp(address) => {
                from.is_localhost() || self.commands.access.is_allowed(address)
            }
        }
    }

    /// Step 5 of section 5; makes or updates the record of the client.
    fn passes_rate_limit(&mut self, now: Now, from: CommandPeer) -> bool {
        let log = self.serving.shared.client_log();
        let (CommandPeer::Udp(address), Some(log), Some(reader)) =
            (from, log, self.commands.clients.as_mut())
        else {
            return true;
        };
        let time = self.steering.clock().cooked(now.raw);
        let random = self.random.as_mut();
        if from.is_localhost() {
            log.count(reader, Service::Command, address, time);
            return true;
        }
        log.record(reader, Service::Command, address, time, random) == Decision::Pass
    }

    /// Step 11 of section 5.
    fn execute(&mut self, now: Now, header: &RequestHeader, request: &Request) -> Answer {
        use Request as R;
        match request {
            R::NSources => self.number_of_sources(),
            R::SourceData(index) => self.source_data(now, index),
            R::SourceStats(index) => self.source_statistics(now, index),
            R::SelectData(index) => self.selection_data(index),
            R::NtpData(source) => self.ntp_data(source.address),
            R::NtpSourceName(source) => self.source_name(source.address),
            R::AuthData(source) => self.authentication_data(now, source.address),
            R::Activity => self.activity(),
            R::Tracking => self.tracking_data(now),
            R::Smoothing => self.smoothing_data(now),
            R::ManualList => self.manual_list(),
            R::RtcReport => self.rtc_data(),
            R::TrimRtc => self.trim_rtc_by_command(now),
            R::WriteRtc => self.write_rtc_by_command(header),
            R::ServerStats => self.server_statistics(),
            R::ClientAccesses(page) => self.client_accesses(now, page),
            R::Allow(subnet) => self.change_ntp_access(true, false, subnet),
            R::AllowAll(subnet) => self.change_ntp_access(true, true, subnet),
            R::Deny(subnet) => self.change_ntp_access(false, false, subnet),
            R::DenyAll(subnet) => self.change_ntp_access(false, true, subnet),
            R::CommandAllow(subnet) => self.change_monitoring_access(true, false, subnet),
            R::CommandAllowAll(subnet) => self.change_monitoring_access(true, true, subnet),
            R::CommandDeny(subnet) => self.change_monitoring_access(false, false, subnet),
            R::CommandDenyAll(subnet) => self.change_monitoring_access(false, true, subnet),
            R::AccessCheck(host) => self.check_ntp_access(host.address),
            R::CommandAccessCheck(host) => self.check_monitoring_access(host.address),
            other => self.execute_change(now, other),
        }
    }

    fn execute_change(&mut self, now: Now, request: &Request) -> Answer {
        use Request as R;
        match request {
            R::Online(sources) => self.change_connectivity(now, sources, true),
            R::Offline(sources) => self.change_connectivity(now, sources, false),
            R::OnOffline => self.follow_routes(now),
            R::Burst(burst) => self.burst(now, burst),
            R::AddSource(line) => self.add_source_by_command(now, line),
            R::DelSource(source) => self.delete_source(now, source.address),
            R::ModifySelectOptions(change) => self.change_select_options(change),
            R::Reselect => self.reselect(now),
            R::ReselectDistance(distance) => self.change_reselect_distance(distance.value),
            R::ResetSources => self.reset_sources(now),
            R::Refresh => self.refresh_names(now),
            R::ReloadSources => self.request_source_reload(),
            R::Rekey => self.request_keys(),
            R::CycleLogs => self.cycle_logs(),
            R::Dump => self.dump(now),
            R::Shutdown => self.shut_down(),
            R::Manual(option) => self.change_manual(option.option),
            R::SetTime(entry) => self.set_time(now, entry.time),
            R::ManualDelete(index) => self.delete_manual_sample(now, index),
            R::Local(local) => self.change_local(now, local),
            R::SmoothTime(option) => self.change_smoothing(now, option.option),
            R::AdjustFrequency(change) => self.adjust_frequency(now, change.value),
            R::AdjustOffset(change) => self.adjust_offset(now, change.value),
            R::MakeStep => self.make_step(now),
            R::ModifyMakeStep(change) => self.change_make_step(now, change),
            R::ModifyMaxUpdateSkew(skew) => self.change_max_update_skew(now, skew.value),
            other => self.change_source_setting(other),
        }
    }

    /// A source is about to give the reference.
    pub(super) fn follow_reference(&mut self, id: SourceId) {
        let source = self.registry.get(id);
        self.commands.reference_address = source.map_or(Address::Unspecified, targets::address_of);
    }

    /// What is stored here follows a change of the clock.
    pub(super) fn follow_announcement(&mut self, announcement: &Announcement) {
        self.commands.manual.handle_announcement(announcement);
        if let Some(smoothing) = &mut self.commands.smoothing {
            let skew = self.steering.reference().skew();
            smoothing.handle_announcement(announcement, skew, &mut self.journal);
        }
    }
}
