//! What to do about how things are: the whole of the fleet's judgement, a step a function.
//!
//! Nothing here looks at what happened, only at what is; so it may run after every event, and a
//! second run right after the first finds nothing left to do.
//!
//! The memory bound is kept by whoever starts a process. A handover needs a place among the
//! starting and, beforehand, one among the leaving for the worker it will relieve. Everybody else
//! is started only while the whole fleet has fewer processes than it ever may. A worker that
//! crashed has made room for the next one; one that left by itself makes room when it is gone at
//! the latest; those who leave because the fleet shrinks count as the workers that they were.

use alloc::vec::Vec;

use super::{
    policy::OnFailedRoll,
    port::{Action, LeaveCause, Milestone, StartCause},
    roster::{Roster, fail},
    slot::{Slot, SlotId},
    turn::Turn,
    worker::{Generation, Ready},
};

/// Whether the fleet can go on.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Prospect {
    Viable,
    Hopeless,
}

impl Roster {
    pub(super) fn reconcile(&mut self, turn: &mut Turn<'_>) -> Prospect {
        self.grow();
        // Whoever became ready this turn, if no probation is asked for.
        self.ripen(turn.now, turn.policy);
        self.expire(turn);
        self.mark_due(turn);
        if self.is_hopeless(turn) {
            return Prospect::Hopeless;
        }
        self.judge(turn);
        self.withdraw(turn);
        self.shrink(turn);
        self.hear_canary(turn);
        // Before anybody is started: a roll that is over holds nobody back any more.
        self.settle(turn);
        self.fill(turn);
        self.hand_over(turn);
        self.lower_peak(turn);
        Prospect::Viable
    }

    fn grow(&mut self) {
        let cause = if self.slots.is_empty() { StartCause::Boot } else { StartCause::Scale };
        let size = self.slots.len().max(self.target());
        self.slots.resize_with(size, || Slot::new(cause));
    }

    /// Gives up on workers that took too long to start.
    fn expire(&mut self, turn: &mut Turn<'_>) {
        for slot in &mut self.slots {
            if slot.starting().is_some_and(|starting| starting.is_late(turn.now))
                && let Some(late) = slot.take_starting()
            {
                if late.worker.due.is_none() {
                    fail(slot, late.worker.generation, &mut self.rollout, turn);
                }
                turn.terminate(late.worker, LeaveCause::Late);
            }
        }
    }

    /// Notes who is too old or has been silent for too long.
    fn mark_due(&mut self, turn: &Turn<'_>) {
        for slot in &mut self.slots {
            let Some(ready) = slot.ready_mut() else { continue };
            let Some(_) = ready.due_at().filter(|&at| at <= turn.now) else { continue };
            let is_silent = ready.silent_at().is_some_and(|at| at <= turn.now);
            let cause = if is_silent { StartCause::Watchdog } else { StartCause::Lifetime };
            ready.worker.due = Some(cause);
            let (is_proven, generation) = (ready.is_proven, ready.worker.generation);
            if !is_proven {
                fail(slot, generation, &mut self.rollout, turn);
            }
        }
    }

    /// Whether nobody has ever lasted, nobody serves, and every slot has failed too often.
    fn is_hopeless(&self, turn: &Turn<'_>) -> bool {
        let limit = turn.policy.start_attempts.get();
        self.rollout.is_unproven_boot()
            && self.ready_count() == 0
            && self.slots.iter().take(self.target()).all(|slot| slot.strikes >= limit)
    }

    /// Gives a roll up that has failed too often.
    fn judge(&mut self, turn: &mut Turn<'_>) {
        let Some(good) = self.rollout.is_failed(turn.policy) else { return };
        let from = self.rollout.wanted();
        let to = match turn.policy.on_failed_roll {
            OnFailedRoll::Rollback => {
                self.rollout.revert(good);
                Some(good)
            }
            OnFailedRoll::Keep => {
                self.rollout.settle(good);
                self.slots.iter_mut().for_each(|slot| slot.keep(good));
                None
            }
        };
        turn.act(Action::Announce(Milestone::RollFailed { from, to }));
    }

