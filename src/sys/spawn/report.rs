//! How the child tells that a step failed: one short message over a pipe.

use rustix::io::Errno as Raw;
use std::ffi::{CStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::{fmt, io::IoSlice};

use crate::sys::Errno;

/// The steps of a start, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Step {
    /// Making the pipe for this very report.
    Pipe,
    /// fork(2): EAGAIN means that the pids cgroup or `RLIMIT_NPROC` is full.
    Fork,
    /// setsid(2) or setpgid(2).
    Group,
    /// Giving the terminal to the child.
    Foreground,
    /// fchdir(2).
    Directory,
    /// Putting descriptors in their places.
    Descriptors,
    /// Closing all other descriptors.
    CloseOthers,
    /// Writing `/proc/self/oom_score_adj`.
    OomScore,
    /// setpriority(2).
    Nice,
    /// setrlimit(2).
    ResourceLimit,
    /// setgroups(2).
    SupplementaryGroups,
    /// setgid(2).
    GroupId,
    /// setuid(2).
    UserId,
    /// prctl(2) `PR_SET_PDEATHSIG`; ESRCH: the parent has died meanwhile.
    ParentDeathSignal,
    /// prctl(2) `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// seccomp(2).
    Filter,
    /// Sending us what the filter asks through.
    PassListener,
    /// execve(2) of a file that is not there or may not be executed.
    Exec,
    /// execve(2) of a file that is there, but whose interpreter or loader is not.
    Interpreter,
}

const STEPS: &[(Step, &str)] = &[
    (Step::Pipe, "make a pipe"),
    (Step::Fork, "fork"),
    (Step::Group, "make a process group"),
    (Step::Foreground, "hand over the terminal"),
    (Step::Directory, "change the directory"),
    (Step::Descriptors, "place the descriptors"),
    (Step::CloseOthers, "close other descriptors"),
    (Step::OomScore, "set oom_score_adj"),
    (Step::Nice, "set the nice value"),
    (Step::ResourceLimit, "set a resource limit"),
    (Step::SupplementaryGroups, "set the supplementary groups"),
    (Step::GroupId, "set the group id"),
    (Step::UserId, "set the user id"),
    (Step::ParentDeathSignal, "set the parent-death signal"),
    (Step::NoNewPrivileges, "set no_new_privs"),
    (Step::Filter, "set a seccomp filter"),
    (Step::PassListener, "pass the seccomp listener"),
    (Step::Exec, "execute"),
    (Step::Interpreter, "execute"),
];

impl Step {
    fn number(self) -> u8 {
        let place = STEPS.iter().position(|&(step, _)| step == self).unwrap_or_default();
        u8::try_from(place).unwrap_or_default()
    }

    fn text(self) -> &'static str {
        STEPS.iter().find(|&&(step, _)| step == self).map_or("", |&(_, text)| text)
    }
}

/// Why a process could not be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SpawnError {
    /// Which step failed.
    pub(crate) step: Step,
    /// Why.
    pub(crate) errno: Errno,
    /// On what: the file to execute; empty for the steps that have no path.
    pub(crate) path: OsString,
}

impl SpawnError {
    pub(super) fn new(step: Step, errno: Errno) -> Self {
        Self { step, errno, path: OsString::new() }
    }

    /// The exit code that a shell has for this: 127 not found, 126 found but not executable or any
    /// other step.
    pub(crate) fn shell_code(&self) -> u8 {
        shell_code(self.step, self.errno)
    }

    /// Whether there is no such file, or one of those it needs.
    pub(crate) fn is_missing(&self) -> bool {
        self.errno.0 == libc::ENOENT
    }

    /// Whether we may not.
    pub(crate) fn is_denied(&self) -> bool {
        self.errno.0 == libc::EACCES
    }

    /// Whether there never was a child.
    pub(crate) fn is_before_child(&self) -> bool {
        matches!(self.step, Step::Pipe | Step::Fork)
    }

    /// Whether the kernel does not know how to execute such a file.
    pub(crate) fn is_unknown_format(&self) -> bool {
        self.errno.0 == libc::ENOEXEC
    }
}

pub(super) fn shell_code(step: Step, errno: Errno) -> u8 {
    let missing = matches!(errno.0, libc::ENOENT | libc::ENOTDIR);
    if step == Step::Exec && missing { 127 } else { 126 }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match (self.step, self.errno.0) {
            (Step::Exec, libc::ENOEXEC) => {
                write!(out, "{path}: exec format error: missing shebang or wrong architecture")
            }
            (Step::Exec, libc::ENOENT) => write!(out, "{path}: not found"),
            (Step::Exec, _) => write!(out, "{path}: {}", self.errno),
            (Step::Interpreter, _) => {
                write!(out, "{path}: its interpreter (#! line) or dynamic loader is missing")
            }
            (Step::Fork, libc::EAGAIN) => {
                out.write_str("cannot fork: no room for a process (pids cgroup or RLIMIT_NPROC)")
            }
            (step, _) => write!(out, "cannot {}: {}", step.text(), self.errno),
        }
    }
}

impl std::error::Error for SpawnError {}

/// What became of a start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ExecResult {
    /// Still between fork and exec.
    Pending,
    /// The program runs, or the child was killed before it could say anything.
    Running,
    /// A step failed; the child exits with [`SpawnError::shell_code`].
    Failed(SpawnError),
}

/// A message is never longer: a pipe takes up to 4096 bytes in one piece.
const LONGEST: usize = 4096;
/// Step and error number.
const HEAD: usize = 5;

/// Asks how a start went; never blocks.
pub(crate) fn exec_result(exec_status: &impl AsFd) -> ExecResult {
    let mut message = [0; LONGEST];
    match rustix::io::retry_on_intr(|| rustix::io::read(exec_status, &mut message)) {
        Err(Raw::AGAIN) => ExecResult::Pending,
        Ok(length) => {
            let message = message.get(..length).and_then(parse);
            message.map_or(ExecResult::Running, ExecResult::Failed)
        }
        Err(_) => ExecResult::Running,
    }
}

fn parse(message: &[u8]) -> Option<SpawnError> {
    let (&[number, a, b, c, d], path) = message.split_first_chunk::<HEAD>()?;
    let &(step, _) = STEPS.get(usize::from(number))?;
    let errno = Errno(i32::from_ne_bytes([a, b, c, d]));
    Some(SpawnError { step, errno, path: OsString::from_vec(path.to_vec()) })
}

/// The child's side; makes one system call and no allocation.
pub(super) fn send(report: BorrowedFd<'_>, step: Step, errno: Errno, path: Option<&CStr>) {
    let [a, b, c, d] = errno.0.to_ne_bytes();
    let head = [step.number(), a, b, c, d];
    let path = path.map(CStr::to_bytes).unwrap_or_default();
    let path = path.get(..path.len().min(LONGEST.saturating_sub(HEAD))).unwrap_or_default();
    let _ = rustix::io::writev(report, &[IoSlice::new(&head), IoSlice::new(path)]);
}
