//! What is kept from one exchange of packets to the next (ntp chapter, section 8.2).

use discipline::samples::ClockChange;

use ntp_wire::NtpTimestamp;

use super::context::LocalTimestamp;

/// Largest magnitude of a monotonic correction, seconds (ntp chapter, section 11.3).
const MAX_MONOTONIC_CORRECTION_S: f64 = 16.0;

/// A packet of a peer that starts or restarts the protocol (ntp chapter, section 13.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct InitialPacket {
    pub(super) transmit: NtpTimestamp,
    pub(super) arrival: LocalTimestamp,
}

/// A server's monotonic receive timestamp (field F323).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MonotonicReceive {
    pub(super) epoch: u32,
    pub(super) receive: NtpTimestamp,
}

/// Timestamps and values of the last valid response and the last packet sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    /// Receive timestamp of the last valid response.
    pub(super) remote_receive: NtpTimestamp,
    /// Transmit timestamp of the last valid response.
    pub(super) remote_transmit: NtpTimestamp,
    /// Arrival of the last valid response.
    pub(super) local_receive: Option<LocalTimestamp>,
    /// When the last packet was sent.
    pub(super) local_transmit: Option<LocalTimestamp>,
    /// Transmit time that the next interleaved response may refer to.
    pub(super) previous_local_transmit: Option<LocalTimestamp>,
    /// Receive timestamp in the last packet sent.
    pub(super) sent_receive: NtpTimestamp,
    /// Transmit timestamp in the last packet sent.
    pub(super) sent_transmit: NtpTimestamp,
    /// Packets sent since the last valid response.
    pub(super) requests: u32,
    /// Packets sent between the last two valid responses.
    pub(super) previous_requests: u32,
    /// A valid response came since the last packet was sent.
    pub(super) answered: bool,
    /// The kept timestamps are from a synced response.
    pub(super) synchronised: bool,
    /// Network correction of the request that the last valid response belonged to (field
    /// 010A), seconds.
    pub(super) request_net_correction_s: f64,
    /// Poll of the last valid response.
    pub(super) remote_poll: i8,
    /// Own poll at the last valid response.
    pub(super) local_poll: i8,
    /// Stratum of the last valid response; 16 for 0 on the wire, 0 before the first.
    pub(super) remote_stratum: u8,
    /// Root delay of the last valid response, seconds.
    pub(super) remote_root_delay_s: f64,
    /// Root dispersion of the last valid response, seconds.
    pub(super) remote_root_dispersion_s: f64,
    /// Monotonic timestamp of the last kept response.
    pub(super) monotonic: Option<MonotonicReceive>,
    /// Corrections of the server's clock not yet applied to the samples, seconds.
    pub(super) monotonic_sum_s: f64,
    /// A peer's packet that starts the protocol.
    pub(super) initial: Option<InitialPacket>,
}

impl Exchange {
    /// Clears everything but the time of the last transmission.
    pub(super) fn reset(&mut self) {
        *self = Self {
            local_transmit: self.local_transmit,
            ..Self::default()
        };
    }

    /// Moves stored local times with the clock (discipline chapter, section 1.4).
    pub(super) fn shift(&mut self, change: &ClockChange) {
        let stored = [
            self.local_receive.as_mut(),
            self.local_transmit.as_mut(),
            self.previous_local_transmit.as_mut(),
            self.initial.as_mut().map(|initial| &mut initial.arrival),
        ];
        for timestamp in stored.into_iter().flatten() {
            timestamp.time = change.moved(timestamp.time);
        }
    }

    /// Replaces the transmit time of the last packet by a better one; the copy kept for
    /// an interleaved response is of the same packet while nothing else was sent.
    pub(super) fn refine_transmit(&mut self, better: LocalTimestamp) {
        if self.answered && self.previous_local_transmit == self.local_transmit {
            self.previous_local_transmit = Some(better);
        }
        self.local_transmit = Some(better);
    }

    /// How much the server's clock was corrected between the last kept response and one
    /// with these timestamps, seconds (ntp chapter, section 11.3).
    pub(super) fn monotonic_change_s(
        &self,
        receive: NtpTimestamp,
        monotonic: Option<MonotonicReceive>,
    ) -> f64 {
        let (Some(last), Some(this)) = (self.monotonic, monotonic) else {
            return 0.0;
        };
        if last.epoch != this.epoch
            || last.receive == NtpTimestamp::ZERO
            || this.receive == NtpTimestamp::ZERO
        {
            return 0.0;
        }
        let change_s = this.receive.since(last.receive).to_seconds()
            - receive.since(self.remote_receive).to_seconds();
        if change_s.abs() > MAX_MONOTONIC_CORRECTION_S {
            0.0
        } else {
            change_s
        }
    }

    /// Keeps the monotonic state of a response; one without it ends the accumulation.
    pub(super) fn keep_monotonic(&mut self, monotonic: Option<MonotonicReceive>, change_s: f64) {
        if monotonic.is_some() {
            self.monotonic_sum_s += change_s;
        } else {
            self.monotonic_sum_s = 0.0;
        }
        self.monotonic = monotonic;
    }

    /// Takes the sum of corrections that is to be applied to the stored offsets, if any.
    pub(super) fn take_monotonic_correction(&mut self) -> Option<f64> {
        let sum_s = std::mem::take(&mut self.monotonic_sum_s);
        (sum_s != 0.0 && sum_s.abs() <= MAX_MONOTONIC_CORRECTION_S).then_some(sum_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits(s << 32)
    }

    #[test]
    fn corrections_of_the_server_are_seen_within_an_epoch() {
        let monotonic = |epoch, s| {
            Some(MonotonicReceive {
                epoch,
                receive: seconds(s),
            })
        };
        let mut exchange = Exchange {
            remote_receive: seconds(100),
            ..Exchange::default()
        };
        assert_eq!(
            exchange.monotonic_change_s(seconds(110), monotonic(1, 210)),
            0.0
        );
        exchange.keep_monotonic(monotonic(1, 200), 0.0);
        assert_eq!(
            exchange.monotonic_change_s(seconds(109), monotonic(1, 210)),
            1.0
        );
        assert_eq!(
            exchange.monotonic_change_s(seconds(109), monotonic(2, 210)),
            0.0
        );
        assert_eq!(
            exchange.monotonic_change_s(seconds(150), monotonic(1, 210)),
            0.0
        );
        exchange.keep_monotonic(monotonic(1, 210), 1.0);
        assert_eq!(exchange.take_monotonic_correction(), Some(1.0));
        assert_eq!(exchange.take_monotonic_correction(), None);
        exchange.keep_monotonic(monotonic(1, 220), 1.0);
        exchange.keep_monotonic(None, 0.0);
        assert_eq!(exchange.take_monotonic_correction(), None);
    }
}
