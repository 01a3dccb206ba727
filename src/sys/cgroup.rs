//! What the container allows: CPU, memory and processes, over all cgroups that we can see.
//!
//! Our place in a hierarchy (`/proc/self/cgroup`) and what is mounted of it (`/proc/self/mountinfo`) are told in different
//! views: with cgroup v1 and no cgroup namespace the place is the host's, and only the part below the mount's root is
//! there. So the place is taken relative to that root; where it does not exist even so, the mount itself is our place.
//! From there up to the mount every limit counts, and the tightest wins.

mod place;

use std::{io::Read, num::NonZeroU16, time::Duration};

use cap_std::fs::Dir;

use place::{Place, Version, places};

/// Controller files have a few bytes; memory.events a hundred.
const LONGEST: u64 = 64 << 10;
/// Version 1 says "unlimited" by the largest number of pages; no machine has this much.
const UNLIMITED: u64 = 1 << 60;

/// So much CPU time in every period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuQuota {
    /// The time.
    pub(crate) quota: Duration,
    /// The period.
    pub(crate) period: Duration,
}

impl CpuQuota {
    fn of(quota: u64, period: u64) -> Option<Self> {
        let (quota, period) = (Duration::from_micros(quota), Duration::from_micros(period));
        (!quota.is_zero() && !period.is_zero()).then_some(Self { quota, period })
    }

    /// How many CPUs that keeps busy, rounded up.
    pub(crate) fn cpus(self) -> NonZeroU16 {
        let cpus = self.quota.as_nanos().div_ceil(self.period.as_nanos().max(1));
        let cpus = u16::try_from(cpus).unwrap_or(u16::MAX);
        NonZeroU16::new(cpus).unwrap_or(NonZeroU16::MIN)
    }

    fn is_tighter(self, other: Self) -> bool {
        let left = self.quota.as_nanos().saturating_mul(other.period.as_nanos());
        left < other.quota.as_nanos().saturating_mul(self.period.as_nanos())
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
    /// Memory in use by our own cgroup and those below it, in bytes.
    pub(crate) memory_current: Option<u64>,
    /// How many of its processes the kernel has killed for want of memory.
    pub(crate) oom_kills: Option<u64>,
    /// Whether one process out of memory takes all of its cgroup, or of one above, along.
    pub(crate) is_oom_group: bool,
}

/// Reads the facts below a directory handle of `/`.
pub(crate) fn facts(root: &Dir) -> Facts {
    let mut facts = Facts::default();
    for place in places(root) {
        for level in levels(root, &place) {
            facts.take_limits(&level, place.version);
            facts.take_state(&level, place.version);
        }
    }
    facts
}

/// How many CPUs we may run on.
pub(crate) fn affinity() -> NonZeroU16 {
    let count = match rustix::thread::sched_getaffinity(None) {
        Ok(set) => u16::try_from(set.count()).unwrap_or(u16::MAX),
        // A machine with more CPUs than the set has room for.
        Err(_) => u16::MAX,
    };
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

/// Our own cgroup first, then its ancestors up to the mount: those of them that exist.
fn levels(root: &Dir, place: &Place) -> Vec<Dir> {
    let below = place.below.ancestors().map(|path| place.mount.join(path));
    below.filter_map(|path| root.open_dir(path).ok()).collect()
}

impl Facts {
    fn take_limits(&mut self, level: &Dir, version: Version) {
        let (quota, memory) = match version {
            Version::One => (quota_v1(level), number(level, "memory.limit_in_bytes")),
            Version::Two => (quota_v2(level), number(level, "memory.max")),
        };
        self.cpu_quota = match (self.cpu_quota, quota) {
            (Some(known), Some(new)) if new.is_tighter(known) => Some(new),
            (known, new) => known.or(new),
        };
        self.memory_limit = lower(self.memory_limit, memory.filter(|&limit| limit < UNLIMITED));
        self.pids_max = lower(self.pids_max, number(level, "pids.max"));
        self.is_oom_group |= number(level, "memory.oom.group") == Some(1);
    }

    /// The first level that has it is ours.
    fn take_state(&mut self, level: &Dir, version: Version) {
        let (current, events) = match version {
            Version::One => ("memory.usage_in_bytes", "memory.oom_control"),
            Version::Two => ("memory.current", "memory.events"),
        };
        self.memory_current = self.memory_current.or_else(|| number(level, current));
        self.oom_kills = self.oom_kills.or_else(|| {
            let text = text(level, events)?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        });
    }
}

fn lower(known: Option<u64>, new: Option<u64>) -> Option<u64> {
    known.into_iter().chain(new).min()
}

/// `max 100000`, or `150000 100000`.
fn quota_v2(level: &Dir) -> Option<CpuQuota> {
    let text = text(level, "cpu.max")?;
    let mut words = text.split_ascii_whitespace();
    CpuQuota::of(words.next()?.parse().ok()?, words.next()?.parse().ok()?)
}

/// -1, which is no number here, means none.
fn quota_v1(level: &Dir) -> Option<CpuQuota> {
    CpuQuota::of(number(level, "cpu.cfs_quota_us")?, number(level, "cpu.cfs_period_us")?)
}

/// The number in a file; nothing for `max`.
fn number(level: &Dir, file: &str) -> Option<u64> {
    text(level, file)?.trim().parse().ok()
}

fn text(dir: &Dir, path: &str) -> Option<String> {
    let mut text = String::new();
    dir.open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
