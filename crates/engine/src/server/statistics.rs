//! The `serverstats` report (ntp chapter, section 6.6; control-protocol chapter, section
//! 10.14).

use control_wire::ServerStats;

use super::responder::ServerShared;

/// Counters of the services that are not the responders'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherCounts {
    /// NTS-KE connections accepted.
    pub nke_hits: u64,
    /// NTS-KE connections dropped by rate limiting.
    pub nke_drops: u64,
    /// Command packets received.
    pub cmd_hits: u64,
    /// Command packets dropped by rate limiting.
    pub cmd_drops: u64,
}

impl ServerShared {
    /// The report.
    pub fn statistics(&self, other: OtherCounts) -> ServerStats {
        let counts = self.counters().sum();
        let log = self.client_log();
        let (timestamps, span_s) = log.map_or((0, 0), |log| log.timestamps().held());
        let [daemon_rx, kernel_rx, hw_rx] = counts.receive_timestamps;
        let [daemon_tx, kernel_tx, hw_tx] = counts.transmit_timestamps;
        ServerStats {
            ntp_hits: counts.received,
            nke_hits: other.nke_hits,
            cmd_hits: other.cmd_hits,
            ntp_drops: counts.dropped,
            nke_drops: other.nke_drops,
            cmd_drops: other.cmd_drops,
            log_drops: log.map_or(0, |log| log.replaced()),
            ntp_auth_hits: counts.authenticated,
            ntp_interleaved_hits: counts.interleaved,
            ntp_timestamps: timestamps,
            ntp_span_s: span_s,
            ntp_daemon_rx_timestamps: daemon_rx,
            ntp_daemon_tx_timestamps: daemon_tx,
            ntp_kernel_rx_timestamps: kernel_rx,
            ntp_kernel_tx_timestamps: kernel_tx,
            ntp_hw_rx_timestamps: hw_rx,
            ntp_hw_tx_timestamps: hw_tx,
            ..ServerStats::default()
        }
    }
}
