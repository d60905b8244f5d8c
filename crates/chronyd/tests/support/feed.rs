//! Programs that read a clock and tell a daemon of it: into shared memory, to a socket.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use os_linux::hardware::{SEGMENT_LENGTH, SharedSegment};

/// Marks the datagrams.
pub(crate) const MAGIC: i32 = 0x534f_434b;

/// A segment of shared memory with a number of its own, which goes with it.
pub(crate) struct Unit {
    pub(crate) number: i32,
    segment: SharedSegment,
    /// Of samples so far.
    count: AtomicI32,
}

impl Unit {
    /// A new segment, for the daemon to find.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicI32 = AtomicI32::new(0);
        // Numbers of other processes' tests are at least 8 away.
        let process = i32::try_from(std::process::id()).expect("number");
        let number = process * 8 + NEXT.fetch_add(1, Ordering::Relaxed);
        let segment = SharedSegment::attach(number, 0o600).expect("segment");
        Self {
            number,
            segment,
            count: AtomicI32::new(0),
        }
    }

    /// Gives a sample: the time, how far the system's clock is behind, leap status.
    pub(crate) fn put(&self, local: Duration, offset_s: f64, leap: i32) {
        let reference = (local.as_secs_f64() + offset_s).floor();
        let past_ns = f64::from(local.subsec_nanos()) + offset_s * 1e9;
        let reference_ns = past_ns.rem_euclid(1e9).round() as u32;
        let mut segment = [0; SEGMENT_LENGTH];
        let mut put =
            |at: usize, bytes: &[u8]| segment[at..at + bytes.len()].copy_from_slice(bytes);
        // The mode in which a reader sees that it was overtaken by the writer.
        put(0, &1i32.to_ne_bytes());
        put(4, &self.count.fetch_add(1, Ordering::Relaxed).to_ne_bytes());
        put(8, &(reference as i64).to_ne_bytes());
        put(16, &(reference_ns / 1000).to_ne_bytes());
        put(24, &local.as_secs().to_ne_bytes());
        put(32, &local.subsec_micros().to_ne_bytes());
        put(36, &leap.to_ne_bytes());
        put(48, &1i32.to_ne_bytes());
        put(52, &reference_ns.to_ne_bytes());
        put(56, &local.subsec_nanos().to_ne_bytes());
        self.segment.put(&segment);
    }
}

impl Unit {
    /// Writes numbers without a meaning over the whole segment, `rounds` times.
    pub(crate) fn scribble(&self, rounds: u32) {
        let mut state = 1u64;
        for _ in 0..rounds {
            let mut segment = [0; SEGMENT_LENGTH];
            for bytes in segment.chunks_exact_mut(8) {
                // Knuth's linear congruential generator.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                bytes.copy_from_slice(&state.to_ne_bytes());
            }
            // In one of two cases a mode that is read.
            segment[..4].copy_from_slice(&(state as u32 >> 30).to_ne_bytes());
            self.segment.put(&segment);
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // A failure shows in the list of segments at most.
        let _ = SharedSegment::remove(self.number);
    }
}

/// What a datagram says.
#[derive(Clone, Copy)]
pub(crate) struct Message {
    pub(crate) local: Duration,
    pub(crate) offset_s: f64,
    pub(crate) pulse: i32,
    pub(crate) leap: i32,
    pub(crate) magic: i32,
}

impl Message {
    pub(crate) fn new(local: Duration, offset_s: f64) -> Self {
        Self {
            local,
            offset_s,
            pulse: 0,
            leap: 0,
            magic: MAGIC,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.local.as_secs().to_ne_bytes().to_vec();
        bytes.extend(u64::from(self.local.subsec_micros()).to_ne_bytes());
        bytes.extend(self.offset_s.to_ne_bytes());
        let rest = [self.pulse, self.leap, 0, self.magic];
        bytes.extend(rest.map(i32::to_ne_bytes).concat());
        bytes
    }
}

/// The sending end of a daemon's socket.
pub(crate) struct Sender {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Sender {
    pub(crate) fn new(path: &Path) -> Self {
        let socket = UnixDatagram::unbound().expect("socket");
        Self {
            socket,
            path: path.to_owned(),
        }
    }

    /// Sends bytes; whether the daemon's socket is there.
    pub(crate) fn send(&self, bytes: &[u8]) -> bool {
        self.socket.send_to(bytes, &self.path).is_ok()
    }
}

/// The machine's time, in whole microseconds, as all forms can tell it.
pub(crate) fn system_time() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("time");
    Duration::from_micros(u64::try_from(now.as_micros()).expect("fits"))
}
