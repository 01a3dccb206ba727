//! Who serves: what workers say, what a timer or a probe finds, and what the core is told.

use std::{mem::replace, time::Duration};

use dutch_master::{Event, Recycle, WorkerEvent, WorkerId};

use super::{
    Master,
    children::{Probe, Stage, Told},
    journal,
    output::{Outlet, Printer, Stream},
    source::Source,
};
use crate::{
    contract::{Readiness, systemd::Said},
    master::einhorn::{Heard, MOST},
    sys::{host, poll::Interest},
};

/// How long nobody is let in to einhorn's socket when there are no descriptors left.
const SHUT: Duration = Duration::from_secs(1);
/// How long after a failed probe the next one comes.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// Nonsense that a worker may send before we say so.
const PATIENCE: u32 = 100;

impl Master {
    /// A worker's program runs.
    pub(super) fn on_executed(&mut self, id: WorkerId) {
        match self.readiness {
            Readiness::Start => self.on_ready(id),
            Readiness::Delay(time) => self.probe_at(id, self.now.saturating_add(time)),
            Readiness::Exec => self.probe_at(id, self.now),
            Readiness::Notify | Readiness::Listening => {}
        }
    }

    /// A worker serves, so it may get connections before its predecessor is told to go.
    pub(super) fn on_ready(&mut self, id: WorkerId) {
        let now = self.now;
        let Some(child) = self.children.get_mut(id) else { return };
        let is_going = child.is_leaving || child.told != Told::Nobody;
        if child.is_ready || is_going || matches!(child.stage, Stage::Orphaned { .. }) {
            return;
        }
        child.is_ready = true;
        journal::ready(id, child, now.saturating_sub(child.started));
        self.record.ready(id, child, now.saturating_sub(child.started));
        self.steered(|listeners| listeners.steer_in(id));
        self.facts.push(Event::Worker(id, WorkerEvent::Ready));
    }

    pub(super) fn read_notify(&mut self, id: WorkerId) {
        let Some(child) = self.children.get_mut(id) else { return };
        let group = child.pid();
        let said = child.link.as_mut().map(|link| link.read(group)).unwrap_or_default();
        for said in said {
            self.hear(id, said);
        }
    }

    pub(super) fn read_ready_pipe(&mut self, id: WorkerId) {
        let Some(child) = self.children.get_mut(id) else { return };
        // Closing our end takes it out of the poll as well.
        if let Some(said) = child.link.as_mut().and_then(crate::contract::systemd::Link::read_ready)
        {
            self.hear(id, said);
        }
    }

    fn hear(&mut self, id: WorkerId, said: Said) {
        let Some(child) = self.children.get_mut(id) else { return };
        match said {
            Said::Event(WorkerEvent::Ready) if self.readiness == Readiness::Notify => {
                self.on_ready(id);
            }
            Said::Event(WorkerEvent::Ready) => {}
            Said::Event(event) => self.hear_event(id, event),
            Said::MainProcess(pid) => {
                // Only a process that our signals reach, and that we can reap.
                if host::group_of(pid) == Some(child.pid()) && pid != child.pid() {
                    self.children.set_main(id, pid);
                }
            }
            Said::Status(text) => child.status = Some(text),
            Said::Failing(text) => {
                tracing::warn!(target: "worker", worker = id.get(), problem = text, "worker says it fails");
            }
            Said::Store { name, fds, is_polled } => {
                let refused = self.store.keep(child.slot.get(), &name, fds, is_polled);
                if refused > 0 && !replace(&mut child.heard.overflow, true) {
                    tracing::warn!(target: "worker", worker = id.get(), name, refused, "descriptor store is full (128 a slot)");
                }
            }
            Said::Forget { name } => self.store.forget(child.slot.get(), &name),
            Said::Garbage(count) => {
                let before = child.garbage;
                child.garbage = before.saturating_add(count);
                if before == 0 || (before < PATIENCE && child.garbage >= PATIENCE) {
                    tracing::warn!(target: "worker", worker = id.get(), lines = child.garbage, "worker sends nonsense to its notify socket");
                }
            }
        }
    }

