//! Which process is which worker, and how far it has come.
//!
//! A worker is its process group: its first process may die while the others still serve (a shell
//! that was told to stop, say), so it is gone when the whole group is.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::OwnedFd,
    time::Duration,
};

use dutch_master::{Generation, SlotId, WorkerId};

use super::output::Outlet;
use crate::{
    contract::systemd::Link,
    sys::{Pid, diag, host, reap::ExitStatus, signals, spawn::SpawnError},
};

/// How a worker came to its end.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Its first process exited.
    Exited(ExitStatus),
    /// Its program could not be executed.
    NotExecuted(SpawnError),
    /// Something on the way to its process failed.
    NotStarted(String),
}

impl End {
    /// The exit code that a shell would give.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Exited(status) => status.shell_code(),
            Self::NotExecuted(error) => error.shell_code(),
            Self::NotStarted(_) => 1,
        }
    }
}

/// What stands for a worker now.
#[derive(Debug)]
pub(crate) enum Stage {
    /// `BEFORE_FORK` runs for it.
    Hook { pid: Pid },
    /// Its process is alive.
    Running { pid: Pid },
    /// Its first process is gone, others of its group are not.
    Orphaned { group: Pid },
}

/// One worker, as the shell knows it.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) slot: SlotId,
    pub(crate) generation: Generation,
    pub(crate) stage: Stage,
    /// The process of its group that matters, if it is not the first one (`MAINPID=` of `sd_notify(3)`).
    pub(crate) main: Option<Pid>,
    /// Read until the program runs or could not be executed.
    pub(crate) exec_status: Option<OwnedFd>,
    pub(crate) link: Option<Link>,
    pub(crate) outlets: Vec<Outlet>,
    /// The last lines that it printed, where its output passes through our hands.
    pub(crate) recent: VecDeque<String>,
    /// When its process was started.
    pub(crate) started: Duration,
    pub(crate) is_ready: bool,
    /// Whether it was told to go, in any way: its end is nobody's fault then.
    pub(crate) is_leaving: bool,
    /// Who of it got the stop signal.
    pub(crate) told: Told,
    /// While its connections are being waited for: when to look again.
    pub(crate) drain: Option<Drain>,
    /// What it says of itself.
    pub(crate) status: Option<String>,
    pub(crate) end: Option<End>,
    /// Nonsense it has sent.
    pub(crate) garbage: u32,
    /// What it has said that needs no second hearing.
    pub(crate) heard: Once,
    /// Samples in a row with too much memory.
    pub(crate) oversize: u32,
    /// The probe that runs for it, or when the next one is due.
    pub(crate) probe: Probe,
}

/// What a worker may say again and again, and what is heard once: a log is not its to fill.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four things, each heard or not by itself")]
pub(crate) struct Once {
    /// That it wants to be replaced.
    pub(crate) wish: bool,
    /// That it is going.
    pub(crate) farewell: bool,
    /// That READY=exec's command does not run.
    pub(crate) no_probe: bool,
    /// A descriptor too many for the store.
    pub(crate) overflow: bool,
}

/// Who of a worker's process group was told to stop. Nobody is told twice, which would mean "at once"
/// to many servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It serves.
    Nobody,
    /// The first process, whose affair the others are while it lives.
    First,
    /// All of it.
    All,
}

/// The state of READY=exec or READY=delay for one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Nothing to do.
    None,
    /// Look at this time.
    Due(Duration),
    /// A command runs.
    Running { pid: Pid },
}

/// A drain whose end we look for ourselves.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) began: Duration,
    pub(crate) look_at: Duration,
    /// The worker's own connections; nothing where the kernel does not show them.
    pub(crate) connections: Option<diag::drain::Drain>,
}

impl Child {
    /// A worker of which nothing exists yet but the intention.
    pub(crate) fn new(slot: SlotId, generation: Generation, pid: Pid, now: Duration) -> Self {
        Self {
            slot,
            generation,
            stage: Stage::Running { pid },
            main: None,
            exec_status: None,
            link: None,
            outlets: Vec::new(),
            recent: VecDeque::new(),
            started: now,
            is_ready: false,
            is_leaving: false,
            told: Told::Nobody,
            drain: None,
            status: None,
            end: None,
            garbage: 0,
            heard: Once::default(),
            oversize: 0,
            probe: Probe::None,
        }
    }

