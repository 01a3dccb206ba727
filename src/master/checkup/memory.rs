//! `doctor`'s part about memory: whether a roll fits, and who goes when it does not.

use dutch_master::wire::control::Finding;

use super::{Master, doubtful, good};
use crate::{config::SurgeChoice, master::capacity, sys::cgroup};

/// What a roll takes at most.
#[derive(Clone, Copy, Debug)]
struct Roll {
    /// Workers, their replacements, and those that drain.
    processes: u64,
    /// What one of them takes; zero where nothing is known.
    each: u64,
}

fn group_kill(facts: &cgroup::Facts) -> Option<Finding> {
    facts.is_oom_group.then(|| {
        doubtful(
            "memory.oom.group is set: one worker out of memory ends the whole container".to_owned(),
            "Kubernetes: singleProcessOOMKill, or MAX_MEMORY to be ahead of it",
        )
    })
}

fn victims(facts: &cgroup::Facts) -> Option<Finding> {
    let kills = facts.oom_kills.filter(|kills| *kills > 0)?;
    Some(doubtful(
        format!("the kernel has killed {kills} processes here for want of memory"),
        "a higher memory limit, fewer workers, or MAX_MEMORY",
    ))
}

fn room(limit: Option<u64>, Roll { processes, each }: Roll) -> Finding {
    let Some(limit) = limit else { return good("no memory limit".to_owned()) };
    let (needs, mebibytes) = (each.saturating_mul(processes), limit >> 20);
    if needs > limit {
        let needs = needs >> 20;
        return doubtful(
            format!(
                "a roll may need {needs} MiB for up to {processes} workers, the limit is {mebibytes} MiB"
            ),
            "a higher memory limit, or a lower SURGE and MAX_DRAINING",
        );
    }
    if each == 0 {
        return good(format!("the memory limit is {mebibytes} MiB; no worker has taken any yet"));
    }
    good(format!("a roll of up to {processes} workers fits the memory limit of {mebibytes} MiB"))
}

/// How many processes there are at the same time, at most.
fn processes(target: u64, surge: u64, draining: u64) -> u64 {
    let most = target.saturating_add(surge).saturating_add(draining);
    most.min(target.saturating_mul(3))
}

impl Master {
    pub(super) fn memory_findings(&mut self) -> Vec<Finding> {
        let facts = cgroup::facts(self.capacity.root());
        let target = u64::from(self.fleet.target());
        let surge = match self.config.surge {
            SurgeChoice::Count(count) => u64::from(count.get()),
            SurgeChoice::All => target,
            SurgeChoice::Cpus => u64::from(capacity::cpus(&facts).0.get()).min(target),
            SurgeChoice::Percent(percent) => {
                target.saturating_mul(u64::from(percent.get())).div_ceil(100)
            }
        };
        let draining = self.config.max_draining.map_or(target, |most| u64::from(most.get()));
        let largest = self.workers().iter().map(|worker| worker.memory).max();
        let each = largest.max(self.config.worker_memory).unwrap_or_default();
        let roll = Roll { processes: processes(target, surge, draining), each };
        let found = [group_kill(&facts), victims(&facts), Some(room(facts.memory_limit, roll))];
        found.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use dutch_master::wire::control::Gravity;

    use super::*;
    use cgroup::Facts;

    #[test]
    fn a_group_kill_is_found_and_its_absence_is_not() {
        let set = Facts { is_oom_group: true, ..Facts::default() };
        let found = group_kill(&set).unwrap();
        assert!(found.finding.starts_with("memory.oom.group is set"));
        assert!(found.remedy.contains("singleProcessOOMKill"));
        assert_eq!(group_kill(&Facts::default()), None);
    }

    #[test]
    fn victims_are_found_and_their_absence_is_not() {
        let of = |oom_kills| victims(&Facts { oom_kills, ..Facts::default() });
        let found = of(Some(2)).unwrap();
        assert!(found.finding.contains("killed 2 processes") && found.remedy.contains("limit"));
        assert_eq!((of(Some(0)), of(None)), (None, None));
    }

    #[test]
    fn a_limit_below_what_a_roll_needs_is_found() {
        let of = |limit| room(limit, Roll { processes: 9, each: 100 << 20 });
        let found = of(Some(899 << 20));
        assert_eq!(found.gravity, Gravity::Doubtful);
        assert!(found.finding.contains("need 900 MiB for up to 9 workers, the limit is 899 MiB"));
        assert!(found.remedy.contains("SURGE"));
        assert_eq!(of(Some(900 << 20)).gravity, Gravity::Good);
        assert_eq!(of(None), good("no memory limit".to_owned()));
        let unknown = room(Some(1 << 20), Roll { processes: 9, each: 0 });
        assert_eq!(unknown.gravity, Gravity::Good);
        assert!(!unknown.finding.contains("fits"), "{unknown:?}");
    }

    #[test]
    fn a_roll_has_workers_replacements_and_those_that_drain_and_each_slot_has_one_of_each() {
        assert_eq!(processes(4, 1, 4), 9);
        assert_eq!(processes(2, 8, 8), 6);
    }
}
