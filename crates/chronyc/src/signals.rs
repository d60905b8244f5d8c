//! Signals that end the program in an orderly way (chronyc chapter, section 4.5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::poll::{PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};

/// Signals after which no further command is read.
const QUIT_SIGNALS: [i32; 5] = [SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGPIPE];

/// Set when a signal asks the program to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuitFlag(Arc<AtomicBool>);

impl QuitFlag {
    /// A flag that the signals set from now on.
    pub(crate) fn register() -> Self {
        let flag = Self::default();
        for signal in QUIT_SIGNALS {
            // Only fails for signals that cannot be handled, which are not in the list.
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag.0));
        }
        flag
    }

    /// Whether a signal has come.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Sleeps; a signal ends the sleep.
    pub(crate) fn sleep(&self, duration: Duration) {
        /// A signal between the check and the wait is noticed after this time.
        const SLICE: Duration = Duration::from_millis(200);
        let mut left = duration;
        while !left.is_zero() && !self.is_set() {
            let slice = left.min(SLICE);
            let start = std::time::Instant::now();
            let rounded_up = slice + Duration::from_micros(999);
            let timeout = PollTimeout::try_from(rounded_up).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut [], timeout);
            left = left.saturating_sub(start.elapsed());
        }
    }
}
