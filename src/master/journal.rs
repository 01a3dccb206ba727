//! Every fact and every decision, once, in the words of the log.

use dutch_master::{Action, LeaveCause, Milestone, Outcome, StartCause, WorkerId};
use tracing::{debug, error, info, warn};

use super::children::{Child, End};
use crate::contract::{Kind, Readiness};

/// The pid to show for a worker; none while it has no process.
fn pid(child: Option<&Child>) -> Option<u64> {
    child.and_then(|child| u64::try_from(child.pid().get()).ok())
}

/// A decision of the core, before it is carried out. `is_boot` until the fleet has come up once.
pub(crate) fn decided(action: Action, child: Option<&Child>, is_boot: bool, why: Option<&str>) {
    let slot = child.map(|child| u64::from(child.slot.get()));
    let generation = child.map(|child| u64::from(child.generation.get()));
    let pid = pid(child);
    match action {
        Action::Start { worker, slot, generation, cause } => {
            let (slot, generation) = (slot.get(), generation.get());
            let worker = worker.get();
            let why = why_started(cause);
            info!(target: "worker", slot, worker, generation, why, "worker starting");
        }
        Action::Drain { worker, cause } => {
            let worker = worker.get();
            let why = why_left(cause);
            info!(target: "worker", slot, worker, pid, generation, why, "draining worker");
        }
        Action::Terminate { worker, cause: cause @ LeaveCause::Drained } => {
            let worker = worker.get();
            let why = why_left(cause);
            debug!(target: "worker", slot, worker, pid, generation, why, "terminating worker");
        }
        Action::Terminate { worker, cause } => {
            let worker = worker.get();
            let why = why_left(cause);
            info!(target: "worker", slot, worker, pid, generation, why, "terminating worker");
        }
        Action::Kill { worker, cause } => {
            let worker = worker.get();
            let why = why_left(cause);
            warn!(target: "worker", slot, worker, pid, generation, why, "killing worker");
        }
        Action::Announce(milestone) => announced(milestone, is_boot, why),
        Action::Exit(outcome) => leaving(outcome),
    }
}

fn announced(milestone: Milestone, is_boot: bool, why: Option<&str>) {
    match milestone {
        Milestone::RollStarted { from: Some(from), to } => {
            let (from, generation) = (from.get(), to.get());
            info!(target: "roll", from, generation, "roll started");
        }
        Milestone::RollStarted { from: None, to } => {
            info!(target: "roll", generation = to.get(), "boot started");
        }
        Milestone::CanaryReady(generation) => {
            info!(target: "roll", generation = generation.get(), "canary ready");
        }
        Milestone::AllReady(generation) => {
            info!(target: "roll", generation = generation.get(), boot = is_boot, "every worker ready");
        }
        Milestone::Settled(generation) => {
            info!(target: "roll", generation = generation.get(), boot = is_boot, "roll complete");
        }
        Milestone::RollFailed { from, to: Some(to) } => {
            let (generation, back_to) = (from.get(), to.get());
            error!(target: "roll", generation, back_to, why, "roll failed");
        }
        Milestone::RollFailed { from, to: None } => {
            error!(target: "roll", generation = from.get(), why, "roll failed");
        }
    }
}

fn leaving(outcome: Outcome) {
    match outcome {
        Outcome::Stopped => info!(target: "master", "stopped"),
        Outcome::Forced => {
            warn!(target: "master", problem = "a worker had to be killed", "stopped");
        }
        Outcome::TimedOut => {
            error!(target: "master", problem = "a worker outlived SIGKILL", "stopped");
        }
        Outcome::GaveUp => {
            error!(target: "master", problem = "no worker could be brought up", "gave up");
        }
    }
}

pub(crate) const fn why_started(cause: StartCause) -> &'static str {
    match cause {
        StartCause::Boot => "boot",
        StartCause::Scale => "scale",
        StartCause::Roll => "roll",
        StartCause::Revert => "going back",
        StartCause::Crash => "predecessor exited",
        StartCause::Left => "predecessor left",
        StartCause::Requested => "predecessor asked",
        StartCause::Lifetime => "predecessor too old",
        StartCause::Memory => "predecessor too large",
        StartCause::Watchdog => "predecessor silent",
    }
}

