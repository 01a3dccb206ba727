//! Waits for the connections of workers that get no new ones, whatever their programs do.

use std::time::Duration;

use dutch_master::{Event, LeaveCause, WorkerEvent, WorkerId};

use super::{Master, children::Drain};
use crate::sys::{clock, diag};

/// How often we look whether a drain is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// All drains are looked at together, at multiples of this.
const GRID: Duration = Duration::from_millis(50);
/// To look takes its time where connections are many: no more than a twentieth of ours goes to that.
const REST: u32 = 19;
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
            let first = connections.as_ref().map(diag::drain::Drain::first_look);
            let look_at = on_grid(first.unwrap_or_else(|| now.saturating_add(LOOK_EVERY)));
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
        let mut everybody = None;
        let began = clock::now();
        for (id, child) in self.children.iter_mut() {
            let Some(drain) = child.drain.as_mut().filter(|drain| drain.look_at <= now) else {
                continue;
            };
            let is_patient = now.saturating_sub(drain.began) < PATIENCE;
            let idle = if is_patient { IDLE } else { Duration::ZERO };
            let is_over = drain.connections.as_mut().and_then(|connections| {
                let own;
                let seen = if connections.wants_census() {
                    everybody.get_or_insert_with(|| self.listeners.census())
                } else {
                    own = connections.look();
                    &own
                };
                Some(connections.is_over(now, seen.as_ref().ok()?, idle))
            });
            // Where the kernel does not show them, time is all there is, unless it has shown some before.
            let knows = drain.connections.as_ref().is_some_and(diag::drain::Drain::has_some);
            let is_over = is_over.unwrap_or(is_cluster || !(is_patient || knows));
            if is_over && self.listeners.has_empty_queue(id) {
                child.drain = None;
                self.facts.push(Event::Worker(id, WorkerEvent::Drained));
            }
        }
        let rest = clock::now().saturating_sub(began).saturating_mul(REST).max(LOOK_EVERY);
        let drains = self.children.iter_mut().filter_map(|(_, child)| child.drain.as_mut());
        for drain in drains.filter(|drain| drain.look_at <= now) {
            drain.look_at = on_grid(now.saturating_add(rest));
        }
    }
}

/// The next common moment.
fn on_grid(at: Duration) -> Duration {
    let grid = GRID.as_micros().max(1);
    let next = at.as_micros().div_ceil(grid).saturating_mul(grid);
    Duration::from_micros(u64::try_from(next).unwrap_or(u64::MAX))
}
