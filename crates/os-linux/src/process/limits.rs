//! Scheduler and memory (system chapter, section 4.2).

use crate::error::{CallError, check};

/// Locks all present and future memory of the process, after raising the limit for it.
///
/// # Errors
///
/// `setrlimit() failed` (nothing is locked then), `mlockall() failed`.
pub fn lock_memory() -> Result<(), CallError> {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is a whole rlimit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) })
        .map_err(|error| CallError::new("setrlimit", error))?;
    // SAFETY: the call takes flags only.
    check(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) })
        .map_err(|error| CallError::new("mlockall", error))?;
    Ok(())
}

/// Gives the calling thread the real-time policy SCHED_FIFO with a priority, clamped to
/// the system's range. Threads it starts later have it too.
///
/// # Errors
///
/// `pthread_setschedparam() failed`, without CAP_SYS_NICE.
pub fn set_real_time_priority(priority: i32) -> Result<(), CallError> {
    // SAFETY: both calls take a constant only.
    let (lowest, highest) = unsafe {
        (
            libc::sched_get_priority_min(libc::SCHED_FIFO),
            libc::sched_get_priority_max(libc::SCHED_FIFO),
        )
    };
    // SAFETY: sched_param consists of integers, for which zero is a value; some C
    // libraries have fields besides the priority.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority.min(highest).max(lowest);
    set_scheduler(&parameters).map_err(|error| CallError::new("pthread_setschedparam", error))
}

/// The thread's own scheduler. musl's `sched_setscheduler` only says that it is not
/// supported, the call for threads works with both C libraries.
fn set_scheduler(parameters: &libc::sched_param) -> std::io::Result<()> {
    // SAFETY: the calling thread exists, the parameters are whole.
    let error =
        unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_FIFO, parameters) };
    match error {
        0 => Ok(()),
        error => Err(std::io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_is_set_or_refused_with_a_reason() {
        // In a thread of its own, whose policy ends with it.
        let result = std::thread::spawn(|| {
            set_real_time_priority(500).map(|()| {
                // SAFETY: sched_param is integers; the call fills it for this thread.
                unsafe {
                    let mut parameters: libc::sched_param = std::mem::zeroed();
                    libc::sched_getparam(0, &mut parameters);
                    (libc::sched_getscheduler(0), parameters.sched_priority)
                }
            })
        });
        match result.join().expect("thread") {
            Ok(scheduler) => assert_eq!(scheduler, (libc::SCHED_FIFO, 99)),
            Err(error) => {
                eprintln!("SKIPPED in part: needs CAP_SYS_NICE");
                let text = error.to_string();
                assert_eq!(
                    text,
                    "pthread_setschedparam() failed : Operation not permitted"
                );
            }
        }
    }

    #[test]
    fn memory_is_locked_or_refused_with_a_reason() {
        match lock_memory() {
            Ok(()) => {
                // SAFETY: the call has no arguments.
                check(unsafe { libc::munlockall() }).expect("unlock");
            }
            Err(error) => {
                eprintln!("SKIPPED in part: needs CAP_SYS_RESOURCE and CAP_IPC_LOCK");
                let text = error.to_string();
                assert!(
                    text == "setrlimit() failed : Operation not permitted",
                    "{text}"
                );
            }
        }
    }
}
