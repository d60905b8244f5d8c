//! The CPU time and the memory of another process.

/// Time on a processor of all threads of a process so far, seconds.
pub(crate) fn cpu_time_s(pid: u32) -> Option<f64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times_ns = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        // The scheduler's own account, which is exact where `stat` counts ticks.
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Some(times_ns.sum::<u64>() as f64 / 1e9)
}

/// Resident memory of a process, KiB.
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
