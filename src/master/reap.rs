//! Collects the dead: workers, hooks, and everybody else's orphans.

use std::time::Duration;

use dutch_master::{Event, WorkerEvent, WorkerId};

use super::{
    Master,
    children::{End, Probe, Stage},
    journal,
    output::Stream,
};
use crate::sys::{
    Pid, host,
    reap::{self, ExitStatus},
    signals,
    spawn::{self, ExecResult},
};

/// How often we look after a worker whose first process is gone but whose others live on. Their
/// deaths reach us by SIGCHLD, but for those whose parent is somebody else.
const ORPHAN_LOOK: Duration = Duration::from_secs(1);

impl Master {
    pub(super) fn reap(&mut self) {
        let mut orphans = 0_u64;
        while let Some((pid, status)) = reap::reap() {
            match self.children.of_pid(pid) {
                Some(id) => self.on_process_exit(id, pid, status),
                None if self.hooks.owns(pid) => self.on_hook_exit(pid, status),
                None => orphans = orphans.saturating_add(1),
            }
        }
        if orphans > 0 {
            self.record.orphans = self.record.orphans.saturating_add(orphans);
            tracing::debug!(target: "master", orphans, "orphans reaped");
        }
    }

    fn on_process_exit(&mut self, id: WorkerId, pid: Pid, status: ExitStatus) {
        self.children.forget_pid(pid);
        let Some(child) = self.children.get(id) else { return };
        let group = child.pid();
        if matches!(child.stage, Stage::Hook { .. }) {
            self.on_before_fork_exit(id, status);
        } else if child.main.is_none_or(|main| main == pid || host::group_of(main) != Some(group)) {
            self.on_worker_exit(id, group, status);
        }
    }

    fn on_worker_exit(&mut self, id: WorkerId, group: Pid, status: ExitStatus) {
        // What it said before it died counts: it may have said READY or STOPPING.
        self.read_exec(id);
        self.read_notify(id);
        self.read_ready_pipe(id);
        self.read_outputs(id);
        if let Some(cluster) = &mut self.cluster {
            cluster.exited(self.now, id);
            self.hear_cluster();
        }
        self.captured_ended(id, status);
        let signal = self.config.stop_signal.number();
        let Some(child) = self.children.get_mut(id) else { return };
        let end = child.end.take().unwrap_or(End::Exited(status));
        journal::ended(id, child, &end);
        self.record_end(id, &end);
        let Some(child) = self.children.get_mut(id) else { return };
        if !child.is_leaving {
            self.last_failure = end.code();
        }
        child.stage = Stage::Orphaned { group };
        child.end = Some(end);
        if is_gone(group) {
            self.dismiss(id);
            return;
        }
        child.stop_rest(signal);
        if !child.is_leaving {
            self.steered(|listeners| listeners.steer_off(id));
            self.facts.push(Event::Worker(id, WorkerEvent::Disconnected));
        }
    }

    fn read_outputs(&mut self, id: WorkerId) {
        for stream in [Stream::Out, Stream::Err] {
            self.read_output(id, stream);
        }
    }

    /// Forgets a worker of which no process is left.
    fn dismiss(&mut self, id: WorkerId) {
        self.read_outputs(id);
        self.steered(|listeners| listeners.leave(id));
        if let Some(child) = self.children.remove(id)
            && let Probe::Running { pid } = child.probe
        {
            self.hooks.abandon(pid);
        }
        self.facts.push(Event::Worker(id, WorkerEvent::Exited));
    }

    pub(super) fn look_at_orphaned_groups(&mut self) {
        let gone: Vec<WorkerId> = self
            .children
            .iter()
            .filter(|(_, child)| matches!(child.stage, Stage::Orphaned { group } if is_gone(group)))
            .map(|(id, _)| id)
            .collect();
        for id in gone {
            self.dismiss(id);
        }
    }

    pub(super) fn orphan_deadline(&self) -> Option<Duration> {
        let is_orphaned = |stage: &Stage| matches!(stage, Stage::Orphaned { .. });
        let any = self.children.iter().any(|(_, child)| is_orphaned(&child.stage));
        any.then(|| self.now.saturating_add(ORPHAN_LOOK))
    }

    /// Reads how the start of a worker's program went.
    pub(super) fn read_exec(&mut self, id: WorkerId) {
        let Some(child) = self.children.get_mut(id) else { return };
        let Some(fd) = &child.exec_status else { return };
        match spawn::exec_result(fd) {
            ExecResult::Pending => {}
            ExecResult::Failed(error) => {
                child.end = Some(End::NotExecuted(error));
                child.exec_status = None;
            }
            ExecResult::Running => {
                child.exec_status = None;
                self.on_executed(id);
            }
        }
    }
}

/// Whether no process of a group is left, dead ones that nobody has collected yet included.
fn is_gone(group: Pid) -> bool {
    signals::kill_group(group, 0).is_err_and(super::super::sys::Errno::is_no_such_process)
}
