//! `doctor`'s part about workers: who is not ready, and who never opened a listener.

use std::time::Duration;

use dutch_master::{
    Timestamp, WorkerState, WorkerView, wire::control::Finding, wire::listen::Passed,
};

use super::{Master, doubtful, wrong};
use crate::{
    contract::{Kind, Readiness},
    sys::{
        Pid,
        attention::{self, Attention, Holder},
        diag::Census,
        host,
    },
};

/// How long a worker may be starting before we wonder.
const LONG: Duration = Duration::from_secs(10);
/// How long it has for what it does first of all.
const SHORT: Duration = Duration::from_secs(2);
/// Workers whose processes are looked at: all run the same program.
const MOST_SEEN: usize = 8;

/// Why nobody waits on a worker's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// No process of it has it any more.
    Gone,
    /// The first keeps it from the second, which it has started.
    Kept(Holder, Holder),
    /// The variable names the first, so that the second does not believe in it.
    Disbelieved(Pid, Option<Holder>, Holder),
    /// Its processes wait for other things.
    Unasked,
}

/// Why nobody waits on a socket, and whether that is sure; nothing where somebody does, or may.
fn cause(holders: &[Holder], index: usize) -> Option<(Cause, bool)> {
    let of = |holder: &Holder| holder.attention.get(index).copied().unwrap_or(Attention::Unknown);
    if holders.is_empty() || holders.iter().any(|one| of(one) == Attention::Waits) {
        return None;
    }
    let is_parent = |one: &Holder| holders.iter().any(|other| other.parent == Some(one.pid));
    let is_sure = holders.iter().all(|one| of(one) != Attention::Unknown);
    let mut owners = holders.iter().filter(|one| of(one) != Attention::Absent);
    let Some(first) = owners.clone().next() else { return Some((Cause::Gone, true)) };
    // A wrapper waits for its last descendant, which is the server.
    let Some(server) = owners.find(|one| !is_parent(one)) else {
        let child = holders.iter().find(|one| one.parent == Some(first.pid))?;
        return is_sure.then(|| (Cause::Kept(first.clone(), child.clone()), true));
    };
    if let Some(named) = server.listen_pid.filter(|named| *named != server.pid) {
        let wrapper = holders.iter().find(|one| one.pid == named);
        // Children that a server forks have its name, and its variables.
        if wrapper.is_none_or(|wrapper| wrapper.name != server.name) {
            let cause = Cause::Disbelieved(named, wrapper.cloned(), server.clone());
            return Some((cause, is_sure));
        }
    }
    is_sure.then_some((Cause::Unasked, false))
}

fn unopened(worker: u64, listener: &Passed, cause: &Cause, is_sure: bool) -> Finding {
    const ITSELF: &str = "start the program itself, or let its script end in `dutch-master exec -- \
                          COMMAND`, which puts LISTEN_PID right";
    let Passed { name, fd, .. } = listener;
    let process = |one: &Holder| format!("process {} ({})", one.pid, one.name);
    let (why, remedy) = match cause {
        Cause::Gone => (
            "it has closed it".to_owned(),
            "a program that takes its sockets from LISTEN_FDS; else no LISTEN, and CONTRACT=capture",
        ),
        Cause::Kept(wrapper, server) => {
            (format!("{} keeps it from {}", process(wrapper), process(server)), ITSELF)
        }
        Cause::Disbelieved(named, wrapper, server) => {
            let named = wrapper.as_ref().map_or(format!("process {named}"), process);
            (format!("LISTEN_PID names {named}, the server is {}", process(server)), ITSELF)
        }
        Cause::Unasked => (
            "it waits for other things".to_owned(),
            "if it is not just busy: a program that takes its sockets from LISTEN_FDS, or {fd:NAME} \
             in its command; else no LISTEN, and CONTRACT=capture",
        ),
    };
    let finding = if *cause == Cause::Unasked {
        format!("worker {worker} takes no connection from listener {name} (fd {fd}): {why}")
    } else {
        format!("worker {worker} never opened listener {name} (fd {fd}): {why}")
    };
    if is_sure { wrong(finding, remedy) } else { doubtful(finding, remedy) }
}

