//! Signals as input of the loop: the handler keeps the signal's number and wakes the loop
//! through a pipe, the same that helper threads use, so that there is one descriptor to watch.
//!
//! A signal between a check and the wait is thus never lost, which a flag alone cannot
//! promise (system chapter, section 2.5); nor is one when the pipe is full, since the loop
//! then wakes anyway.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use super::pipe::{WakeReceiver, Waker, wake_descriptor, wake_pipe};
use crate::error::CallError;

/// The pipe's writing end, −1 before [`Signals::install`]. Global because a handler has
/// no other way to it.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

/// The last signal that arrived and was not taken, 0 if there is none.
static PENDING: AtomicI32 = AtomicI32::new(0);

/// Handled signals of the process and wake-ups by its threads, to be watched for
/// [`super::Interest::READ`].
///
/// There is one per process; the handlers stay for its life.
#[derive(Debug)]
pub struct Signals {
    receiver: WakeReceiver,
    /// Kept open as long as handlers may write to it.
    waker: Waker,
}

impl Signals {
    /// Has the given signals delivered through the pipe from now on, with `SA_RESTART`.
    ///
    /// # Errors
    ///
    /// `sigaction(<n>) failed` or `pipe() failed`; `EALREADY` while another value lives.
    pub fn install(signals: &[i32]) -> Result<Self, CallError> {
        let (waker, receiver) = wake_pipe().map_err(|error| CallError::new("pipe", error))?;
        SIGNAL_PIPE
            .compare_exchange(
                -1,
                waker.as_fd().as_raw_fd(),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map_err(|_| {
                CallError::new("sigaction", io::Error::from_raw_os_error(libc::EALREADY))
            })?;
        let installed = Self { receiver, waker };
        for &signal in signals {
            let handler = forward as extern "C" fn(libc::c_int);
            set_action(signal, handler as libc::sighandler_t)?;
        }
        Ok(installed)
    }

    /// What other threads wake the loop with.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Takes all pending wake-ups, and the last signal that has arrived, if any.
    pub fn take(&self) -> Option<i32> {
        self.receiver.drain();
        Some(PENDING.swap(0, Ordering::AcqRel)).filter(|&signal| signal != 0)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The handlers stay; without a pipe they do nothing.
        SIGNAL_PIPE.store(-1, Ordering::Release);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

/// Has SIGPIPE ignored, so that writing to a closed connection is an error and not the
/// end of the process.
///
/// # Errors
///
/// `sigaction(13) failed`.
pub fn ignore_broken_pipe() -> Result<(), CallError> {
    set_action(libc::SIGPIPE, libc::SIG_IGN)
}

/// Gives signals their default action again, for a helper process.
///
/// # Errors
///
/// `sigaction(<n>) failed`.
pub fn restore_default(signals: &[i32]) -> Result<(), CallError> {
    signals
        .iter()
        .try_for_each(|&signal| set_action(signal, libc::SIG_DFL))
}

/// Has no signal delivered to the calling thread and to threads it starts from now on, so
/// that the main thread gets them all and the waits of helpers are not interrupted.
///
/// # Errors
///
/// `pthread_sigmask() failed`.
pub fn block_in_this_thread() -> Result<(), CallError> {
    // SAFETY: sigset_t consists of integers, for which zero is a value.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `all` is a whole set; no old set is asked for.
    let error = unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut())
    };
    match error {
        0 => Ok(()),
        number => {
            let error = io::Error::from_raw_os_error(number);
            Err(CallError::new("pthread_sigmask", error))
        }
    }
}

fn set_action(signal: i32, handler: libc::sighandler_t) -> Result<(), CallError> {
    // SAFETY: sigaction consists of integers and an optional function, for which zero is
    // a value: an empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is whole; the handler is SIG_IGN, SIG_DFL or `forward`, which does
    // only what is allowed in a handler; no old action is asked for.
    if unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } < 0 {
        return Err(CallError::last(format!("sigaction({signal})")));
    }
    Ok(())
}

/// The handler: an atomic store, an atomic load, a write, and errno as it was, all of which are safe in a
/// signal handler.
extern "C" fn forward(signal: libc::c_int) {
    // SAFETY: the C library's errno of this thread always exists.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    PENDING.store(signal, Ordering::Release);
    wake_descriptor(SIGNAL_PIPE.load(Ordering::Acquire));
    // SAFETY: as above.
    unsafe { *errno = before };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Interest, PollSet, Timeout};

    #[test]
    fn signals_arrive_through_the_pipe() {
        let signals = Signals::install(&[libc::SIGUSR1, libc::SIGUSR2]).expect("install");
        assert!(Signals::install(&[]).is_err(), "only one at a time");
        let mut set = PollSet::default();
        let slot = set.add(signals.as_fd(), Interest::READ);
        assert_eq!(set.wait(Timeout::NOW).expect("wait"), 0);
        assert_eq!(signals.take(), None);
        for signal in [libc::SIGUSR1, libc::SIGUSR2] {
            // SAFETY: raising a signal that has a handler.
            assert_eq!(unsafe { libc::raise(signal) }, 0);
        }
        set.wait(Timeout::NEVER).expect("wait");
        assert!(set.readiness(slot).readable());
        assert_eq!(signals.take(), Some(libc::SIGUSR2));
        assert_eq!(signals.take(), None);
        // Wake-ups are no signals, and however many there are, a signal is seen.
        for _ in 0..100_000 {
            signals.waker().wake();
        }
        // SAFETY: as above.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
        assert_eq!(signals.take(), Some(libc::SIGUSR1));
        assert_eq!(set.wait(Timeout::NOW).expect("wait"), 0);
        signals.waker().wake();
        assert_eq!(set.wait(Timeout::NOW).expect("wait"), 1);
        assert_eq!(signals.take(), None);
        ignore_broken_pipe().expect("ignore");
        // SAFETY: raising an ignored signal.
        assert_eq!(unsafe { libc::raise(libc::SIGPIPE) }, 0);
        let error = restore_default(&[libc::SIGKILL]).expect_err("refused");
        assert_eq!(error.to_string(), "sigaction(9) failed : Invalid argument");
        let blocked = std::thread::spawn(|| {
            block_in_this_thread().expect("blocked");
            // SAFETY: a signal that has a handler, sent to this thread only.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) }
        });
        assert_eq!(blocked.join().expect("thread"), 0);
        assert_eq!(signals.take(), None);
        restore_default(&[libc::SIGUSR1, libc::SIGUSR2]).expect("restore");
    }
}
