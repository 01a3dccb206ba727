//! Carries out what the core decided. Nothing here asks whether it is wise.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use dutch_master::{
    Action, Event, Generation, LeaveCause, Milestone, SlotId, WorkerEvent, WorkerId,
};

use super::{
    Master,
    children::{Child, End, Probe, Stage, Told},
    journal,
    launch::{Launched, Name},
    record::Fate,
    source::Source,
};
use crate::{
    contract::{capture::Capture, program::is_shell},
    sys::{
        Pid, attention, memory,
        poll::Interest,
        spawn::{Filter, Spawned},
    },
};

/// SIGKILL.
const KILL: i32 = 9;

impl Master {
    pub(super) fn obey(&mut self, action: Action) {
        let subject = match action {
            Action::Drain { worker, .. }
            | Action::Terminate { worker, .. }
            | Action::Kill { worker, .. } => self.children.get(worker),
            Action::Start { .. } | Action::Announce(_) | Action::Exit(_) => None,
        };
        let why = match action {
            Action::Announce(Milestone::RollFailed { from, .. }) => {
                Some(self.record.why_failed(from))
            }
            _ => None,
        };
        journal::decided(action, subject, self.is_booting, why.as_deref());
        if let Action::Terminate { worker, cause: LeaveCause::Late } = action {
            self.explain_lateness(worker);
            self.explain_silence(worker);
        }
        self.record.decided(action, subject, self.now);
        match action {
            Action::Start { worker, slot, generation, .. } => {
                self.start(Name { worker, slot, generation });
            }
            Action::Drain { worker, cause } => self.drain(worker, cause),
            Action::Terminate { worker, cause } => self.terminate(worker, cause),
            Action::Kill { worker, .. } => self.kill(worker),
            Action::Announce(milestone) => {
                // A roll that begins before the boot has settled ends it.
                let ends_boot =
                    matches!(milestone, Milestone::Settled(_) | Milestone::RollStarted { .. });
                self.is_booting &= !ends_boot;
                if let Milestone::Settled(_) = milestone {
                    self.settled();
                }
            }
            Action::Exit(outcome) => self.leave(outcome),
        }
    }

