//! What the child does: a straight list of system calls, each with its reason.
//!
//! Nothing here allocates, locks or unwinds: the process may have had threads, and one of them may
//! have held a lock that nobody will ever release in this copy.
//!
//! # Safety: why this file
//!
//! execve(2) takes arrays of pointers, which the parent prepares and this file keeps alive.
#![allow(unsafe_code, reason = "execve with prepared arrays")]

use rustix::{fs, io, process as kernel, thread};
use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::descriptors::Table;
use super::number::Number;
use super::{Credentials, Filter, Group, Launch, SpawnError, Step, report};
use crate::sys::limits::OomScore;
use crate::sys::signals::{self, Set};
use crate::sys::{Errno, seccomp};

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

/// Everything that the child needs, made by the parent.
pub(super) struct Plan<'a> {
    launch: &'a Launch<'a>,
    /// None: our parent's memory is ours, and so is its table of descriptors.
    report: Option<OwnedFd>,
    failed: Option<Failure<'a>>,
    table: Table<'a>,
    parent: kernel::Pid,
    parents_group: i32,
    argv: Vec<*const c_char>,
    /// Ends in three nulls: the first two make room for the variables that hold our own pid.
    env: Vec<*const c_char>,
    /// Where in `env` these two are.
    own_place: usize,
    pid_variable: Number,
    pidfd_variable: Number,
    oom_score: Number,
    /// None: we are in these groups already, and asking again takes a privilege.
    groups: Option<Vec<thread::Gid>>,
}

/// The step that failed, why, and on which file.
#[derive(Clone, Copy)]
struct Failure<'a>(Step, Errno, Option<&'a CStr>);

impl From<(Step, Errno)> for Failure<'_> {
    fn from((step, errno): (Step, Errno)) -> Self {
        Failure(step, errno, None)
    }
}

/// Names the step that a system call belongs to.
trait At<T> {
    fn at<'a>(self, step: Step) -> Result<T, Failure<'a>>;
}

impl<T> At<T> for io::Result<T> {
    fn at<'a>(self, step: Step) -> Result<T, Failure<'a>> {
        self.map_err(|errno| Failure(step, errno.into(), None))
    }
}

impl<'a> Plan<'a> {
    /// Prepares it all; the last moment at which memory may be asked for.
    pub(super) fn new(launch: &'a Launch<'a>, report: Option<OwnedFd>) -> Self {
        let pointers =
            |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let mut argv = pointers(&launch.argv);
        argv.push(ptr::null());
        let mut env = launch.env.as_deref().map_or_else(inherited, pointers);
        let own_place = env.len();
        env.extend([ptr::null(); 3]);
        let mut oom_score = Number::new(b"");
        if let OomScore::Prefer(score) | OomScore::Require(score) = launch.limits.oom_score_adj {
            oom_score.set(i64::from(score));
        }
        Self {
            launch,
            report,
            failed: None,
            table: Table::new(&launch.fds),
            parent: kernel::getpid(),
            // SAFETY: touches no memory.
            parents_group: unsafe { libc::getpgrp() },
            argv,
            env,
            own_place,
            pid_variable: Number::new(b"LISTEN_PID="),
            pidfd_variable: Number::new(b"LISTEN_PIDFDID="),
            oom_score,
            groups: launch.credentials.as_ref().and_then(new_groups),
        }
    }

    /// Runs in the child. If it comes back, that is the code to exit with.
    pub(super) fn run(&mut self) -> i32 {
        let Err(failure) = self.steps();
        let Failure(step, errno, path) = failure;
        if let Some(pipe) = &self.report {
            report::send(pipe.as_fd(), step, errno, path);
        }
        self.failed = Some(failure);
        i32::from(report::shell_code(step, errno))
    }

    /// For a parent whose memory the child had: what went wrong there.
    pub(super) fn failure(&self) -> Option<SpawnError> {
        let Failure(step, errno, path) = self.failed?;
        let path = path.map(|path| OsStr::from_bytes(path.to_bytes()).to_owned());
        Some(SpawnError { step, errno, path: path.unwrap_or_default() })
    }

