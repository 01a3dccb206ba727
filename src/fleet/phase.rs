//! Whether the fleet runs, and how it comes to an end.
//!
//! ```text
//!  Running ──stop──▶ Parting ──shutdown delay, or nobody serves──▶ Stopping ──all gone──▶ Stopped
//!     └──stop without delay, stop at once, boot given up───────────────┘
//! ```
//!
//! Only a running fleet reconciles, and only reconciling starts anybody: nothing can be started by
//! one that stops.

use core::{mem, time::Duration};

use super::{
    policy::Policy,
    port::{Action, Command, Event, LeaveCause, Outcome, StartCause, Urgency, WorkerEvent},
    reconcile::Prospect,
    roster::Roster,
    turn::Turn,
};
use crate::time::Timestamp;

/// How long the kernel may take to bury the killed. A process that hangs in the kernel (a dead
/// network disk) outlives SIGKILL, and must not keep the container.
const REAP_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) enum Phase {
    Running(Roster),
    /// Told to stop; those who serve go on until their clients know.
    Parting {
        roster: Roster,
        until: Timestamp,
    },
    Stopping {
        gone_by: Timestamp,
        outcome: Outcome,
    },
    Stopped,
}

impl Phase {
    pub(super) const fn running(&self) -> Option<&Roster> {
        match self {
            Self::Running(roster) => Some(roster),
            Self::Parting { .. } | Self::Stopping { .. } | Self::Stopped => None,
        }
    }

    /// Who has a slot, if there still are slots.
    pub(super) const fn roster(&self) -> Option<&Roster> {
        match self {
            Self::Running(roster) | Self::Parting { roster, .. } => Some(roster),
            Self::Stopping { .. } | Self::Stopped => None,
        }
    }

    pub(super) fn deadline(&self, now: Timestamp, policy: &Policy) -> Option<Timestamp> {
        match self {
            Self::Running(roster) => roster.deadline(now, policy),
            Self::Parting { until, .. } => Some(*until),
            Self::Stopping { gone_by, .. } => Some(*gone_by),
            Self::Stopped => None,
        }
    }

    pub(super) fn ripen(&mut self, turn: &Turn<'_>) {
        if let Self::Running(roster) = self {
            roster.ripen(turn.now, turn.policy);
        }
    }

    pub(super) fn record(&mut self, turn: &mut Turn<'_>, event: Event) {
        match (&mut *self, event) {
            (Self::Stopped, _) => {}
            (_, Event::Worker(id, WorkerEvent::Exited)) if turn.departures.remove(id) => {}
            (_, Event::Worker(id, WorkerEvent::Drained)) => turn.note_drained(id),
            (Self::Running(roster), Event::Worker(id, event)) => roster.record(turn, id, event),
            (Self::Parting { roster, .. }, Event::Worker(id, WorkerEvent::Exited)) => {
                let _gone = roster.unseat(turn, id, StartCause::Crash);
            }
            (Self::Parting { roster, .. }, Event::Worker(id, WorkerEvent::Disconnected)) => {
                roster.on_disconnected(turn, id);
            }
            (Self::Running(roster), Event::Command(Command::Restart)) => roster.restart(turn),
            (Self::Running(roster), Event::Command(Command::Scale(target))) => roster.scale(target),
            (Self::Running(_), Event::Command(Command::Stop(Urgency::Graceful))) => self.part(turn),
            (_, Event::Command(Command::Stop(Urgency::Immediate))) => self.kill(turn),
            (Self::Parting { .. } | Self::Stopping { .. }, _) => {}
        }
    }

    pub(super) fn advance(&mut self, turn: &mut Turn<'_>) {
        if let Self::Running(roster) = self
            && roster.reconcile(turn) == Prospect::Hopeless
        {
            self.dismiss(turn, Outcome::GaveUp);
        }
        if let Self::Parting { roster, until } = self
            && (*until <= turn.now || roster.ready_count() == 0)
        {
            self.dismiss(turn, Outcome::Stopped);
        }
        if let Self::Stopping { gone_by, outcome } = *self {
            if turn.departures.is_empty() {
                let is_forced = outcome == Outcome::Stopped && turn.departures.is_forced();
                self.exit(turn, if is_forced { Outcome::Forced } else { outcome });
            } else if gone_by <= turn.now {
                self.exit(turn, Outcome::TimedOut);
            }
        }
    }

    /// Begins to stop: who does not serve yet goes now, who serves when the delay is over.
    fn part(&mut self, turn: &mut Turn<'_>) {
        if let Self::Running(mut roster) = mem::replace(self, Self::Stopped) {
            turn.departures.note_stop();
            for worker in roster.take_starting() {
                turn.terminate(worker, LeaveCause::Stop);
            }
            let until = turn.now.after(turn.policy.shutdown_delay);
            *self = Self::Parting { roster, until };
        }
    }

    /// Lets everybody go who is still there.
    fn dismiss(&mut self, turn: &mut Turn<'_>, outcome: Outcome) {
        let gone_by = turn.now.after(turn.policy.stop_timeout).after(REAP_TIMEOUT);
        let before = mem::replace(self, Self::Stopping { gone_by, outcome });
        turn.hasten();
        if let Self::Running(mut roster) | Self::Parting { mut roster, .. } = before {
            for worker in roster.take_starting() {
                turn.terminate(worker, LeaveCause::Stop);
            }
            for worker in roster.take_ready() {
                turn.drain(worker, LeaveCause::Stop);
            }
        }
    }

    /// Kills everybody who is still there.
    fn kill(&mut self, turn: &mut Turn<'_>) {
        let outcome = match self {
            Self::Stopping { outcome, .. } => *outcome,
            Self::Parting { .. } | Self::Stopped => Outcome::Stopped,
            Self::Running(_) => {
                turn.departures.note_stop();
                Outcome::Stopped
            }
        };
        let gone_by = turn.now.after(REAP_TIMEOUT);
        let before = mem::replace(self, Self::Stopping { gone_by, outcome });
        if let Self::Running(mut roster) | Self::Parting { mut roster, .. } = before {
            for worker in roster.take_starting() {
                turn.kill(worker, LeaveCause::Immediate);
            }
            for worker in roster.take_ready() {
                turn.kill(worker, LeaveCause::Immediate);
            }
        }
        turn.kill_all(LeaveCause::Immediate);
    }

    fn exit(&mut self, turn: &mut Turn<'_>, outcome: Outcome) {
        *self = Self::Stopped;
        turn.act(Action::Exit(outcome));
    }
}
