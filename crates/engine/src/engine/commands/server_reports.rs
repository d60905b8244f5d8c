//! What is told about clients and answers (control-protocol chapter, sections 10.12, 10.14
//! and 12).

use control_wire::{ClientAccessesRequest, Reply, Status};

use super::super::Engine;
use super::Answer;
use crate::event::Now;
use crate::server::statistics::OtherCounts;

impl Engine {
    pub(super) fn server_statistics(&self) -> Answer {
        let other = OtherCounts {
            cmd_hits: self.commands.hits,
            cmd_drops: self.commands.drops,
            nke_hits: self.nts.server_hits,
            nke_drops: self.nts.server_drops,
        };
        Ok(Reply::ServerStats(self.server_shared().statistics(other)))
    }

    pub(super) fn client_accesses(&self, now: Now, page: &ClientAccessesRequest) -> Answer {
        let log = self.server_shared().client_log().ok_or(Status::Inactive)?;
        let (now, _) = self.steering.cook(now.raw);
        Ok(Reply::ClientAccesses(log.accesses_by_index(
            page.first_index,
            page.n_clients,
            page.min_hits,
            page.reset != 0,
            now,
        )))
    }
}