    fn steps(&mut self) -> Result<Infallible, Failure<'a>> {
        let launch = self.launch;
        // First, so that a signal to the group reaches us from the earliest moment.
        join(launch.group, self.parents_group)?;
        // Before the credentials: the directory may be open to us only.
        launch.cwd.map_or(Ok(()), kernel::fchdir).at(Step::Directory)?;
        // Before its number may become another's.
        let listener_to = launch.filter.map(|filter| self.table.spare(filter.to)).transpose()?;
        // Before the limits: RLIMIT_NOFILE may be lower than a target.
        if let Some(report) = &mut self.report {
            self.table.place(report)?;
            self.table.close_others(report)?;
        }
        self.name_ourselves();
        // Before the credentials: these may take a privilege.
        self.set_oom_score()?;
        let nice = launch.limits.nice.map(i32::from);
        nice.map_or(Ok(()), |nice| kernel::setpriority_process(None, nice)).at(Step::Nice)?;
        self.set_limits()?;
        self.become_user()?;
        // After the credentials: changing them takes the parent-death signal back.
        self.follow_parent()?;
        // After everything that takes a privilege.
        if launch.limits.no_new_privs {
            thread::set_no_new_privs(true).at(Step::NoNewPrivileges)?;
        }
        // After no_new_privs, without which it takes a privilege.
        if let (Some(Filter { program, .. }), Some(to)) = (launch.filter, listener_to) {
            filter(program, &to)?;
        }
        // Last but one: a signal that came meanwhile acts now, on us as it would on the program.
        signals::restore_dispositions();
        Set::EMPTY.block();
        self.execute()
    }

    /// The variables that only we can know the value of. A pidfd's inode number names a process for
    /// good only on pidfs (Linux 6.9); elsewhere all pidfds share one, and the variable is left out.
    fn name_ourselves(&mut self) {
        if !self.launch.own_pid_env {
            return;
        }
        let mut own = self.env.iter_mut().skip(self.own_place);
        if let Some(place) = own.next() {
            *place = self.pid_variable.set(i64::from(kernel::getpid().as_raw_nonzero().get()));
        }
        if let (Some(place), Some(inode)) = (own.next(), pidfd_inode()) {
            *place = self.pidfd_variable.set(inode);
        }
    }

    fn set_oom_score(&self) -> Result<(), Failure<'a>> {
        let written = || {
            let flags = fs::OFlags::WRONLY | fs::OFlags::CLOEXEC;
            let file = fs::open(c"/proc/self/oom_score_adj", flags, fs::Mode::empty())?;
            io::write(&file, self.oom_score.text())
        };
        match self.launch.limits.oom_score_adj {
            OomScore::Keep => Ok(()),
            OomScore::Prefer(_) => {
                let _ = written();
                Ok(())
            }
            OomScore::Require(_) => written().map(drop).at(Step::OomScore),
        }
    }

    fn set_limits(&self) -> Result<(), Failure<'a>> {
        for limit in &self.launch.limits.rlimits {
            let values = kernel::Rlimit { current: limit.soft, maximum: limit.hard };
            kernel::setrlimit(limit.resource.0, values).at(Step::ResourceLimit)?;
        }
        Ok(())
    }

    /// Groups first: without root's user id we could not change them any more.
    fn become_user(&self) -> Result<(), Failure<'a>> {
        let Some(Credentials { uid, gid, .. }) = self.launch.credentials else { return Ok(()) };
        if let Some(groups) = &self.groups {
            thread::set_thread_groups(groups).at(Step::SupplementaryGroups)?;
        }
        // The calls of one thread are those of the process: after fork there is only one.
        thread::set_thread_gid(thread::Gid::from_raw(gid)).at(Step::GroupId)?;
        thread::set_thread_uid(thread::Uid::from_raw(uid)).at(Step::UserId)
    }

    fn follow_parent(&self) -> Result<(), Failure<'a>> {
        let Some(signal) = self.launch.limits.pdeathsig else { return Ok(()) };
        // SAFETY: prctl with this option takes a number and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) } == -1 {
            return Err(Failure(Step::ParentDeathSignal, last_errno(), None));
        }
        // If the parent died before that call, no signal will ever come.
        if kernel::getppid() == Some(self.parent) {
            Ok(())
        } else {
            Err(Failure(Step::ParentDeathSignal, Errno(libc::ESRCH), None))
        }
    }

    /// As execvp(3): what is missing in one place may be in the next; a refusal is remembered.
    fn execute(&self) -> Result<Infallible, Failure<'a>> {
        let launch = self.launch;
        let name = if launch.candidates.len() == 1 { &launch.candidates } else { &launch.argv };
        let name = name.first().map(CString::as_c_str);
        let mut worst = Failure(Step::Exec, Errno(libc::ENOENT), name);
        for path in &launch.candidates {
            // SAFETY: the path and both arrays end in a null, every pointer in the arrays is to text
            // that ends in a null too, and `launch` and `self` keep all of it alive.
            unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.env.as_ptr()) };
            let errno = last_errno();
            match errno.0 {
                libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE => {
                    if worst.1.0 == libc::ENOENT && fs::access(path, fs::Access::EXISTS).is_ok() {
                        worst = Failure(Step::Interpreter, errno, Some(path));
                    }
                }
                libc::EACCES => worst = Failure(Step::Exec, errno, Some(path)),
                _ => return Err(Failure(Step::Exec, errno, Some(path))),
            }
        }
        Err(worst)
    }
}

