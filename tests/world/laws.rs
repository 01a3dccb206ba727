//! What must hold in the world: safety after every turn, liveness once the world behaves.

use std::collections::BTreeSet;

use dutch_master::{
    Generation, Milestone, Outcome, Reason, SlotId, StartCause, Surge, Timestamp, Urgency,
    WorkerId, WorkerState, WorkerView,
};

use super::{Millis, Nature, Process, Told, World, ms};

impl World {
    /// Notes who has lasted, as the fleet should.
    pub(super) fn prove(&mut self) {
        let roll = self.fleet.progress();
        let trial = |of| {
            let waits = roll.is_some_and(|r| r.to == of && !r.is_revert)
                && self.careful.contains(&of)
                && !self.sung.contains(&of);
            let canary = self.rules.canary.filter(|_| waits).map_or(0, ms);
            canary.max(ms(self.rules.min_uptime))
        };
        let now = self.now;
        let lasts = |p: &Process| {
            let lasted = p.ready.is_some_and(|at| at + trial(p.generation) <= now);
            lasted && p.serves() && !p.asked && !p.proven && self.stopped_at.is_none()
        };
        let ids: Vec<_> =
            self.processes.iter().filter(|(_, p)| lasts(p)).map(|(&id, _)| id).collect();
        let views: Vec<_> = self.fleet.workers().collect();
        for id in ids {
            let due = views.iter().any(|v| v.worker == id && v.reason.is_some());
            let process = self.processes.get_mut(&id).unwrap();
            if !due {
                process.proven = true;
                let of = process.generation;
                self.proven.insert(of);
                self.failed.remove(&(None, of));
            }
        }
    }

    pub(super) fn note_failure(&mut self, slot: SlotId, of: Generation) {
        let roll = self.fleet.progress().filter(|roll| !roll.is_revert);
        if roll.is_some_and(|roll| roll.to == of && roll.from.is_some()) {
            self.failed.insert((None, of), self.now);
        } else if self.fleet.wanted() == Some(of) || roll.is_some_and(|r| r.from == Some(of)) {
            self.failed.insert((Some(slot), of), self.now);
        }
    }

    fn limit(&self, size: u16) -> usize {
        usize::from(size) + self.surge(size) + self.room(size)
    }

    fn surge(&self, size: u16) -> usize {
        match self.rules.surge {
            Surge::Count(count) => count.get().into(),
            Surge::Percent(percent) => {
                (usize::from(size) * usize::from(percent.get())).div_ceil(100)
            }
            Surge::All => size.into(),
        }
    }

    fn room(&self, size: u16) -> usize {
        self.rules.max_draining.map_or(size.into(), |most| most.get().into())
    }

    /// A start that the fleet may make.
    pub(super) fn check_start(&mut self, slot: SlotId, of: Generation) {
        assert!(self.stopped_at.is_none(), "starts a worker while stopping");
        let roll = self.fleet.progress();
        let from = roll.and_then(|roll| roll.from);
        let is_kept = self.kept.get(&slot) == Some(&of);
        let wanted = self.fleet.wanted();
        assert!(Some(of) == wanted || Some(of) == from || is_kept, "starts what is not wanted");
        assert!(!self.failures.contains(&of) || is_kept, "starts one that was given up");
        assert!(self.fleet.needs(of), "starts what it does not need");
        let here = || self.processes.values().filter(|process| process.slot == slot);
        assert_eq!(here().filter(|p| p.starts()).count(), 1, "two starting in one slot");
        let all = self.limit(self.peak);
        assert!(self.count() <= all, "{} processes, {all} allowed", self.count());
        let is_careful = self.careful.contains(&of) && Some(of) == wanted;
        if is_careful && !self.proven.contains(&of) {
            let most = usize::try_from(self.rules.start_attempts.get()).unwrap();
            assert!(self.charged[&of] <= most, "more of a release than may fail");
        }
        if is_careful && self.rules.canary.is_some() {
            let due = |id| self.fleet.workers().any(|v| v.worker == id && v.reason.is_some());
            let young =
                |(id, p): &(&WorkerId, &Process)| p.generation == of && !p.leaves() && !due(**id);
            let young = self.processes.iter().filter(young).count();
            assert!(young <= 1 || self.sung.contains(&of), "goes on without the canary");
        }
        if here().any(Process::serves) {
            self.check_handover();
        }
        for key in [(Some(slot), of), (None, of)] {
            if let Some(failed) = self.failed.remove(&key) {
                let rest = self.now - failed;
                assert!(rest >= ms(self.rules.backoff_base), "again after only {rest} ms");
            }
        }
    }

