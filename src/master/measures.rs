//! What workers use, looked at once a second at most: a look reads all of /proc and asks for every
//! connection, and whoever asks for metrics all the time shall not make us work all the time.

use std::{collections::BTreeMap, time::Duration};

use dutch_master::WorkerView;

use super::{Master, children::Child};
use crate::sys::{
    Pid,
    diag::Census,
    proc::{self, Usage},
};

/// How old a look may be.
const FRESH: Duration = Duration::from_secs(1);

/// The last look.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    /// When it was; never yet, at first.
    at: Option<Duration>,
    usages: BTreeMap<Pid, Usage>,
    census: Option<Census>,
}

impl Measures {
    /// Whether it is young enough and nobody has been started since.
    fn is_fresh(&self, now: Duration, groups: &[Pid]) -> bool {
        self.at.is_some_and(|at| now.saturating_sub(at) < FRESH)
            && groups.iter().all(|group| self.usages.contains_key(group))
    }

    /// What a worker's processes use; nothing for one without a process.
    pub(crate) fn usage(&self, group: Option<Pid>) -> Usage {
        group.and_then(|group| self.usages.get(&group)).copied().unwrap_or_default()
    }

    /// Whose connections there are, where the kernel tells.
    pub(crate) const fn census(&self) -> Option<&Census> {
        self.census.as_ref()
    }
}

impl Master {
    /// The process group of a worker, once it has been started.
    pub(super) fn group(&self, view: &WorkerView) -> Option<Pid> {
        self.children.get(view.worker).map(Child::pid)
    }

    /// Looks at these workers, unless we have just done so.
    pub(super) fn measure(&mut self, views: &[WorkerView]) {
        let groups: Vec<Pid> = views.iter().filter_map(|view| self.group(view)).collect();
        if self.operators.measures.is_fresh(self.now, &groups) {
            return;
        }
        let usages = match self.capacity.proc() {
            Some(proc) => proc::groups(proc, &groups),
            None => vec![Usage::default(); groups.len()],
        };
        let census = match &self.cluster {
            Some(cluster) => cluster.census(),
            None => self.listeners.has_lanes().then(|| self.listeners.census().ok()).flatten(),
        };
        let usages = groups.into_iter().zip(usages).collect();
        self.operators.measures = Measures { at: Some(self.now), usages, census };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_used_again_for_a_second_while_nobody_is_new() {
        let pid = |number| Pid::new(number).unwrap();
        let usages = BTreeMap::from([(pid(7), Usage::default()), (pid(8), Usage::default())]);
        let look = Measures { at: Some(Duration::from_secs(5)), usages, census: None };
        let at = Duration::from_millis;
        assert!(look.is_fresh(at(5_999), &[pid(7), pid(8)]) && look.is_fresh(at(5_000), &[pid(8)]));
        assert!(!look.is_fresh(at(6_000), &[pid(7)]) && !look.is_fresh(at(5_001), &[pid(9)]));
        assert!(!Measures::default().is_fresh(Duration::ZERO, &[]));
    }
}