    fn settled(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.settled(self.now);
        }
        memory::give_back();
    }

    fn start(&mut self, name: Name) {
        // Whatever the one before has shut is opened again.
        self.read_ends();
        if let Err(error) = self.listeners.seat(name.worker) {
            return self.not_started(name, &End::NotStarted(error.to_string()));
        }
        self.watch_lanes();
        if self.config.before_fork.is_some() {
            self.start_hook(name);
        } else {
            self.start_process(name);
        }
    }

    /// Runs `BEFORE_FORK` for a worker; the worker itself comes when that has succeeded.
    fn start_hook(&mut self, name: Name) {
        match self.run_before_fork(name) {
            Ok(Spawned { pid, exec_status }) => {
                self.listeners.forked(self.now);
                let mut child = Child::new(name.slot, name.generation, pid, self.now);
                child.stage = Stage::Hook { pid };
                child.exec_status = Some(exec_status);
                self.children.insert(name.worker, child);
            }
            Err(problem) => {
                self.not_started(name, &End::NotStarted(format!("BEFORE_FORK: {problem}")));
            }
        }
    }

    /// Starts a worker's process.
    pub(super) fn start_process(&mut self, name: Name) {
        let listener_to = match self.expect_captured(name) {
            Ok(listener_to) => listener_to,
            Err(error) => return self.not_started(name, &End::NotStarted(error.to_string())),
        };
        let Some(release) = self.releases.get(&name.generation) else {
            return self.not_started(name, &End::NotStarted("its release is gone".to_owned()));
        };
        let incumbent = self.incumbent_of(name);
        let channel = match &mut self.cluster {
            None => None,
            Some(cluster) => match cluster.join(self.now, name.worker, incumbent) {
                Ok(channel) => Some(channel),
                Err(error) => return self.not_started(name, &End::NotStarted(error.to_string())),
            },
        };
        self.store.prune(name.slot.get());
        let passed = self.listeners.passed(name.worker);
        let stored = self.store.of(name.slot.get());
        let program = self.listeners.capture.as_ref().map(Capture::program);
        let filter = program
            .zip(listener_to.as_ref())
            .map(|(program, to)| Filter { program, to: to.as_fd() });
        match self.kit.launch(name, release, &passed, stored, channel.as_ref(), filter) {
            Ok(launched) => self.enrol(name, launched),
            Err(error) => self.not_started(name, &End::NotStarted(error.to_string())),
        }
    }

    fn enrol(&mut self, name: Name, launched: Launched) {
        let mut child = Child::new(name.slot, name.generation, launched.pid, self.now);
        child.exec_status = Some(launched.exec_status);
        child.link = launched.link;
        child.outlets = launched.outlets;
        let mut polled = Ok(());
        let mut poll = |fd: BorrowedFd<'_>, source: Source| {
            let added = self.poll.add(fd, source.token(), Interest::Read);
            polled = std::mem::replace(&mut polled, Ok(())).and(added);
        };
        if let Some(fd) = &child.exec_status {
            poll(fd.as_fd(), Source::Exec(name.worker));
        }
        if let Some(link) = &child.link {
            poll(link.notify_fd(), Source::Notify(name.worker));
            if let Some(fd) = link.ready_fd() {
                poll(fd, Source::ReadyPipe(name.worker));
            }
        }
        for outlet in &child.outlets {
            poll(outlet.pipe.as_fd(), Source::Output(name.worker, outlet.stream));
        }
        journal::spawned(name.worker, &child);
        if let Err(error) = polled {
            // Out of kernel memory: a worker that we can't hear is of no use.
            tracing::error!(target: "worker", worker = name.worker.get(), %error, "worker can't be heard");
            child.signal(KILL);
        }
        self.children.insert(name.worker, child);
    }

    /// A start that came to nothing is a worker that exited.
    pub(super) fn not_started(&mut self, name: Name, end: &End) {
        let nobody = Pid::own();
        let child = match self.children.remove(name.worker) {
            Some(child) => child,
            None => Child::new(name.slot, name.generation, nobody, self.now),
        };
        journal::ended(name.worker, &child, end);
        self.record.ended(name.worker, &child, end, Fate::Unknown);
        if !child.is_leaving {
            self.last_failure = end.code();
        }
        self.steered(|listeners| listeners.leave(name.worker));
        if let Some(cluster) = &mut self.cluster {
            cluster.exited(self.now, name.worker);
        }
        self.facts.push(Event::Worker(name.worker, WorkerEvent::Exited));
    }

    fn terminate(&mut self, id: WorkerId, cause: LeaveCause) {
        self.steered(|listeners| listeners.steer_off(id));
        if let Some(child) = self.children.get_mut(id) {
            // One who says STOPPING goes by itself; pressed, it is still its own going.
            child.is_leaving |= cause != LeaveCause::Late;
            child.drain = None;
        }
        self.tell_to_stop(id);
    }

    /// Sends the stop signal, once. Without /proc nobody knows who is a shell: then all are told.
    pub(super) fn tell_to_stop(&mut self, id: WorkerId) {
        let signal = self.config.stop_signal.number();
        let Some(child) = self.children.get_mut(id) else { return };
        let is_orphaned = matches!(child.stage, Stage::Orphaned { .. });
        let proc = self.capacity.proc();
        let program = proc.and_then(|proc| attention::program(proc, child.main_process()));
        child.stop(signal, is_orphaned || program.is_none_or(|program| is_shell(&program)));
    }

    fn kill(&mut self, id: WorkerId) {
        self.steered(|listeners| listeners.steer_off(id));
        if let Some(child) = self.children.get_mut(id) {
            child.drain = None;
            // A hook that has just succeeded must not lead to a process after this.
            child.told = Told::All;
            child.signal(KILL);
        }
    }

    /// Steering that fails leaves the kernel's own choice in place: worth a word, no worker's fault.
    pub(super) fn steered(
        &mut self,
        change: impl FnOnce(
            &mut super::listeners::Listeners,
        ) -> Result<(), crate::sys::steer::SteerError>,
    ) {
        if let Err(error) = change(&mut self.listeners) {
            tracing::warn!(target: "listener", %error, "connections can't be steered");
        }
    }

    /// What a worker is called.
    pub(super) fn name_of(&self, worker: WorkerId) -> Option<Name> {
        let child = self.children.get(worker)?;
        let (slot, generation): (SlotId, Generation) = (child.slot, child.generation);
        Some(Name { worker, slot, generation })
    }

    /// Makes a worker that runs ready after a while, or when a command says so.
    pub(super) fn probe_at(&mut self, id: WorkerId, at: Duration) {
        if let Some(child) = self.children.get_mut(id) {
            child.probe = Probe::Due(at);
        }
    }
}