    /// Keeps a generation we gave up on from taking over after all.
    fn withdraw(&mut self, turn: &mut Turn<'_>) {
        let wanted = self.rollout.wanted();
        for slot in &mut self.slots {
            let goal = slot.goal(wanted);
            if slot.starting().is_some_and(|starting| starting.worker.generation > goal)
                && let Some(starting) = slot.take_starting()
            {
                slot.vacancy = StartCause::Revert;
                turn.terminate(starting.worker, LeaveCause::Withdrawn);
            }
        }
    }

    /// Lets surplus workers go, but none that serves while a slot we keep has nobody who does.
    fn shrink(&mut self, turn: &mut Turn<'_>) {
        let target = self.target();
        let mut spare = self.ready_count().saturating_sub(target);
        for slot in self.slots.iter_mut().skip(target).rev() {
            if let Some(starting) = slot.take_starting() {
                turn.terminate(starting.worker, LeaveCause::Surplus);
            }
            if spare > 0
                && let Some(ready) = slot.take_ready()
            {
                spare = spare.saturating_sub(1);
                turn.drain(ready.worker, LeaveCause::Surplus);
            }
        }
        while self.slots.len() > target && self.slots.last().is_some_and(Slot::is_vacant) {
            self.slots.pop();
        }
    }

    /// Trusts a release whose first worker has been ready for long enough.
    fn hear_canary(&mut self, turn: &mut Turn<'_>) {
        let Some(trial) = turn.policy.canary.filter(|_| self.rollout.awaits_canary()) else {
            return;
        };
        let wanted = self.rollout.wanted();
        let sings = |ready: &Ready| {
            ready.worker.generation == wanted
                && (ready.is_proven || ready.worker.due.is_none())
                && ready.since.after(trial) <= turn.now
        };
        if self.slots.iter().filter_map(Slot::ready).any(sings) {
            self.rollout.trust();
            turn.act(Action::Announce(Milestone::CanaryReady(wanted)));
        }
    }

    /// Puts somebody into every slot that has nobody.
    fn fill(&mut self, turn: &mut Turn<'_>) {
        let most = turn.policy.processes_of(self.peak.get().into());
        let mut room = most.saturating_sub(self.process_count(turn));
        let mut on_probation = self.on_probation();
        for index in (0_u16..).take(self.target()) {
            let Some(slot) = self.slots.get_mut(usize::from(index)) else { return };
            if room == 0 || !slot.is_vacant() || slot.penalty.must_wait(turn.now) {
                continue;
            }
            let wanted = self.rollout.successor(turn.now, turn.policy, on_probation);
            let of = slot.kept.or(wanted).or(self.rollout.from());
            let Some(of) = of else { continue };
            let cause = slot.vacancy;
            self.start(SlotId(index), of, cause, turn);
            room = room.saturating_sub(1);
            on_probation = on_probation.saturating_add(u32::from(of == self.rollout.wanted()));
        }
    }

    /// Begins to replace stale workers: those that hang, then the oldest, as far as there is room.
    fn hand_over(&mut self, turn: &mut Turn<'_>) {
        let mut room = self.room_for_handovers(turn);
        if room == 0 {
            return;
        }
        let mut on_probation = self.on_probation();
        for (_, generation, index, due) in self.stale(turn) {
            let wanted = self.rollout.successor(turn.now, turn.policy, on_probation);
            let kept = self.slots.get(usize::from(index)).and_then(|slot| slot.kept);
            // The good one stands in for a worker that cannot wait until the new one may be tried.
            let is_old = due.is_some() && generation != self.rollout.wanted();
            let good = self.rollout.from().filter(|_| is_old);
            let Some(of) = kept.or(wanted).or(good) else { continue };
            let roll =
                if self.rollout.is_reverting() { StartCause::Revert } else { StartCause::Roll };
            self.start(SlotId(index), of, due.unwrap_or(roll), turn);
            on_probation = on_probation.saturating_add(u32::from(of == self.rollout.wanted()));
            room = room.saturating_sub(1);
            if room == 0 {
                return;
            }
        }
    }

