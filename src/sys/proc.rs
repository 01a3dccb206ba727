//! How much memory and CPU time processes use, read from a directory handle of /proc.

use std::time::Duration;

use cap_std::fs::Dir;

/// What processes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Memory in RAM, in bytes; pages that processes share count for each of them.
    pub(crate) resident: u64,
    /// CPU time since the start.
    pub(crate) cpu: Duration,
    /// How many processes.
    pub(crate) processes: u32,
}

/// What one process uses; nothing when it is gone.
pub(crate) fn process(_proc: &Dir, _pid: u32) -> Option<Usage> {
    None
}

/// What all processes of each of these process groups use, in the order asked.
pub(crate) fn groups(_proc: &Dir, groups: &[u32]) -> Vec<Usage> {
    vec![Usage::default(); groups.len()]
}