    fn check_handover(&self) {
        let successor = |p: &&Process| {
            p.starts()
                && self.processes.values().any(|other| other.slot == p.slot && other.serves())
        };
        let starting = self.processes.values().filter(successor).count();
        let most = self.surge(self.target);
        assert!(starting <= most, "{starting} successors, {most} allowed");
        let leaving = self.processes.values().filter(|p| p.leaves()).count() + starting;
        let most = self.room(self.target);
        assert!(leaving <= most, "{leaving} leaving or about to, {most} allowed");
    }

    /// Safety: after every turn.
    pub(super) fn check(&mut self, serving_before: usize) {
        let known: BTreeSet<_> = self.fleet.workers().map(|view| view.worker).collect();
        let alive: BTreeSet<_> = self.processes.keys().copied().collect();
        if self.exit.is_none() {
            assert_eq!(known, alive, "every process is known once, and every known one is real");
        }
        assert_eq!(known.len(), self.fleet.workers().count(), "a worker in two places");
        for view in self.fleet.workers() {
            self.check_view(&view);
        }
        self.note_due();
        if self.stopped_at.is_none() && self.exit.is_none() && !self.fleet.is_stopping() {
            let least = serving_before.min(self.target.into());
            let serving = self.serving();
            assert!(serving >= least, "we took {serving_before} serving workers to {serving}");
            assert_eq!(serving, self.fleet.ready_count());
            self.check_room();
        }
        for (id, process) in &self.processes {
            assert!(self.is_in_time(process) || self.exit.is_some(), "{id:?} overstays");
        }
        let now = Timestamp::from_origin(std::time::Duration::from_millis(self.now));
        assert!(self.fleet.deadline().is_none_or(|at| at > now), "a deadline that has passed");
        self.check_exit();
    }

    /// Who is too old or too silent is to be replaced like one that asked for it.
    fn note_due(&mut self) {
        for view in self.fleet.workers().collect::<Vec<_>>() {
            let process = self.processes.get_mut(&view.worker).unwrap();
            let is_due = matches!(view.reason, Some(Reason::Replace(_)));
            if is_due && !std::mem::replace(&mut process.asked, true) && !process.proven {
                self.note_failure(view.slot, view.generation);
            }
        }
    }

    fn check_view(&self, view: &WorkerView) {
        let process = &self.processes[&view.worker];
        let serves = matches!(view.state, WorkerState::Ready | WorkerState::Retiring);
        assert_eq!(serves, process.serves(), "{view:?}");
        let hopeful = view.state == WorkerState::Starting;
        assert!(!hopeful || !self.given_up.contains(&view.generation), "{view:?} given up on");
        let leaves = matches!(view.reason, Some(Reason::Leave(_)));
        assert_eq!(leaves, process.leaves(), "{view:?}");
        if !serves || self.fleet.is_stopping() {
            return;
        }
        let silent = process.watchdog.is_some_and(|most| process.heard + most <= self.now);
        assert!(!silent || view.reason.is_some(), "{view:?} is silent");
        let Some(life) = self.rules.max_lifetime.map(ms) else { return };
        let age = self.now - process.ready.unwrap();
        assert!(age < life + life / 10 + 1 || view.reason.is_some(), "{view:?} is too old");
        let expired = view.reason == Some(Reason::Replace(StartCause::Lifetime));
        assert!(!expired || age >= life - life / 10 - 1, "{view:?} is not that old");
    }

    /// The memory bound, and that nothing is left vacant which it allows.
    fn check_room(&mut self) {
        let most = self.limit(self.peak);
        let count = self.count();
        assert!(count <= most, "{count} processes, {most} allowed");
        let mut vacant = 0;
        for view in self.fleet.slots().filter(|view| view.slot.get() < self.target) {
            vacant += usize::from(view.is_vacant);
            let idle = view.is_vacant && view.retry_at.is_none();
            assert!(!idle || count >= most, "nobody is started in {view:?}");
        }
        if count + vacant <= self.limit(self.target) {
            self.peak = self.target;
        }
    }

