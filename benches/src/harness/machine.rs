//! The memory and the cores of this process.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Pins this thread, and all threads that it starts later, to the last core that it may use.
pub fn pin_to_one_core() {
    let allowed = sched_getaffinity(None).expect("the cores of this thread");
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).expect("a core");
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).expect("one core");
}

/// The peak resident memory of this process.
pub fn peak_mib() -> f64 {
    status_kib("VmHWM:") / 1024.0
}

/// The current resident memory of this process.
pub fn resident_bytes() -> f64 {
    status_kib("VmRSS:") * 1024.0
}

/// The memory that glibc's allocator has allocated for this process, with its headers, touched or not.
pub fn heap_bytes() -> f64 {
    // SAFETY: it only returns counts.
    let counts = unsafe { libc::mallinfo2() };
    (counts.uordblks + counts.hblkhd) as f64
}

fn status_kib(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