    /// Whether a process of it was ever started.
    pub(crate) fn has_process(&self) -> bool {
        self.pid() != Pid::own()
    }

    /// The pid to show.
    pub(crate) fn pid(&self) -> Pid {
        match self.stage {
            Stage::Hook { pid } | Stage::Running { pid } => pid,
            Stage::Orphaned { group } => group,
        }
    }

    /// Whether it is the worker itself, and not yet a hook that runs before it.
    pub(crate) const fn is_program(&self) -> bool {
        !matches!(self.stage, Stage::Hook { .. })
    }

    /// The process that matters: the first one, unless it said that another does.
    pub(crate) fn main_process(&self) -> Pid {
        let group = self.pid();
        self.main.filter(|&main| host::group_of(main) == Some(group)).unwrap_or(group)
    }

    /// Asks it to stop, once. A server's first process tells its others, of which some take the same
    /// signal for "at once" (uWSGI's workers: 19 requests cut in 5 rolls). A shell tells nobody.
    pub(crate) fn stop(&mut self, signal: i32, is_shell: bool) {
        match self.told {
            Told::Nobody if is_shell => {
                self.told = Told::All;
                self.signal(signal);
            }
            Told::Nobody => {
                self.told = Told::First;
                let _ = signals::kill(self.main_process(), signal);
            }
            Told::First | Told::All => {}
        }
    }

    /// Asks those who have outlived the first process, if only that was asked.
    pub(crate) fn stop_rest(&mut self, signal: i32) {
        if self.told == Told::First {
            self.told = Told::All;
            self.signal(signal);
        }
    }

    /// Sends a signal to the whole of it. A group that is gone has nothing to be told.
    pub(crate) fn signal(&self, signal: i32) {
        let _ = signals::kill_group(self.pid(), signal);
    }
}

/// Every worker, and every process we wait for.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// Boxed: their numbers only rise, which leaves a tree's nodes half empty.
    workers: BTreeMap<WorkerId, Box<Child>>,
    pids: BTreeMap<Pid, WorkerId>,
}

impl Children {
    pub(crate) fn insert(&mut self, id: WorkerId, child: Child) {
        self.pids.insert(child.pid(), id);
        self.workers.insert(id, Box::new(child));
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<&Child> {
        self.workers.get(&id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Child> {
        self.workers.get_mut(&id).map(Box::as_mut)
    }

    /// Whose process this is, its first one or its hook.
    pub(crate) fn of_pid(&self, pid: Pid) -> Option<WorkerId> {
        self.pids.get(&pid).copied()
    }

    /// Notes which process of a worker matters from now on.
    pub(crate) fn set_main(&mut self, id: WorkerId, pid: Pid) {
        let Some(child) = self.workers.get_mut(&id) else { return };
        let former = child.main.replace(pid).filter(|former| *former != child.pid());
        if let Some(former) = former {
            self.let_go(former, id);
        }
        self.pids.insert(pid, id);
    }

    /// Forgets a process unless it is another's by now.
    fn let_go(&mut self, pid: Pid, id: WorkerId) {
        if self.pids.get(&pid) == Some(&id) {
            self.pids.remove(&pid);
        }
    }

    /// Notes that a process is gone.
    pub(crate) fn forget_pid(&mut self, pid: Pid) {
        self.pids.remove(&pid);
    }

    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Child> {
        let child = self.workers.remove(&id)?;
        for pid in [Some(child.pid()), child.main].into_iter().flatten() {
            self.let_go(pid, id);
        }
        Some(*child)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Child)> {
        self.workers.iter().map(|(id, child)| (*id, &**child))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (WorkerId, &mut Child)> {
        self.workers.iter_mut().map(|(id, child)| (*id, &mut **child))
    }
}