    fn is_in_time(&self, process: &Process) -> bool {
        let drain = ms(self.rules.drain_timeout).max(ms(self.rules.stop_timeout));
        let drained_by = match (process.told, process.left) {
            (Told::Drain(at), _) | (Told::Nothing, Some(at)) if self.stopped_at.is_some() => {
                Some(at + drain)
            }
            (Told::Drain(at), _) | (Told::Nothing, Some(at)) => {
                Some(at + ms(self.rules.drain_timeout))
            }
            _ => None,
        };
        let ready_by = process.ready_by.filter(|_| process.starts());
        let gone_by = process.gone_by.filter(|_| process.told != Told::Kill);
        let times = [drained_by, ready_by, gone_by];
        times.into_iter().flatten().all(|at| self.now < at)
    }

    fn check_exit(&self) {
        let nobody = self.processes.is_empty();
        match self.exit {
            None => {}
            Some(Outcome::Stopped) => {
                assert!(self.stopped_at.is_some() && nobody && !self.is_forced);
            }
            Some(Outcome::Forced) => {
                assert!(self.stopped_at.is_some() && nobody && self.is_forced);
            }
            Some(Outcome::GaveUp) => assert!(nobody && self.proven.is_empty()),
            Some(Outcome::TimedOut) => {
                assert!(self.processes.values().all(|process| process.told == Told::Kill));
            }
        }
    }

    /// Liveness: once the world behaves, the fleet comes to rest where it was told to.
    pub fn settle(&mut self) {
        self.natures = vec![Nature::GOOD];
        let times = [
            self.rules.start_timeout.unwrap_or_default(),
            self.rules.kill_timeout,
            self.rules.backoff_cap,
            self.rules.min_uptime,
            self.rules.canary.unwrap_or_default(),
            self.rules.watchdog.unwrap_or_default(),
        ];
        let round: Millis = times.into_iter().map(ms).sum();
        let bound = self.now + 20_000 + 40 * round + self.agenda_end();
        let busy = self.rules.max_lifetime.is_some()
            || self.rules.watchdog.is_some()
            || self.processes.values().any(|process| process.watchdog.is_some());
        while self.exit.is_none() && !(busy && self.is_at_rest()) && self.step() {
            assert!(self.now <= bound, "never comes to rest");
        }
        if self.exit.is_some() {
            return assert!(self.processes.is_empty());
        }
        assert!(self.is_at_rest(), "comes to rest in the wrong place");
        assert!(
            self.excused || self.processes.values().all(|p| p.born > self.last_restart),
            "a restart was lost"
        );
    }

    fn is_at_rest(&self) -> bool {
        let fits = |view: &WorkerView| {
            Some(view.generation) == self.fleet.wanted()
                || self.kept.get(&view.slot) == Some(&view.generation)
        };
        let slots = self.fleet.slots().filter(|slot| !slot.is_vacant).count();
        self.fleet.is_settled()
            && slots == usize::from(self.target)
            && self.fleet.slots().count() == slots
            && self.states() == vec![WorkerState::Ready; self.target.into()]
            && self.fleet.workers().all(|view| fits(&view) && view.reason.is_none())
            && self.processes.values().all(|process| !process.asked)
    }

    fn agenda_end(&self) -> Millis {
        self.agenda.keys().last().map_or(0, |&(at, _)| at)
    }

    /// Liveness: told to stop, it exits in time, with nobody left behind.
    pub fn stop_and_wait(&mut self, urgency: Urgency) {
        let was_over = self.exit.is_some();
        self.stop(urgency);
        let patience = match urgency {
            Urgency::Graceful => ms(self.rules.shutdown_delay) + ms(self.rules.stop_timeout) + 2,
            Urgency::Immediate => 2,
        };
        let until = self.now + patience;
        while self.exit.is_none() && self.step() {}
        let outcome = self.exit.unwrap();
        let expected = [Outcome::Stopped, Outcome::Forced, Outcome::GaveUp];
        assert!(expected.contains(&outcome), "{outcome:?}");
        assert!(was_over || (self.now <= until && self.processes.is_empty()));
    }

    pub fn has_failed_a_roll(&self) -> bool {
        self.milestones.iter().any(|m| matches!(m, Milestone::RollFailed { .. }))
    }
}
