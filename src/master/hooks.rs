//! Commands of the operator's: before a worker, about a worker, and how many workers.
//!
//! They run beside the loop, which only learns of their end. What hangs is killed.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    num::NonZeroU16,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use dutch_master::WorkerId;
use tracing::{error, warn};

use super::{
    Master,
    children::{Child, End, Probe, Told},
    launch::{LaunchError, Name},
    source::Source,
};
use crate::sys::{
    Pid,
    host::{self, PipeRead},
    poll::Interest,
    reap::ExitStatus,
    signals,
    spawn::{self, ExecResult, Spawned},
};

/// What `NUM_WORKERS_COMMAND` gets to find a number.
const COUNT_TIMEOUT: Duration = Duration::from_secs(30);
/// A probe that takes longer is answered by that.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// A number of workers is at most five digits; the rest is white space.
const LONGEST_COUNT: usize = 64;
const KILL: i32 = 9;

/// Hooks that run now, but for `BEFORE_FORK`, which stands for its worker.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    running: BTreeMap<Pid, Hook>,
    count: Option<Count>,
    /// The fleet's first workers wait for their number.
    is_boot_held: bool,
}

#[derive(Debug)]
struct Hook {
    purpose: Purpose,
    kill_at: Duration,
    exec_status: OwnedFd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Probe(WorkerId),
    Count,
    /// Nobody wants to know any more.
    Nothing,
}

#[derive(Debug)]
struct Count {
    pipe: OwnedFd,
    text: Vec<u8>,
}

impl Hooks {
    /// Whether the fleet must not start anybody yet.
    pub(crate) const fn is_boot_held(&self) -> bool {
        self.is_boot_held
    }

    pub(crate) fn hold_boot(&mut self) {
        self.is_boot_held = true;
    }

    pub(crate) fn release_boot(&mut self) {
        self.is_boot_held = false;
    }

    pub(crate) fn owns(&self, pid: Pid) -> bool {
        self.running.contains_key(&pid)
    }

    /// Kills a hook that nobody waits for any more.
    pub(crate) fn abandon(&mut self, pid: Pid) {
        if let Some(hook) = self.running.get_mut(&pid) {
            hook.purpose = Purpose::Nothing;
            let _ = signals::kill_group(pid, KILL);
        }
    }

    /// Kills every hook: we leave, and nobody would hear its answer.
    pub(crate) fn abandon_all(&mut self) {
        for (pid, hook) in &mut self.running {
            hook.purpose = Purpose::Nothing;
            let _ = signals::kill_group(*pid, KILL);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.running.values().map(|hook| hook.kill_at).min()
    }

    fn note(&mut self, spawned: Spawned, purpose: Purpose, kill_at: Duration) -> Pid {
        let Spawned { pid, exec_status } = spawned;
        self.running.insert(pid, Hook { purpose, kill_at, exec_status });
        pid
    }
}

impl Master {
    pub(super) fn look_at_hooks(&mut self) {
        let now = self.now;
        for (pid, hook) in self.hooks.running.iter_mut().filter(|(_, hook)| hook.kill_at <= now) {
            // Once more in an hour, should even SIGKILL need to wait for the kernel.
            hook.kill_at = now.saturating_add(Duration::from_secs(3600));
            let _ = signals::kill_group(*pid, KILL);
        }
    }

    pub(super) fn run_before_fork(&self, name: Name) -> Result<Spawned, String> {
        let command = self.config.before_fork.as_deref().unwrap_or_default();
        let release = self.releases.get(&name.generation).ok_or("its release is gone")?;
        let launched = self.kit.launch_hook(command, Some(name), release, &[], None);
        launched.map_err(|error| error.to_string())
    }

    /// `BEFORE_FORK` is over: the worker's turn, or a start that failed.
    pub(super) fn on_before_fork_exit(&mut self, id: WorkerId, status: ExitStatus) {
        let (Some(name), Some(child)) = (self.name_of(id), self.children.remove(id)) else {
            return;
        };
        let problem = child.exec_status.as_ref().and_then(exec_problem);
        let is_leaving = child.is_leaving || child.told != Told::Nobody;
        match problem {
            None if status.code() == Some(0) && !is_leaving => self.start_process(name),
            problem => {
                let said = match problem {
                    Some(problem) => format!("BEFORE_FORK failed: {problem}"),
                    None if status.code() == Some(0) => "not wanted any more".to_owned(),
                    None => format!("BEFORE_FORK failed: {status:?}"),
                };
                let mut gone = Child::new(name.slot, name.generation, child.pid(), self.now);
                gone.is_leaving = is_leaving;
                self.children.insert(id, gone);
                self.not_started(name, &End::NotStarted(said));
            }
        }
    }

