//! Which of the dead the kernel has killed for want of memory.
//!
//! The cgroup counts its victims but does not name them, and a SIGKILL has no sender. So a death by
//! SIGKILL that nobody can explain is one of those that were counted since the last such death.

use std::time::Duration;

/// How long after a look at the cgroup the deaths that it told of may still reach us: the kernel
/// counts first, and then kills.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Processes that the kernel has killed for want of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Victims {
    /// How many there had been when we last looked, if the cgroup tells.
    counted: Option<u64>,
    /// Those of them whose death is not explained by it yet.
    unseen: u64,
    /// Until when they may turn up.
    until: Duration,
}

impl Victims {
    /// So many have been counted before our time.
    pub(crate) fn since(counted: Option<u64>) -> Self {
        Self { counted, ..Self::default() }
    }

    /// Whether a death by SIGKILL that nobody can explain is one of them; several may die at once.
    pub(crate) fn claim(&mut self, counted: Option<u64>, now: Duration) -> bool {
        if self.until <= now {
            self.unseen = 0;
        }
        if let (Some(before), Some(after)) = (self.counted, counted)
            && after > before
        {
            self.unseen = self.unseen.saturating_add(after.saturating_sub(before));
            self.until = now.saturating_add(AFTERMATH);
        }
        self.counted = counted;
        let is_one = self.unseen > 0;
        self.unseen = self.unseen.saturating_sub(1);
        is_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_victim_of_one_want_of_memory_is_known_as_one() {
        let at = Duration::from_secs;
        let mut victims = Victims::since(Some(3));
        assert!(!victims.claim(Some(3), at(1)), "somebody else's SIGKILL");
        assert!(victims.claim(Some(5), at(2)) && victims.claim(Some(5), at(2)));
        assert!(!victims.claim(Some(5), at(2)), "there were two");
        assert!(victims.claim(Some(7), at(3)));
        assert!(!victims.claim(Some(7), at(5)), "the other one was no worker");
    }

    #[test]
    fn a_cgroup_that_begins_to_tell_blames_nobody() {
        let mut victims = Victims::default();
        assert!(!victims.claim(None, Duration::ZERO));
        assert!(!victims.claim(Some(4), Duration::ZERO));
        assert!(victims.claim(Some(5), Duration::ZERO));
    }
}
