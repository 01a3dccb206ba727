//! Tries once whether capture works here: a child with the filter asks for a socket, and gets one.
//!
//! # Safety: why this file
//!
//! fork(2) leaves a child in which only async-signal-safe calls are allowed.
#![allow(unsafe_code, reason = "fork, and the child's few calls")]

use std::{
    fmt,
    os::fd::{AsFd, OwnedFd},
};

use nix::unistd::ForkResult;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketFlags, SocketType},
};

use super::{Asked, Heard, Listener, Program, Reply, install, pair, pass, take_listener};
use crate::sys::{Errno, Pid, panic, signals, signals::Set};

/// How long the child may take; it does next to nothing, but the machine may be busy.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// That it works, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ability {
    /// Signals do not interrupt a call that we have taken (Linux 5.19): else a worker whose timer
    /// fires all the time never gets its socket.
    pub(crate) is_undisturbed: bool,
}

/// Why it does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// There was no child to try it.
    NoChild(Errno),
    /// The filter was refused.
    Filter(Errno),
    /// What the filter shows could not be passed on or taken.
    Listener(Errno),
    /// A socket could not be handed over.
    HandOver(Errno),
    /// Nothing happened, or something else than should.
    Silence,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::Filter(Errno(libc::EBUSY)) => {
                "somebody else answers this container's system calls already (sysbox, LXD, WSL2's \
                 mirrored network)"
            }
            Self::Filter(Errno(libc::EINVAL)) => {
                "the kernel's filters can't ask us (gVisor, or Linux before 5.0)"
            }
            Self::Filter(Errno(libc::EPERM | libc::EACCES)) => {
                "the container may not set filters: its seccomp profile denies seccomp(2)"
            }
            Self::Filter(Errno(libc::ENOSYS)) => "the kernel has no seccomp(2)",
            Self::HandOver(Errno(libc::EINVAL)) => {
                "the kernel does not hand over sockets in one step: needs Linux 5.14"
            }
            Self::NoChild(errno) => return write!(f, "no process to try it with: {errno}"),
            Self::Filter(errno) => return write!(f, "the filter was refused: {errno}"),
            Self::Listener(errno) => return write!(f, "the filter can't be listened to: {errno}"),
            Self::HandOver(errno) => return write!(f, "a socket can't be handed over: {errno}"),
            Self::Silence => "a trial process did not get its socket",
        };
        f.write_str(sentence)
    }
}

impl Obstacle {
    /// What would help.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Filter(Errno(libc::EBUSY)) => {
                "another runtime, or servers that take their sockets from LISTEN"
            }
            Self::Filter(Errno(libc::EPERM | libc::EACCES)) => {
                "docker's default seccomp profile, or your own with seccomp(2) allowed"
            }
            Self::Filter(Errno(libc::EINVAL | libc::ENOSYS)) | Self::HandOver(_) => {
                "Linux 5.14 or later with runc or crun; else servers that take LISTEN's sockets"
            }
            _ => "see the log; servers that take their sockets from LISTEN need no capture",
        }
    }
}

/// Tries it.
pub(crate) fn probe() -> Result<Ability, Obstacle> {
    let program = Program::new(false, false);
    let (ours, theirs) = pair().map_err(Obstacle::Listener)?;
    let before = Set::FULL.block();
    // SAFETY: the child calls nothing but `trial`, which allocates nothing and never returns.
    let forked = match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => trial(&program, &theirs),
        Ok(ForkResult::Parent { child }) => Pid::new(child.as_raw()).ok_or(Errno(libc::ECHILD)),
        Err(errno) => Err(errno.into()),
    };
    before.block();
    drop(theirs);
    let child = forked.map_err(Obstacle::NoChild)?;
    let served = serve(&ours);
    if served.is_err() {
        // One that waits for us would wait for ever.
        let _ = signals::kill(child, signals::KILL);
    }
    let status = await_end(child);
    match (served, status) {
        (Ok(()), Some(0)) => Ok(Ability { is_undisturbed: true }),
        (Ok(()), Some(INTERRUPTIBLE)) => Ok(Ability { is_undisturbed: false }),
        (Ok(()), _) => Err(Obstacle::Silence),
        // Without a word from it, its exit code is the reason.
        (Err(Obstacle::Silence), Some(code)) => Err(Obstacle::Filter(Errno(code.into()))),
        (Err(obstacle), _) => Err(obstacle),
    }
}

