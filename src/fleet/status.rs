//! What an onlooker sees of the roster, and when it will change without anything happening.

use super::{
    policy::Policy,
    port::{Progress, SlotView, WorkerState, WorkerView},
    roster::{Roster, proven_at},
    slot::{Seat, Slot, SlotId},
    worker::Generation,
};
use crate::time::Timestamp;

impl Roster {
    /// The next moment at which time alone changes something.
    pub(super) fn deadline(&self, now: Timestamp, policy: &Policy) -> Option<Timestamp> {
        let wanted = self.rollout.wanted();
        let ready_by = self.slots.iter().filter_map(Slot::starting).filter_map(|s| s.ready_by);
        let waiting = self.slots.iter().filter(|s| s.is_vacant() || s.stale(wanted).is_some());
        let retry_at = waiting.filter_map(|slot| slot.penalty.retry_at());
        let ready = || self.slots.iter().filter_map(Slot::ready);
        let due_at = ready().filter_map(super::worker::Ready::due_at);
        let unproven = ready().filter(|r| r.is_on_probation() && !self.rollout.is_settled());
        let proven_at = unproven.map(|ready| proven_at(ready, &self.rollout, policy));
        let canary = policy.canary.filter(|_| self.rollout.awaits_canary());
        let is_wanted = ready().filter(|ready| ready.worker.generation == wanted);
        let heard_at = is_wanted.filter_map(|ready| Some(ready.since.after(canary?)));
        ready_by
            .chain(retry_at.chain(self.rollout.retry_at()))
            .chain(due_at)
            .chain(proven_at)
            .chain(heard_at)
            .filter(|&at| at > now)
            .min()
    }

    pub(super) fn views(&self) -> impl Iterator<Item = WorkerView> {
        self.slots.iter().flat_map(|slot| {
            let (first, second) = match slot.seat() {
                Seat::Vacant => (None, None),
                Seat::Starting(starting) => (Some(starting.view()), None),
                Seat::Ready(ready) => (Some(ready.view(WorkerState::Ready)), None),
                Seat::Handover { incumbent, successor } => {
                    (Some(incumbent.view(WorkerState::Retiring)), Some(successor.view()))
                }
            };
            first.into_iter().chain(second)
        })
    }

    pub(super) fn slot_views(&self, now: Timestamp) -> impl Iterator<Item = SlotView> {
        (0_u16..).zip(&self.slots).map(move |(index, slot)| SlotView {
            slot: SlotId(index),
            is_vacant: slot.is_vacant(),
            failures: slot.penalty.failures(),
            retry_at: slot.penalty.retry_at().filter(|&at| at > now),
        })
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        if self.rollout.is_settled() {
            return None;
        }
        let to = self.rollout.wanted();
        let ready = self.slots.iter().take(self.target()).filter_map(Slot::ready);
        let done = ready.filter(|ready| ready.worker.generation == to).count();
        Some(Progress {
            from: self.rollout.from(),
            to,
            done: u16::try_from(done).unwrap_or(u16::MAX),
            of: self.target.get(),
            is_revert: self.rollout.is_reverting(),
        })
    }

    /// Whether a worker of this generation may still be started.
    pub(super) fn may_start(&self, generation: Generation) -> bool {
        self.rollout.wanted() == generation
            || self.rollout.from() == Some(generation)
            || self.slots.iter().any(|slot| slot.kept == Some(generation))
    }
}