    /// Asks READY=exec's command about a worker.
    pub(super) fn run_probe(&mut self, id: WorkerId) {
        let crate::config::Ready::Exec(command) = &self.config.ready else { return };
        let Some(name) = self.name_of(id) else { return };
        let pid = self.children.get(id).map(|child| child.pid().to_string()).unwrap_or_default();
        let extra = [("DUTCH_MASTER_WORKER_PID".into(), pid.into())];
        let Some(release) = self.releases.get(&name.generation) else { return };
        match self.kit.launch_hook(command, Some(name), release, &extra, None) {
            Ok(spawned) => {
                self.listeners.forked(self.now);
                let kill_at = self.now.saturating_add(PROBE_TIMEOUT);
                let pid = self.hooks.note(spawned, Purpose::Probe(id), kill_at);
                if let Some(child) = self.children.get_mut(id) {
                    child.probe = Probe::Running { pid };
                }
            }
            Err(error) => {
                self.say_of_probe(id, &error.to_string());
                self.settle_probe(id, false);
            }
        }
    }

    /// Says once of each worker that its probe can't run: it is tried four times a second.
    fn say_of_probe(&mut self, id: WorkerId, problem: &str) {
        let Some(child) = self.children.get_mut(id) else { return };
        if !std::mem::replace(&mut child.heard.no_probe, true) {
            warn!(target: "worker", worker = id.get(), problem, "READY command does not run");
        }
    }

    pub(super) fn on_hook_exit(&mut self, pid: Pid, status: ExitStatus) {
        let Some(hook) = self.hooks.running.remove(&pid) else { return };
        let problem = exec_problem(&hook.exec_status);
        match hook.purpose {
            Purpose::Nothing => {}
            Purpose::Count => self.on_count(status, problem),
            Purpose::Probe(id) => {
                if let Some(problem) = problem {
                    self.say_of_probe(id, &problem);
                }
                self.settle_probe(id, status.code() == Some(0));
            }
        }
    }

    /// Runs `NUM_WORKERS_COMMAND`; its answer starts the roll that asked for it.
    pub(super) fn ask_for_count(&mut self) {
        if self.hooks.count.is_some() {
            return;
        }
        let command: Vec<OsString> = self.config.num_workers_command.clone().unwrap_or_default();
        let started = self.start_count(&command);
        if let Err(problem) = started {
            self.after_count(Err(problem));
        }
    }

    fn start_count(&mut self, command: &[OsString]) -> Result<(), String> {
        let told = |error: LaunchError| error.to_string();
        let (pipe, end) = host::pipe().map_err(|error| error.to_string())?;
        let release = self.sources.snapshot_in_time().map_err(|error| error.to_string())?;
        let spawned =
            self.kit.launch_hook(command, None, &release, &[], Some(end.as_fd())).map_err(told)?;
        self.listeners.forked(self.now);
        let kill_at = self.now.saturating_add(COUNT_TIMEOUT);
        self.hooks.note(spawned, Purpose::Count, kill_at);
        self.poll
            .add(&pipe, Source::Count.token(), Interest::Read)
            .map_err(|error| error.to_string())?;
        self.hooks.count = Some(Count { pipe, text: Vec::new() });
        Ok(())
    }

    pub(super) fn read_count(&mut self) {
        let Some(count) = &mut self.hooks.count else { return };
        match host::read_pipe(&count.pipe) {
            PipeRead::Bytes(bytes) => {
                let room = LONGEST_COUNT.saturating_sub(count.text.len());
                count.text.extend(bytes.into_iter().take(room));
            }
            // Its end wakes us no more; the number counts when the command has exited.
            PipeRead::End => drop(self.poll.remove(&count.pipe)),
            PipeRead::Nothing => {}
        }
    }

    fn on_count(&mut self, status: ExitStatus, problem: Option<String>) {
        self.read_count();
        let Some(count) = self.hooks.count.take() else { return };
        let text = String::from_utf8_lossy(&count.text).trim().to_owned();
        self.after_count(match (problem, status.code()) {
            (Some(problem), _) => Err(problem),
            (None, Some(0)) => text
                .parse::<NonZeroU16>()
                .map_err(|_| format!("printed {text:?}, not a number from 1 to 65535")),
            (None, _) => Err(format!("ended with {status:?}")),
        });
    }

    fn after_count(&mut self, counted: Result<NonZeroU16, String>) {
        match counted {
            Ok(count) => self.scale_to(count, "NUM_WORKERS_COMMAND"),
            Err(problem) => {
                let workers = self.fleet.target();
                error!(target: "master", problem, workers, "NUM_WORKERS_COMMAND failed, keeping the number");
            }
        }
        if self.hooks.is_boot_held {
            self.hooks.release_boot();
            // Who asked for a roll meanwhile gets one, after the boot that it came in the way of.
            if self.record.asked.is_none() {
                return;
            }
        }
        if !self.fleet.is_stopping() {
            self.roll();
        }
    }
}

fn exec_problem(exec_status: &OwnedFd) -> Option<String> {
    match spawn::exec_result(exec_status) {
        ExecResult::Failed(error) => Some(error.to_string()),
        ExecResult::Pending | ExecResult::Running => None,
    }
}
