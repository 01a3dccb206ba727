//! Waits for the connections of workers that get no new ones, whatever their programs do.

use std::time::Duration;

use dutch_master::{Event, LeaveCause, WorkerEvent, WorkerId};

use super::{Master, children::Drain};

/// How often we look whether a drain is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// In the beginning, a connection that nobody has used for so long does not hold a drain.
const IDLE: Duration = Duration::from_secs(1);
/// After so long, only what is owed an answer does: a client that asks all the time would hold a
/// drain to its end, and only the worker, told to stop, can tell it to go elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

impl Master {
    /// Keeps new connections away from a worker and waits for those it has. When all go at once,
    /// there is nobody to steer to: then the worker itself has to stop well.
    pub(super) fn drain(&mut self, id: WorkerId, cause: LeaveCause) {
        let now = self.now;
        if let Some(cluster) = &mut self.cluster {
            if let Some(child) = self.children.get_mut(id) {
                child.is_leaving = true;
            }
            return cluster.drain(now, id);
        }
        self.steered(|listeners| listeners.steer_off(id));
        if cause == LeaveCause::Stop {
            self.release_captured();
        }
        let waits = self.listeners.has_lanes() && cause != LeaveCause::Stop;
        let connections = waits.then(|| self.listeners.begin_drain(id, now)).flatten();
        let Some(child) = self.children.get_mut(id) else { return };
        child.is_leaving = true;
        if waits {
            let look_at = now.saturating_add(LOOK_EVERY);
            child.drain = Some(Drain { began: now, look_at, connections });
        } else {
            self.tell_to_stop(id);
        }
    }

    /// When to look next whether a drain is over.
    pub(super) fn drain_deadline(&self) -> Option<Duration> {
        let drains = self.children.iter().filter_map(|(_, child)| child.drain.as_ref());
        drains.map(|drain| drain.look_at).min()
    }

    /// Tells the core of workers that have finished their connections.
    pub(super) fn look_at_drains(&mut self) {
        let now = self.now;
        if self.drain_deadline().is_none_or(|at| at > now) {
            return;
        }
        let is_cluster = self.cluster.is_some();
        let census = if is_cluster { None } else { self.listeners.census().ok() };
        for (id, child) in self.children.iter_mut() {
            let Some(drain) = child.drain.as_mut().filter(|drain| drain.look_at <= now) else {
                continue;
            };
            drain.look_at = now.saturating_add(LOOK_EVERY);
            let is_patient = now.saturating_sub(drain.began) < PATIENCE;
            let idle = if is_patient { IDLE } else { Duration::ZERO };
            let is_over = match (&census, &mut drain.connections) {
                (Some(census), Some(connections)) => connections.is_over(now, census, idle),
                // The kernel does not show them: time is all there is.
                _ => is_cluster || !is_patient,
            };
            if is_over && self.listeners.has_empty_queue(id) {
                child.drain = None;
                self.facts.push(Event::Worker(id, WorkerEvent::Drained));
            }
        }
    }
}
