//! What a machine has beside its network and its clock: NTS keys and a real-time clock chip.

use std::net::IpAddr;
use std::sync::Arc;

use engine::action::RtcOrder;
use engine::random::{RandomSource, SeededRandom};
use nts::aead::Algorithm;
use nts::ke::client::KeyMaterial;
use nts::server::cookie;
use nts::server::keys::{ServerKey, ServerKeys};
use nts::session_keys::SessionKeys;

use crate::client::Client;
use crate::clock::TrueTime;

/// Cookies that a key establishment gives (NTS chapter, section 4.3).
const COOKIES: usize = 8;

/// Seed of keys and cookies.
const NTS_SEED: u64 = 0x4e54_5321;

const NS_IN_S: i64 = 1_000_000_000;

/// An NTS server's keys.
#[derive(Debug)]
pub(crate) struct NtsServer {
    keys: Arc<ServerKeys>,
    random: SeededRandom,
}

fn fill(random: &mut SeededRandom) -> impl FnMut(&mut [u8]) {
    |bytes| {
        for byte in bytes {
            *byte = random.next_u32() as u8;
        }
    }
}

/// A real-time clock chip.
#[derive(Clone, Copy, Debug)]
pub struct Chip {
    /// Chip − true time, seconds.
    pub offset_s: f64,
    /// The next update interrupt that is read: when, and what the chip shows then.
    next_reading: Option<(TrueTime, i64)>,
}

impl Chip {
    /// A chip that is wrong by this.
    pub const fn new(offset_s: f64) -> Self {
        Self {
            offset_s,
            next_reading: None,
        }
    }

    /// When it shows a new second next, and which.
    fn next_second(&self, after: TrueTime) -> (TrueTime, i64) {
        let shown = after.plus(self.offset_s);
        let second = shown.0.div_euclid(NS_IN_S) + 1;
        (TrueTime(second * NS_IN_S).plus(-self.offset_s), second)
    }

    pub(crate) fn next_reading(&self) -> Option<TrueTime> {
        self.next_reading.map(|(at, _)| at)
    }

    pub(crate) fn obey(&mut self, now: TrueTime, order: RtcOrder) {
        match order {
            RtcOrder::StartMeasuring => {
                // The first interrupt says nothing.
                let (first, _) = self.next_second(now);
                self.next_reading = Some(self.next_second(first));
            }
            RtcOrder::StopMeasuring => self.next_reading = None,
            RtcOrder::SetTime { time_s } => {
                self.offset_s = TrueTime(time_s * NS_IN_S).since(now);
            }
        }
    }
}

impl Client {
    /// Makes this machine an NTS server, with keys of this algorithm.
    pub fn serve_nts(&mut self, algorithm: Algorithm) {
        let mut random = SeededRandom::new(NTS_SEED);
        let keys = [0, 1, 2, 3].map(|id| {
            let mut key = vec![0; algorithm.key_length()];
            fill(&mut random)(&mut key);
            ServerKey::new(id, algorithm, &key)
        });
        let [Some(a), Some(b), Some(c), Some(d)] = keys else {
            return;
        };
        let Some(keys) = ServerKeys::from_oldest_to_next([a, b, c, d]).map(Arc::new) else {
            return;
        };
        self.engine.set_server_keys(Arc::clone(&keys));
        self.nts_server = Some(NtsServer { keys, random });
    }

    /// What a key establishment with this machine's server gives.
    pub(crate) fn establish(&mut self, now: TrueTime, client: IpAddr) -> Option<KeyMaterial> {
        let at = self.now(now);
        let NtsServer { keys, random } = self.nts_server.as_mut()?;
        self.engine.accept_key_establishment(at, client).ok()?;
        let mut fill = fill(random);
        let algorithm = Algorithm::AesSivCmac256;
        let (mut c2s, mut s2c) = ([0; 32], [0; 32]);
        fill(&mut c2s);
        fill(&mut s2c);
        let session = SessionKeys::new(algorithm, &c2s, &s2c)?;
        let length = cookie::length(keys.current().algorithm(), algorithm);
        let mut cookies = Vec::new();
        for _ in 0..COOKIES {
            let mut sealed = vec![0; length];
            cookie::seal(keys.current(), &session, &mut fill, &mut sealed)?;
            cookies.push(sealed);
        }
        Some(KeyMaterial {
            keys: session,
            alternate: None,
            cookies,
            server: None,
            port: None,
        })
    }

    /// Reads the chip if its interrupt is now.
    pub(crate) fn read_chip_if_due(&mut self, now: TrueTime) {
        let Some(chip) = &mut self.chip else {
            return;
        };
        let Some((_, second)) = chip.next_reading.filter(|(at, _)| *at <= now) else {
            return;
        };
        chip.next_reading = Some(chip.next_second(now));
        let at = self.now(now);
        self.engine.handle_rtc_reading(at, second);
    }
}
