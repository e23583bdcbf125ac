//! How much memory this process has taken at most.

/// Largest resident memory in bytes so far, or since [`forget_peak`], where the system tells.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Lets [`peak`] begin anew, where the system can.
pub fn forget_peak() {
    // 5 resets the peak of the resident memory, see proc(5). Where that is not allowed, the peak is that of the process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