/// From here on, whoever makes a server's socket waits for us.
fn filter(program: &seccomp::Program, to: &OwnedFd) -> Result<(), Failure<'static>> {
    let failed = |step| move |errno| Failure(step, errno, None);
    let (listener, _) = seccomp::install(program).map_err(failed(Step::Filter))?;
    seccomp::pass(to.as_fd(), listener.as_fd()).map_err(failed(Step::PassListener))
}

fn last_errno() -> Errno {
    nix::errno::Errno::last().into()
}

/// Our own variables, as they lie in our memory.
fn inherited() -> Vec<*const c_char> {
    let mut found = Vec::new();
    // SAFETY: an array of pointers that ends in a null, or null itself; nobody here changes it.
    unsafe {
        let mut place = environ;
        while !place.is_null() && !(*place).is_null() {
            found.push(*place);
            place = place.add(1);
        }
    }
    found
}

fn join(group: Group, parents_group: i32) -> Result<(), Failure<'static>> {
    match group {
        Group::Inherit => Ok(()),
        Group::Own => kernel::setpgid(None, None).at(Step::Group),
        Group::SessionWithTerminal => {
            kernel::setsid().at(Step::Group)?;
            // Another session may own the terminal, or descriptor 0 be none: then there is none for us.
            let _ = kernel::ioctl_tiocsctty(rustix::stdio::stdin());
            Ok(())
        }
        Group::Foreground => {
            kernel::setpgid(None, None).at(Step::Group)?;
            take_terminal(parents_group)
        }
    }
}

/// Takes the terminal only from our parent's own group: somebody else's job may be in front.
///
/// Without a terminal, or with one that has hung up, there is nothing to take. SIGTTOU is blocked. The
/// groups are plain numbers since zero is one: a group from outside our PID namespace.
fn take_terminal(from: i32) -> Result<(), Failure<'static>> {
    let terminal = libc::STDIN_FILENO;
    // SAFETY: numbers only.
    let refused = unsafe {
        libc::tcgetpgrp(terminal) == from && libc::tcsetpgrp(terminal, libc::getpid()) == -1
    };
    if refused { Err(Failure(Step::Foreground, last_errno(), None)) } else { Ok(()) }
}

/// The magic number of pidfs, statfs(2).
const PIDFS: i64 = 0x5049_4446;

fn pidfd_inode() -> Option<i64> {
    let own = kernel::pidfd_open(kernel::getpid(), kernel::PidfdFlags::empty()).ok()?;
    let lasting = fs::fstatfs(&own).ok()?.f_type == PIDFS;
    lasting.then(|| fs::fstat(&own).ok()?.st_ino.try_into().ok()).flatten()
}

/// The groups to set, if they are not ours already.
fn new_groups(credentials: &Credentials) -> Option<Vec<thread::Gid>> {
    let mut wanted = credentials.groups.clone();
    let ours = kernel::getgroups().unwrap_or_default();
    let mut ours: Vec<u32> = ours.into_iter().map(kernel::Gid::as_raw).collect();
    wanted.sort_unstable();
    ours.sort_unstable();
    (wanted != ours).then(|| wanted.into_iter().map(thread::Gid::from_raw).collect())
}