    /// Who is to be replaced, in that order: whether it hangs, its generation, its slot, and why.
    fn stale(&self, turn: &Turn<'_>) -> Vec<(bool, Generation, u16, Option<StartCause>)> {
        let wanted = self.rollout.wanted();
        let mut stale: Vec<_> = (0_u16..)
            .zip(&self.slots)
            .take(self.target())
            .filter(|(_, slot)| !slot.penalty.must_wait(turn.now))
            .filter_map(|(index, slot)| Some((index, &slot.stale(wanted)?.worker)))
            .map(|(index, worker)| {
                let is_well = worker.due != Some(StartCause::Watchdog);
                (is_well, worker.generation, index, worker.due)
            })
            .collect();
        stale.sort_unstable();
        stale
    }

    fn room_for_handovers(&self, turn: &Turn<'_>) -> usize {
        let (size, policy) = (self.target(), turn.policy);
        let starting = self.slots.iter().filter(|slot| slot.is_handover()).count();
        let leaving = turn.departures.count().saturating_add(starting);
        let all = policy.processes_of(self.peak.get().into());
        policy
            .surge_of(size)
            .saturating_sub(starting)
            .min(policy.leaving_of(size).saturating_sub(leaving))
            .min(all.saturating_sub(self.process_count(turn)))
    }

    fn start(&mut self, id: SlotId, of: Generation, cause: StartCause, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.get_mut(usize::from(id.0)) else { return };
        self.rollout.note_start(of);
        let newcomer = turn.start(id, of, cause);
        if let Some(displaced) = slot.admit(newcomer) {
            turn.terminate(displaced.worker, LeaveCause::Withdrawn);
        }
    }

    /// How many workers of the wanted generation may still fail their first trial.
    fn on_probation(&self) -> u32 {
        let wanted = self.rollout.wanted();
        let starting = self.slots.iter().filter_map(Slot::starting).map(|s| &s.worker);
        let starting = starting.filter(|worker| worker.due.is_none());
        let ready = self.slots.iter().filter_map(Slot::ready).filter(|r| r.is_on_probation());
        let young = starting.chain(ready.map(|ready| &ready.worker));
        let count = young.filter(|worker| worker.generation == wanted).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn process_count(&self, turn: &Turn<'_>) -> usize {
        let starting = self.slots.iter().filter_map(Slot::starting).count();
        self.ready_count().saturating_add(starting).saturating_add(turn.departures.count())
    }

    fn settle(&mut self, turn: &mut Turn<'_>) {
        if self.rollout.is_settled() {
            return;
        }
        let wanted = self.rollout.wanted();
        let is_on_it = |slot: &Slot| slot.ready().is_some_and(|r| r.worker.generation == wanted);
        let is_proven = |slot: &Slot| slot.ready().is_some_and(|ready| ready.is_proven);
        let slots = || self.slots.iter().take(self.target());
        if !slots().all(is_on_it) {
            return;
        }
        let is_proven = slots().all(is_proven);
        if self.rollout.take_all_ready() {
            turn.act(Action::Announce(Milestone::AllReady(wanted)));
        }
        if is_proven {
            self.rollout.settle(wanted);
            turn.act(Action::Announce(Milestone::Settled(wanted)));
        }
    }

    /// Forgets how large the fleet was, once it has shrunk and every slot could be filled anyway.
    fn lower_peak(&mut self, turn: &Turn<'_>) {
        let vacant = self.slots.iter().take(self.target()).filter(|slot| slot.is_vacant()).count();
        let claimed = self.process_count(turn).saturating_add(vacant);
        if claimed <= turn.policy.processes_of(self.target()) {
            self.peak = self.target;
        }
    }
}
