//! Waking the loop from other threads, through a pipe.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use crate::error::check;
use crate::socket::{set_close_on_exec, set_non_blocking};

/// The loop's end: watch it for [`super::Interest::READ`].
#[derive(Debug)]
pub struct WakeReceiver(OwnedFd);

/// The other threads' end. Clones share it.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

/// A pipe for waking a loop. Both ends are non-blocking and close-on-exec.
///
/// # Errors
///
/// As `pipe`: too many descriptors.
pub fn wake_pipe() -> io::Result<(Waker, WakeReceiver)> {
    let (read, write) = pipe()?;
    set_non_blocking(read.as_fd())?;
    set_non_blocking(write.as_fd())?;
    Ok((Waker(Arc::new(write)), WakeReceiver(read)))
}

/// A close-on-exec pipe: the end for reading and the end for writing.
///
/// `pipe` and not `pipe2`: no other thread of the daemon executes programs at that time,
/// and every simulator knows it.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for the two descriptors.
    check(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    // SAFETY: the kernel has just opened both, nobody else owns them.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    set_close_on_exec(read.as_fd())?;
    set_close_on_exec(write.as_fd())?;
    Ok((read, write))
}

impl Waker {
    /// Wakes the loop. Any number of calls before the loop's next turn wake it once.
    pub fn wake(&self) {
        wake_descriptor(self.0.as_raw_fd());
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl WakeReceiver {
    /// Takes all pending wake-ups; true if there was one.
    pub fn drain(&self) -> bool {
        let mut any = false;
        while let Some(bytes) = read_some(self.0.as_fd()) {
            any = true;
            if bytes < DRAIN_SIZE {
                break;
            }
        }
        any
    }
}

impl AsFd for WakeReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const DRAIN_SIZE: usize = 64;

/// Reads and drops up to [`DRAIN_SIZE`] bytes; `None` when there is nothing.
fn read_some(descriptor: BorrowedFd<'_>) -> Option<usize> {
    let mut bytes = [0; DRAIN_SIZE];
    read(descriptor, &mut bytes)
        .ok()
        .filter(|&length| length > 0)
}

/// `read(2)`.
pub(crate) fn read(descriptor: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let start = buffer.as_mut_ptr().cast();
    // SAFETY: the pointer and the length describe `buffer`.
    let result = unsafe { libc::read(descriptor.as_raw_fd(), start, buffer.len()) };
    crate::error::check_length(result)
}

/// Writes one byte to a descriptor number. Safe to call in a signal handler.
///
/// A full pipe is a loop that will wake anyway, and a closed one a loop that has ended, so there is
/// no error to report.
pub(super) fn wake_descriptor(descriptor: libc::c_int) {
    let byte = 1u8;
    // SAFETY: one byte is readable at the address; a descriptor that is not open is an
    // error of the call and no unsoundness.
    unsafe { libc::write(descriptor, (&raw const byte).cast(), 1) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Interest, PollSet, Timeout};

    #[test]
    fn another_thread_wakes_the_loop() {
        let (waker, receiver) = wake_pipe().expect("pipe");
        let thread = std::thread::spawn({
            let waker = waker.clone();
            move || waker.wake()
        });
        let mut set = PollSet::default();
        let slot = set.add(receiver.as_fd(), Interest::READ);
        set.wait(Timeout::NEVER).expect("wait");
        assert!(set.readiness(slot).readable());
        thread.join().expect("thread");
        assert!(receiver.drain());
        assert!(!receiver.drain());
    }

    #[test]
    fn a_full_pipe_or_a_lost_loop_does_not_block() {
        let (waker, receiver) = wake_pipe().expect("pipe");
        for _ in 0..100_000 {
            waker.wake();
        }
        assert!(receiver.drain());
        let mut set = PollSet::default();
        set.add(receiver.as_fd(), Interest::READ);
        assert_eq!(set.wait(Timeout::NOW).expect("wait"), 0);
        drop(receiver);
        waker.wake();
    }
}