    fn hear_event(&mut self, id: WorkerId, event: WorkerEvent) {
        let Some(child) = self.children.get_mut(id) else { return };
        let why = match event {
            WorkerEvent::Disconnected => return self.hear_farewell(id),
            WorkerEvent::RestartRequested => Some("it asked"),
            WorkerEvent::WatchdogFailed => Some("watchdog"),
            _ => None,
        };
        if let Some(why) = why {
            if child.is_leaving || replace(&mut child.heard.wish, true) {
                return;
            }
            journal::asked(id, child, why);
        }
        self.facts.push(Event::Worker(id, event));
    }

    /// A worker goes by itself: whoever connects from now on should come to somebody else.
    pub(super) fn hear_farewell(&mut self, id: WorkerId) {
        let Some(child) = self.children.get_mut(id) else { return };
        if child.is_leaving || replace(&mut child.heard.farewell, true) {
            return;
        }
        self.steered(|listeners| listeners.steer_off(id));
        if let Some(child) = self.children.get(id) {
            journal::disconnected(id, child);
        }
        self.facts.push(Event::Worker(id, WorkerEvent::Disconnected));
    }

    pub(super) fn accept_einhorn(&mut self) {
        let Some(einhorn) = &mut self.einhorn else { return };
        for _ in 0..MOST {
            match einhorn.accept() {
                Ok(None) => return,
                // One that can't be polled is never read, and makes room when it is one too many.
                Ok(Some((number, fd))) => {
                    let token = Source::EinhornClient(number).token();
                    let _ = self.poll.add(fd, token, Interest::Read);
                }
                // It would wake us again and again.
                Err(_) => {
                    let _ = self.poll.remove(&*einhorn);
                    einhorn.shut_until = Some(self.now.saturating_add(SHUT));
                    return;
                }
            }
        }
    }

    pub(super) fn look_at_einhorn(&mut self) {
        let now = self.now;
        if let Some(einhorn) = &mut self.einhorn
            && einhorn.shut_until.is_some_and(|at| at <= now)
        {
            einhorn.shut_until = None;
            let _ = self.poll.add(&*einhorn, Source::Einhorn.token(), Interest::Read);
        }
    }

    pub(super) fn read_einhorn(&mut self, number: u64) {
        let Some(Heard::Ready { group }) = self.einhorn.as_mut().map(|it| it.read(number)) else {
            return;
        };
        let who = self.children.iter().find(|(_, child)| child.pid() == group);
        if let Some(id) = who.map(|(id, _)| id) {
            self.hear(id, Said::Event(WorkerEvent::Ready));
        }
    }

    pub(super) fn read_output(&mut self, id: WorkerId, stream: Stream) {
        let how = self.config.output;
        let Some(child) = self.children.get_mut(id) else { return };
        let by = Printer {
            slot: child.slot.get(),
            worker: id.get(),
            pid: child.pid().number(),
            generation: child.generation.get(),
        };
        let sink = if stream == Stream::Out { &self.stdout } else { &self.stderr };
        let recent = &mut child.recent;
        let mut pump = |outlet: &mut Outlet| outlet.pump(by, how, sink, recent);
        child.outlets.retain_mut(|outlet| outlet.stream != stream || pump(outlet));
    }

    pub(super) fn readiness_deadline(&self) -> Option<Duration> {
        let due = |probe| if let Probe::Due(at) = probe { Some(at) } else { None };
        self.children.iter().filter_map(|(_, child)| due(child.probe)).min()
    }

    pub(super) fn look_at_readiness(&mut self) {
        let now = self.now;
        let due: Vec<WorkerId> = self
            .children
            .iter()
            .filter(|(_, child)| matches!(child.probe, Probe::Due(at) if at <= now))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            if self.readiness == Readiness::Exec {
                self.run_probe(id);
            } else {
                self.settle_probe(id, true);
            }
        }
    }

    /// What a probe, or the passing of time, has shown.
    pub(super) fn settle_probe(&mut self, id: WorkerId, is_ready: bool) {
        let again = self.now.saturating_add(PROBE_EVERY);
        let Some(child) = self.children.get_mut(id) else { return };
        if is_ready || child.is_leaving || matches!(child.stage, Stage::Orphaned { .. }) {
            child.probe = Probe::None;
            self.on_ready(id);
        } else {
            child.probe = Probe::Due(again);
        }
    }

    /// A worker uses more memory than it may.
    pub(super) fn recycle_for_memory(&mut self, id: WorkerId) {
        if let Some(child) = self.children.get(id) {
            journal::asked(id, child, "too much memory");
            self.facts.push(Event::Worker(id, WorkerEvent::Recycle(Recycle::Memory)));
        }
    }
}
