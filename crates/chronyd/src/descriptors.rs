//! How many descriptors the process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors left to everything that has no limit of its own, in particular to the sockets
/// of NTP requests.
pub const OTHERS: usize = 256;

/// Raises the system's limit to what is wanted, as far as the process may, and returns it.
pub fn raise_limit(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let raised = hard.min(u64::try_from(wanted).unwrap_or(hard)).max(soft);
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}
