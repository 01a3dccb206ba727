//! How many workers this container can hold: CPUs, memory, processes. And which worker takes too
//! much of it.

use std::{num::NonZeroU16, time::Duration};

use cap_std::{ambient_authority, fs::Dir};
use dutch_master::WorkerId;

use super::{Master, children::Stage};
use crate::{
    config::{Config, Workers},
    sys::{Pid, cgroup, proc},
};

/// How often the cgroup is read again: an in-place resize may take that long to have its effect.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often `MAX_MEMORY` is compared with what workers use.
const WEIGH_EVERY: Duration = Duration::from_secs(10);
/// One large sample may be a passing peak.
const SAMPLES: u32 = 2;

/// A number of workers, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) workers: NonZeroU16,
    pub(crate) why: String,
}

/// What is looked at now and then.
#[derive(Debug)]
pub(crate) struct Capacity {
    root: Dir,
    proc: Option<Dir>,
    /// What we said last, so that an operator's own number stands until the container changes.
    last: NonZeroU16,
    look_at: Option<Duration>,
    weigh_at: Option<Duration>,
}

impl Capacity {
    pub(crate) fn new(root: Dir, config: &Config, last: NonZeroU16, now: Duration) -> Self {
        let look_at = config.workers.follows_the_machine().then(|| now.saturating_add(LOOK_EVERY));
        let weigh_at = config.max_memory.map(|_| now.saturating_add(WEIGH_EVERY));
        let proc = Dir::open_ambient_dir("/proc", ambient_authority()).ok();
        Self { root, proc, last, look_at, weigh_at }
    }

    /// The directory `/`.
    pub(crate) const fn root(&self) -> &Dir {
        &self.root
    }

    /// The directory `/proc`, where there is one.
    pub(crate) const fn proc(&self) -> Option<&Dir> {
        self.proc.as_ref()
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.look_at.into_iter().chain(self.weigh_at).min()
    }
}

/// The CPUs that we may use, and what says so.
pub(crate) fn cpus(facts: &cgroup::Facts) -> (NonZeroU16, String) {
    let affinity = cgroup::affinity();
    match facts.cpu_quota.map(cgroup::CpuQuota::cpus) {
        Some(quota) if quota < affinity => (quota, format!("cgroup CPU quota allows {quota}")),
        _ => (affinity, format!("{affinity} CPUs")),
    }
}

/// How many workers the settings and the container's limits make.
pub(crate) fn count(config: &Config, facts: &cgroup::Facts) -> Count {
    let (cpus, cpus_why) = cpus(facts);
    let workers = config.workers.count(cpus);
    if let Workers::Fixed(_) = config.workers {
        return Count { workers, why: "as set".to_owned() };
    }
    let mut count = Count { workers, why: cpus_why };
    if let (Some(limit), Some(each)) = (facts.memory_limit, config.worker_memory) {
        let fit = limit.checked_div(each).unwrap_or(u64::MAX);
        count.lower(fit, || format!("memory limit of {limit} bytes holds {fit} of WORKER_MEMORY"));
    }
    if let Some(most) = facts.pids_max {
        // A roll needs room for as many again, and we for ourselves.
        let fit = most.saturating_sub(1).checked_div(2).unwrap_or(0);
        count.lower(fit, || {
            format!("pids limit of {most} leaves room for {fit} and their successors")
        });
    }
    count
}

impl Count {
    fn lower(&mut self, most: u64, why: impl FnOnce() -> String) {
        if u64::from(self.workers.get()) > most {
            let most = u16::try_from(most).ok().and_then(NonZeroU16::new);
            self.workers = most.unwrap_or(NonZeroU16::MIN);
            self.why = why();
        }
    }
}

impl Master {
    pub(super) fn look_at_capacity(&mut self) {
        if self.capacity.look_at.is_some_and(|at| at <= self.now) {
            self.capacity.look_at = Some(self.now.saturating_add(LOOK_EVERY));
            let facts = cgroup::facts(&self.capacity.root);
            let Count { workers, why } = count(&self.config, &facts);
            if workers != self.capacity.last {
                self.capacity.last = workers;
                self.scale_to(workers, &why);
            }
        }
        if self.capacity.weigh_at.is_some_and(|at| at <= self.now) {
            self.capacity.weigh_at = Some(self.now.saturating_add(WEIGH_EVERY));
            self.weigh();
        }
    }

    /// Replaces workers that have been too large twice in a row.
    fn weigh(&mut self) {
        let (Some(most), Some(proc)) = (self.config.max_memory, &self.capacity.proc) else {
            return;
        };
        let running: Vec<(WorkerId, Pid)> = self
            .children
            .iter()
            .filter(|(_, child)| matches!(child.stage, Stage::Running { .. }) && child.is_ready)
            .map(|(id, child)| (id, child.pid()))
            .collect();
        let groups: Vec<Pid> = running.iter().map(|&(_, group)| group).collect();
        for (&(id, _), usage) in running.iter().zip(proc::groups(proc, &groups)) {
            let Some(child) = self.children.get_mut(id) else { continue };
            child.oversize =
                if usage.resident > most { child.oversize.saturating_add(1) } else { 0 };
            if child.oversize == SAMPLES {
                self.recycle_for_memory(id);
            }
        }
    }
}
