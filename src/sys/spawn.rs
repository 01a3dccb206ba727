//! Starts a process: everything between fork and exec, and how its failure comes back.
//!
//! The parent prepares every byte; the child only walks down a straight list of system calls
//! (`child`). If one fails, the child writes which one, why, and on what path into a pipe that
//! closes by itself when exec succeeds: reading the end means that the program runs. A plain init's
//! child lives in its parent's memory until then, and leaves the same there.
//!
//! # Safety: why this file
//!
//! fork(2) leaves a child in which only async-signal-safe calls are allowed.
#![allow(unsafe_code, reason = "fork is unsafe in a process that may have threads")]

mod child;
mod descriptors;
mod number;
mod report;

pub(crate) use descriptors::let_go;
pub(crate) use report::{ExecResult, SpawnError, Step, exec_result};

use nix::unistd::ForkResult;
use rustix::{fs, pipe, process as kernel};
use std::ffi::{CString, OsStr, c_void};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::limits::Limits;
use super::seccomp;
use super::signals::Set;
use super::{Errno, Pid, panic};

/// Whom a process runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Credentials {
    /// The user id.
    pub(crate) uid: u32,
    /// The primary group id.
    pub(crate) gid: u32,
    /// All supplementary group ids.
    pub(crate) groups: Vec<u32>,
}

/// Which process group and session the child is in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Group {
    /// A process group of its own.
    #[default]
    Own,
    /// A session of its own with the terminal on descriptor 0, if no other session has it.
    SessionWithTerminal,
    /// A process group of its own, which gets the terminal on descriptor 0 if ours has it now.
    Foreground,
    /// Ours.
    Inherit,
}

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Launch<'a> {
    /// Paths to try in this order, as execvp(3) would; see [`candidates`].
    pub(crate) candidates: Vec<CString>,
    /// The arguments, with the program's own name first.
    pub(crate) argv: Vec<CString>,
    /// The environment, `NAME=value` each; None is ours.
    pub(crate) env: Option<Vec<CString>>,
    /// Adds `LISTEN_PID` and, where pidfds have lasting inode numbers, `LISTEN_PIDFDID`.
    pub(crate) own_pid_env: bool,
    /// The working directory; None is ours.
    pub(crate) cwd: Option<BorrowedFd<'a>>,
    /// Descriptor numbers in the child and what they are to be. All others from 3 on are closed.
    pub(crate) fds: Vec<(RawFd, BorrowedFd<'a>)>,
    /// Whom to run as; None is as we do.
    pub(crate) credentials: Option<Credentials>,
    /// Which process group.
    pub(crate) group: Group,
    /// Limits and the like.
    pub(crate) limits: Limits,
    /// Which of its system calls we are asked about, if any. Needs `no_new_privs` among the limits.
    pub(crate) filter: Option<Filter<'a>>,
}

/// A filter that a process is put below, and where its listener is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter<'a> {
    /// What it asks about.
    pub(crate) program: &'a seccomp::Program,
    /// The child's end of [`seccomp::pair`].
    pub(crate) to: BorrowedFd<'a>,
}

/// A process that was forked. Whether it got as far as its program, [`exec_result`] tells.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Its pid; ours to reap.
    pub(crate) pid: Pid,
    /// Readable when it is known how the start went.
    pub(crate) exec_status: OwnedFd,
}

/// Forks, and in the child does all that `launch` says and executes the program.
///
/// An error here means that there is no child. An error of the child comes by [`exec_result`].
pub(crate) fn spawn(launch: &Launch<'_>) -> Result<Spawned, SpawnError> {
    let (exec_status, report) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC)
        .and_then(|(read, write)| {
            fs::fcntl_setfl(&read, fs::OFlags::NONBLOCK)?;
            Ok((read, write))
        })
        .map_err(|errno| SpawnError::new(Step::Pipe, errno.into()))?;
    let mut plan = child::Plan::new(launch, Some(report));
    let pid = start(launch, || fork(&mut plan))?;
    Ok(Spawned { pid, exec_status })
}

/// The same, but the program gets every descriptor that we have, where it is; `launch.fds` has no
/// meaning. Comes back when the program runs, or with the failed child, which is ours to reap.
pub(crate) fn spawn_inheriting(launch: &Launch<'_>) -> Result<Pid, (Option<Pid>, SpawnError)> {
    let mut plan = child::Plan::new(launch, None);
    let pid = start(launch, || lend_memory(&mut plan)).map_err(|error| (None, error))?;
    plan.failure().map_or(Ok(pid), |error| Err((Some(pid), error)))
}

fn start(
    launch: &Launch<'_>,
    fork: impl FnOnce() -> Result<Pid, Errno>,
) -> Result<Pid, SpawnError> {
    // No handler may run in the child: it would swallow a signal that was meant for the program.
    let before = Set::FULL.block();
    let forked = fork();
    before.block();
    let pid = forked.map_err(|errno| SpawnError::new(Step::Fork, errno))?;
    if matches!(launch.group, Group::Own | Group::Foreground) {
        // The child does the same: whoever is first, the group exists when we return.
        let raw = kernel::Pid::from_raw(pid.get());
        let _ = kernel::setpgid(raw, raw);
    }
    Ok(pid)
}

fn fork(plan: &mut child::Plan<'_>) -> Result<Pid, Errno> {
    // SAFETY: the child calls nothing but `Plan::run`, which is made for that, and leaves.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => panic::leave(plan.run()),
        ForkResult::Parent { child } => Pid::new(child.as_raw()).ok_or(Errno(libc::ECHILD)),
    }
}

/// Room for the child's calls, in units of 16 bytes; the largest buffer there is 2 KiB.
const STACK: usize = 64 * 1024 / 16;

/// As fork, but the child runs in our memory, on a stack of its own, while we stand still until it has
/// executed its program (vfork(2)). It costs no copy, and a slow exec delays us: for who has nothing
/// else to do.
fn lend_memory(plan: &mut child::Plan<'_>) -> Result<Pid, Errno> {
    extern "C" fn run(plan: *mut c_void) -> i32 {
        // SAFETY: it is the plan given to clone below, and its owner stands still.
        unsafe { &mut *plan.cast::<child::Plan<'_>>() }.run()
    }
    let mut stack = Vec::<u128>::with_capacity(STACK);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    // SAFETY: stack and plan live until clone returns, which is when the child has left our memory; the
    // stack grows down from its aligned end; the child runs only what is made to run there, and ends
    // where that returns.
    let pid = unsafe { libc::clone(run, top.cast(), flags, ptr::from_mut(plan).cast()) };
    Pid::new(pid).ok_or_else(|| nix::errno::Errno::last().into())
}

/// Where execvp(3) would look when there is no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";

/// The paths to try for `program`: itself if it has a slash, else one for each part of `path`.
///
/// An empty part is the working directory. A name with a NUL byte gives no candidate.
pub(crate) fn candidates(program: &OsStr, path: Option<&OsStr>) -> Vec<CString> {
    let program = program.as_bytes();
    if program.contains(&b'/') || program.is_empty() {
        return CString::new(program).into_iter().collect();
    }
    let path = path.map_or(DEFAULT_PATH.as_bytes(), OsStr::as_bytes);
    path.split(|&byte| byte == b':')
        .filter_map(|part| {
            let slash: &[u8] = if part.is_empty() { b"" } else { b"/" };
            CString::new([part, slash, program].concat()).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests;
