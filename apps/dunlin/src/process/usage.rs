//! The use that this process makes of the machine.

use std::time::Duration;

/// The figures of the system; zero where it has none.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Bytes of memory in use.
    pub(crate) resident: u64,
    pub(crate) descriptors: u64,
}

/// Reads the figures from `/proc`. The kernel makes these files in memory, so that does not block.
pub(crate) fn usage() -> Usage {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // proc_pid_stat(5): fields 14 and 15, in ticks of a hundredth of a second. The name in brackets
    // may have spaces.
    let after_name = stat.rsplit(')').next().unwrap_or("");
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    Usage {
        cpu: Duration::from_millis(ticks * 10),
        resident: resident.unwrap_or(0_u64) * 1024,
        descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
    }
}