/// What is said of a worker that takes long, where nothing better is known.
fn unready(worker: u64, readiness: &Readiness, kind: Kind, names: &[&str]) -> Finding {
    match (readiness, kind) {
        (Readiness::Notify, _) => {
            let listeners = match names {
                [] => String::new(),
                names => format!(" nor opened listener {}", names.join(", ")),
            };
            wrong(
                format!("worker {worker} has not said READY=1{listeners}: behind npm or sh -c?"),
                "start the program itself, or let its script end in `dutch-master exec -- COMMAND`, \
                 which puts LISTEN_PID right; or set READY=delay:2s or exec:COMMAND",
            )
        }
        (_, Kind::Node) => wrong(
            format!("worker {worker} has not called listen()"),
            "write `node app.js` in place of npm or sh -c, and see its output",
        ),
        _ => doubtful(format!("worker {worker} is not ready yet"), "see its output"),
    }
}

fn deaf(worker: u64) -> Finding {
    doubtful(
        format!("worker {worker} accepts nobody, and others answer its clients"),
        "if it is not just busy: does it take its sockets from LISTEN_FDS, and is it alive?",
    )
}

impl Master {
    /// Workers that do not serve, though they should by now.
    pub(super) fn worker_findings(&self) -> Vec<Finding> {
        let now = Timestamp::from_origin(self.now);
        let serves = |state| matches!(state, WorkerState::Starting | WorkerState::Ready);
        let views: Vec<WorkerView> =
            self.fleet.workers().filter(|view| serves(view.state)).collect();
        let names: Vec<&str> = self.listeners.queues().map(|(name, ..)| name).collect();
        let census = self.listeners.census().ok();
        let mut findings = Vec::new();
        for (count, view) in views.iter().enumerate() {
            let (worker, age) = (view.worker.get(), now.since(view.started_at));
            let is_seen = count < MOST_SEEN && age >= SHORT;
            let unopened = if is_seen { self.unopened(view, census.as_ref()) } else { Vec::new() };
            let is_explained = !unopened.is_empty();
            findings.extend(unopened);
            if !is_explained && view.state == WorkerState::Starting && age >= LONG {
                findings.push(unready(worker, &self.readiness, self.kit.kind, &names));
            }
            if !is_explained && self.accepts_nobody(view.worker) {
                findings.push(deaf(worker));
            }
        }
        findings
    }

    /// The listeners that a worker was given and on which none of its processes waits.
    fn unopened(&self, view: &WorkerView, census: Option<&Census>) -> Vec<Finding> {
        let is_given = matches!(self.kit.kind, Kind::Systemd | Kind::Plain);
        let child = self.children.get(view.worker);
        let child = child.filter(|child| is_given && child.is_program() && child.has_process());
        let Some(child) = child else { return Vec::new() };
        let given = self.listeners.passed(view.worker);
        let sockets: Option<Vec<u64>> = given.iter().map(|(_, fd)| host::inode(fd)).collect();
        // Who answers somebody has no time to wait for others.
        let busy = census.and_then(|all| self.listeners.connections(view.worker, all));
        let sockets = sockets.filter(|sockets| !sockets.is_empty() && busy.unwrap_or(0) == 0);
        let holders = sockets.map(|sockets| attention::group(child.pid(), &sockets));
        let holders = holders.unwrap_or_default();
        let causes = given.iter().enumerate().filter_map(|(index, (passed, _))| {
            let (cause, is_sure) = cause(&holders, index)?;
            Some(unopened(view.worker.get(), passed, &cause, is_sure))
        });
        causes.collect()
    }
}

#[cfg(test)]
mod tests;
