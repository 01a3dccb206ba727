//! What the container allows: CPU, memory and processes, over all cgroups that we can see.

use std::{num::NonZeroU16, time::Duration};

use cap_std::fs::Dir;

/// So much CPU time in every period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuQuota {
    /// The time.
    pub(crate) quota: Duration,
    /// The period.
    pub(crate) period: Duration,
}

impl CpuQuota {
    /// How many CPUs that keeps busy, rounded up.
    pub(crate) fn cpus(self) -> NonZeroU16 {
        NonZeroU16::MIN
    }
}

/// What the cgroups say; nothing where they say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The tightest CPU quota.
    pub(crate) cpu_quota: Option<CpuQuota>,
    /// The lowest memory limit, in bytes.
    pub(crate) memory_limit: Option<u64>,
    /// The lowest limit on processes and threads.
    pub(crate) pids_max: Option<u64>,
    /// Memory in use by our own cgroup, in bytes.
    pub(crate) memory_current: Option<u64>,
    /// How many processes of our own cgroup the kernel killed for want of memory.
    pub(crate) oom_kills: Option<u64>,
}

/// Reads the facts below a directory handle of `/`.
pub(crate) fn facts(_root: &Dir) -> Facts {
    Facts::default()
}

/// How many CPUs we may run on.
pub(crate) fn affinity() -> NonZeroU16 {
    NonZeroU16::MIN
}