/// The child's exit code for success on a kernel that lets signals interrupt. No error number.
const INTERRUPTIBLE: u8 = 200;
/// The child's exit code where a step failed that can't. No error number.
const STRANGE: i32 = 201;

/// What the child does.
fn trial(program: &Program, to: &OwnedFd) -> ! {
    let tried = || -> Result<i32, Errno> {
        rustix::thread::set_no_new_privs(true)?;
        let (listener, is_undisturbed) = install(program)?;
        pass(to.as_fd(), listener.as_fd())?;
        drop(listener);
        let Ok(socket) = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None) else {
            return Ok(STRANGE);
        };
        let is_ours = rustix::net::sockopt::socket_reuseport(&socket).unwrap_or_default();
        Ok(match (is_ours, is_undisturbed) {
            (false, _) => STRANGE,
            (true, true) => 0,
            (true, false) => i32::from(INTERRUPTIBLE),
        })
    };
    panic::leave(tried().unwrap_or_else(|errno| errno.0))
}

/// Answers the child's one call with a socket that it can tell from one of its own.
fn serve(from: &OwnedFd) -> Result<(), Obstacle> {
    await_readable(from)?;
    let listener = take_listener(from.as_fd()).map_err(Obstacle::Listener)?;
    let listener = listener.ok_or(Obstacle::Silence)?;
    await_readable(&listener)?;
    let mut listener = Listener::new(listener).map_err(Obstacle::Listener)?;
    let Heard::Call(call) = listener.receive().map_err(Obstacle::Listener)? else {
        return Err(Obstacle::Silence);
    };
    if !matches!(call.asked(), Asked::Socket(_)) {
        let _ = listener.reply(call.id, Reply::Continue);
        return Err(Obstacle::Silence);
    }
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| Obstacle::HandOver(errno.into()))?;
    rustix::net::sockopt::set_socket_reuseport(&socket, true)
        .map_err(|errno| Obstacle::HandOver(errno.into()))?;
    listener.give(call.id, socket.as_fd(), true).map(drop).map_err(Obstacle::HandOver)
}

fn await_readable(fd: &OwnedFd) -> Result<(), Obstacle> {
    let mut polled = [PollFd::new(fd, PollFlags::IN)];
    match rustix::io::retry_on_intr(|| poll(&mut polled, Some(&PATIENCE))) {
        Ok(1) => Ok(()),
        Ok(_) => Err(Obstacle::Silence),
        Err(errno) => Err(Obstacle::Listener(errno.into())),
    }
}

/// Waits for the child, which is about to end or has been killed. Returns its exit code.
fn await_end(child: Pid) -> Option<u8> {
    let pid = rustix::process::Pid::from_raw(child.get())?;
    let options = rustix::process::WaitOptions::empty();
    let waited = rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(pid), options));
    let (_, status) = waited.ok().flatten()?;
    u8::try_from(status.exit_status()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_it_works_and_leaves_no_descriptor_and_no_child() {
        crate::sys::testing::alone(
            "sys::seccomp::probe::tests::here_it_works_and_leaves_no_descriptor_and_no_child",
            || {
                let before = crate::sys::testing::open_descriptors();
                assert_eq!(probe(), Ok(Ability { is_undisturbed: true }));
                assert_eq!(crate::sys::testing::open_descriptors(), before);
                assert!(!crate::sys::reap::has_children());
            },
        );
    }

    #[test]
    fn below_another_filter_with_a_listener_it_says_so() {
        crate::sys::testing::alone(
            "sys::seccomp::probe::tests::below_another_filter_with_a_listener_it_says_so",
            || {
                rustix::thread::set_no_new_privs(true).unwrap();
                // Nobody answers it; but bind and listen are all that this process must not call.
                let _listener = install(&Program::new(false, false)).unwrap();
                let obstacle = probe().unwrap_err();
                assert_eq!(obstacle, Obstacle::Filter(Errno(libc::EBUSY)));
                assert!(obstacle.to_string().contains("sysbox"), "{obstacle}");
            },
        );
    }
}