pub(crate) const fn why_left(cause: LeaveCause) -> &'static str {
    match cause {
        LeaveCause::Replaced => "replaced",
        LeaveCause::Surplus => "surplus",
        LeaveCause::Late => "not ready in time",
        LeaveCause::Withdrawn => "not wanted any more",
        LeaveCause::Stop => "stop",
        LeaveCause::Left => "left by itself",
        LeaveCause::Drained => "drained",
        LeaveCause::Overstayed => "took too long",
        LeaveCause::Immediate => "told to hurry",
    }
}

/// A worker's process exists.
pub(crate) fn spawned(worker: WorkerId, child: &Child) {
    let (slot, generation, pid) = (child.slot.get(), child.generation.get(), pid(Some(child)));
    debug!(target: "worker", slot, worker = worker.get(), pid, generation, "worker spawned");
}

/// A worker serves.
pub(crate) fn ready(worker: WorkerId, child: &Child, after: core::time::Duration) {
    let (slot, generation, pid) = (child.slot.get(), child.generation.get(), pid(Some(child)));
    let worker = worker.get();
    let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    info!(target: "worker", slot, worker, pid, generation, after_ms, "worker ready");
}

/// A worker stopped serving by itself.
pub(crate) fn disconnected(worker: WorkerId, child: &Child) {
    let (slot, generation, pid) = (child.slot.get(), child.generation.get(), pid(Some(child)));
    info!(target: "worker", slot, worker = worker.get(), pid, generation, "worker disconnected");
}

/// A worker wants to be replaced.
pub(crate) fn asked(worker: WorkerId, child: &Child, why: &str) {
    let (slot, generation, pid) = (child.slot.get(), child.generation.get(), pid(Some(child)));
    let worker = worker.get();
    info!(target: "worker", slot, worker, pid, generation, why, "worker to be replaced");
}

/// A worker's first process is gone, or never was.
pub(crate) fn ended(worker: WorkerId, child: &Child, end: &End) {
    let (slot, generation, worker) = (child.slot.get(), child.generation.get(), worker.get());
    let pid = pid(Some(child));
    match end {
        End::NotExecuted(problem) => {
            error!(target: "worker", slot, worker, generation, problem = %problem, code = problem.shell_code(), "worker not executed");
        }
        End::NotStarted(problem) => {
            error!(target: "worker", slot, worker, generation, problem, "worker not started");
        }
        End::Exited(status) if child.is_leaving => {
            let (code, signal) = (status.code(), status.signal());
            info!(target: "worker", slot, worker, pid, generation, code, signal, "worker exited");
        }
        End::Exited(status) => {
            let (code, signal, reason) = (status.code(), status.signal(), &child.status);
            let reason = reason.as_deref();
            warn!(target: "worker", slot, worker, pid, generation, code, signal, reason, "worker exited");
        }
    }
}

/// The master stands; the workers come next.
pub(crate) fn starting(facts: &Starting<'_>) {
    info!(
        target: "master",
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        workers = facts.workers,
        workers_why = facts.workers_why,
        contract = %facts.kind,
        contract_why = facts.kind_why,
        ready = %facts.readiness,
        balance = facts.balance,
        stop_budget_s = facts.budget.as_secs(),
        advice = format!(
            "docker stop -t {0}, terminationGracePeriodSeconds: {0}",
            facts.budget.as_secs().saturating_add(5)
        ),
        "starting"
    );
}

/// What the first line of the log says.
pub(crate) struct Starting<'a> {
    pub(crate) workers: u16,
    pub(crate) workers_why: &'a str,
    pub(crate) kind: Kind,
    pub(crate) kind_why: &'a str,
    pub(crate) readiness: &'a Readiness,
    pub(crate) balance: &'a str,
    pub(crate) budget: core::time::Duration,
}

/// Every cause of a start, as the metrics call it.
pub(crate) const CAUSES: [(StartCause, &str); 10] = [
    (StartCause::Boot, "boot"),
    (StartCause::Scale, "scale"),
    (StartCause::Roll, "roll"),
    (StartCause::Revert, "revert"),
    (StartCause::Crash, "crash"),
    (StartCause::Left, "left"),
    (StartCause::Requested, "requested"),
    (StartCause::Lifetime, "lifetime"),
    (StartCause::Memory, "memory"),
    (StartCause::Watchdog, "watchdog"),
];
