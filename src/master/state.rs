//! What `status` and the probes tell: the fleet, the processes and the sockets, at this moment.

use dutch_master::{
    Generation, Reason, SlotView, Timestamp, WorkerState, WorkerView,
    wire::control::{Listener, Millis, Roll, Slot, Status, Worker},
};

use super::{Master, choose, journal};
use crate::{contract::node::Cluster, sys::proc};

/// How many of the last events `status` shows.
const EVENTS: u64 = 8;

impl Master {
    /// Whether enough workers serve, and why.
    pub(super) fn readiness_verdict(&self) -> (bool, String) {
        let (ready, target) = (self.fleet.ready_count(), self.fleet.target());
        if self.fleet.is_stopping() {
            return (false, format!("stopping, {ready} workers serve"));
        }
        let least = self.config.ready_min.of(target);
        let is_ready = ready >= usize::from(least);
        let rest = if is_ready { String::new() } else { format!(", at least {least} must be") };
        (is_ready, format!("{ready} of {target} workers ready{rest}"))
    }

    pub(super) fn status(&mut self) -> Status {
        let (is_ready, why) = self.readiness_verdict();
        let workers = self.workers();
        let generation = self.fleet.wanted();
        let release = generation.and_then(|generation| self.releases.get(&generation));
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: self.now.saturating_sub(self.record.started).into(),
            contract: self.kit.kind.to_string(),
            readiness: self.readiness.to_string(),
            balance: choose::balance(&self.config, self.kit.kind).to_owned(),
            is_ready,
            why,
            is_stopping: self.fleet.is_stopping(),
            ready: u32::try_from(self.fleet.ready_count()).unwrap_or(u32::MAX),
            target: self.fleet.target().into(),
            generation: generation.map(Generation::get),
            directory: release.map(|release| release.path.display().to_string()),
            roll: self.roll_under_way(),
            last_roll: self.record.last_roll.clone(),
            workers,
            slots: self.fleet.slots().map(|view| self.slot(&view)).collect(),
            listeners: self.listener_states(),
            listen_drops: self.listen_drops(),
            events: self.record.since(self.record.next().saturating_sub(EVENTS)).cloned().collect(),
        }
    }

    fn roll_under_way(&self) -> Option<Roll> {
        let progress = self.progress()?;
        let asked = self.record.asked.as_ref();
        let began = asked.map_or(self.record.started, |asked| asked.at);
        let asked_by = match asked {
            Some(asked) => asked.by.clone(),
            None if progress.is_revert => "the failure of a roll".to_owned(),
            None => "the start".to_owned(),
        };
        Some(Roll { progress, asked_by, since: self.now.saturating_sub(began).into() })
    }

    /// Everybody, by slot, with what they use.
    pub(super) fn workers(&mut self) -> Vec<Worker> {
        let mut views: Vec<WorkerView> = self.fleet.workers().collect();
        views.sort_by_key(|view| (view.slot, view.worker));
        self.measure(&views);
        views.iter().map(|view| self.worker(view)).collect()
    }

    fn worker(&self, view: &WorkerView) -> Worker {
        let measures = &self.operators.measures;
        let usage = measures.usage(self.group(view));
        let child = self.children.get(view.worker);
        let now = Timestamp::from_origin(self.now);
        let census = measures.census();
        let connections = census.and_then(|all| match &self.cluster {
            Some(cluster) => cluster.connections(view.worker, all),
            None => self.listeners.connections(view.worker, all),
        });
        Worker {
            slot: view.slot.get(),
            worker: view.worker.get(),
            generation: view.generation.get(),
            pid: child.filter(|child| child.has_process()).map(|child| child.pid().number()),
            state: state_name(view.state).to_owned(),
            reason: view.reason.map(|reason| reason_name(reason).to_owned()),
            uptime: now.since(view.started_at).into(),
            patience: view.until.map(|until| until.since(now).into()),
            cpu: Millis::from(usage.cpu),
            memory: usage.resident,
            connections: connections.and_then(|count| u32::try_from(count).ok()),
            is_deaf: self.accepts_nobody(view.worker),
            says: child.and_then(|child| child.status.clone()),
        }
    }

    fn slot(&self, view: &SlotView) -> Slot {
        let slot = view.slot.get();
        let now = Timestamp::from_origin(self.now);
        let starts = self.record.seats.get(&slot).copied().unwrap_or_default();
        Slot {
            slot,
            is_vacant: view.is_vacant,
            failures: view.failures,
            retry_in: view.retry_at.map(|at| at.since(now).into()),
            restarts: starts.saturating_sub(1),
            last_exit: self.record.last_exits.get(&slot).cloned(),
        }
    }

    pub(super) fn listener_states(&self) -> Vec<Listener> {
        let queues = self.listeners.queues();
        let queues = queues.map(|(name, address, queue)| (name.to_owned(), address, queue));
        let captured = self.listeners.captured_queues();
        let captured = captured.map(|(address, queue)| (address.clone(), address, queue));
        let of_programs = self.cluster.iter().flat_map(Cluster::queues);
        let of_programs = of_programs.map(|(address, queue)| (address.clone(), address, queue));
        queues
            .chain(captured)
            .chain(of_programs)
            .enumerate()
            .map(|(index, (name, address, queue))| Listener {
                name,
                address,
                queue: queue.map(|queue| queue.length),
                limit: queue.map(|queue| queue.limit),
                relayed: self.rescue.total(index),
            })
            .collect()
    }

    pub(super) fn listen_drops(&self) -> Option<u64> {
        proc::listen_drops(self.capacity.proc()?)
    }
}

/// What a worker is doing, in a word.
pub(super) const fn state_name(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "starting",
        WorkerState::Ready => "ready",
        WorkerState::Retiring => "retiring",
        WorkerState::Draining => "draining",
        WorkerState::Terminating => "terminating",
        WorkerState::Killed => "killed",
    }
}

const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Replace(cause) => journal::why_started(cause),
        Reason::Leave(cause) => journal::why_left(cause),
    }
}
