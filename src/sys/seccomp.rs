//! Answers system calls of other processes: seccomp's user notification (`seccomp_unotify(2)`).
//!
//! ```text
//!   worker: socket() ──▶ filter ──▶ waits ◀── receive ── master
//!                                     └──── give a socket, reply a number, or let it go on
//! ```
//!
//! The filter comes with a *listener*, a descriptor that is readable when somebody below the filter
//! waits for an answer. Children inherit the filter. When no process has it any more, the listener
//! hangs up; when the listener is closed, calls fail with ENOSYS, so that nobody waits for us in vain.
//!
//! # Safety: why this file
//!
//! No crate has seccomp(2) and the listener's ioctls, which take structures by pointer.
#![allow(unsafe_code, reason = "seccomp(2) and its ioctls, as told above")]

mod abi;
mod filter;
mod probe;

use abi::Abi;
pub(crate) use abi::{Asked, Wanted};
pub(crate) use filter::Program;
pub(crate) use probe::{Ability, Obstacle, probe};

use std::{
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    net::{self, AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags},
};

use super::{Errno, receive, signals::Set};

/// Length of `struct seccomp_notif`, and of `struct seccomp_notif_resp`, as we know them.
const NOTIFICATION: usize = size_of::<libc::seccomp_notif>();
const RESPONSE: usize = size_of::<libc::seccomp_notif_resp>();
/// What a descriptor is sent with, as a stream must carry something.
const BYTE: &[u8] = &[1];

/// Puts this process, and all its children to come, below the filter. Returns the listener, and
/// whether a signal leaves a call alone that was received; Linux before 5.19 can't do that.
///
/// Allocates nothing: for between fork and exec.
pub(crate) fn install(program: &Program) -> Result<(OwnedFd, bool), Errno> {
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let patient = listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match set_filter(program, patient) {
        Ok(fd) => Ok((fd, true)),
        Err(Errno(libc::EINVAL)) => Ok((set_filter(program, listener)?, false)),
        Err(errno) => Err(errno),
    }
}

fn set_filter(program: &Program, flags: libc::c_ulong) -> Result<OwnedFd, Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.0.len()).unwrap_or_default(),
        // The kernel reads it only.
        filter: program.0.as_ptr().cast_mut(),
    };
    let operation = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel copies the program, whose pointer and length belong together and outlive the call.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) };
    match RawFd::try_from(fd) {
        // SAFETY: the kernel has just opened it for us.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(last_errno()),
    }
}

/// The way of the listener to us: our end, and the child's.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (unix, stream) = (AddressFamily::UNIX, net::SocketType::STREAM);
    Ok(net::socketpair(unix, stream, SocketFlags::CLOEXEC, None)?)
}

/// Sends a listener. Allocates nothing: for between fork and exec.
pub(crate) fn pass(to: BorrowedFd<'_>, listener: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    let fds = [listener];
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    net::sendmsg(to, &[IoSlice::new(BYTE)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes the listener that was sent; none if the sender has ended without.
pub(crate) fn take_listener(from: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let mut bytes = [0];
    let message = receive::receive(from, &mut bytes)?.ok_or(Errno(libc::EAGAIN))?;
    if message.fds_lost {
        return Err(Errno(libc::EMFILE));
    }
    Ok(message.fds.into_iter().next())
}

/// A call that waits for our answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// What the kernel knows it by.
    pub(crate) id: u64,
    /// The thread that waits; zero where it is outside of our pid namespace.
    pub(crate) thread: u32,
    /// For which architecture it called.
    pub(crate) architecture: u32,
    /// The call's number.
    pub(crate) number: i32,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Somebody waits.
    Call(Call),
    /// Nobody does now.
    Nothing,
    /// Nobody ever will: no process is left below the filter.
    End,
}

/// What a call comes back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The kernel does it after all.
    Continue,
    /// It is done.
    Done,
    /// It has failed.
    Failed(Errno),
}

/// Where the calls of one worker's processes come from.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    /// What the kernel fills in, in words: its structures may be longer than ours.
    notification: Vec<u64>,
    response: Vec<u64>,
}

impl Listener {
    /// Makes room for what the kernel of this machine tells.
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let mut sizes =
            libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        let operation = libc::SECCOMP_GET_NOTIF_SIZES;
        // SAFETY: the kernel fills in the structure, which has its three numbers.
        if unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, &raw mut sizes) } != 0 {
            return Err(last_errno());
        }
        let words = |ours: usize, theirs: u16| ours.max(theirs.into()).div_ceil(size_of::<u64>());
        Ok(Self {
            fd,
            notification: vec![0; words(NOTIFICATION, sizes.seccomp_notif)],
            response: vec![0; words(RESPONSE, sizes.seccomp_notif_resp)],
        })
    }

    /// Takes the next call, if one waits; never waits for one.
    pub(crate) fn receive(&mut self) -> Result<Heard, Errno> {
        const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Asked for a call when there is none, the kernel would wait for one.
        let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
        retry_on_intr(|| poll(&mut polled, Some(&NOW)))?;
        let found = polled.first().map_or(PollFlags::empty(), PollFd::revents);
        if !found.contains(PollFlags::IN) {
            let is_over = found.intersects(PollFlags::HUP | PollFlags::ERR);
            return Ok(if is_over { Heard::End } else { Heard::Nothing });
        }
        self.notification.fill(0);
        let room = self.notification.as_mut_ptr().cast::<libc::seccomp_notif>();
        let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
        // SAFETY: the room is zeroed, aligned, and as long as this kernel's structure at least.
        if unsafe { libc::ioctl(self.fd.as_raw_fd(), request, room) } != 0 {
            let errno = last_errno();
            // It was killed meanwhile.
            let is_gone = matches!(errno.0, libc::ENOENT | libc::EINTR);
            return if is_gone { Ok(Heard::Nothing) } else { Err(errno) };
        }
        // SAFETY: filled in by the kernel; any bits are numbers.
        let found = unsafe { ptr::read(room) };
        Ok(Heard::Call(Call {
            id: found.id,
            thread: found.pid,
            architecture: found.data.arch,
            number: found.data.nr,
            arguments: found.data.args,
        }))
    }

    /// Answers a call. One that is gone needs no answer.
    pub(crate) fn reply(&mut self, id: u64, reply: Reply) -> Result<(), Errno> {
        match self.send(id, reply) {
            Ok(_) | Err(Errno(libc::ENOENT)) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Whether a call that was let go on has not heard of it yet, as its thread has not run since.
    pub(crate) fn is_asleep(&mut self, id: u64) -> bool {
        // A second answer fails; how, tells.
        self.send(id, Reply::Continue) == Err(Errno(libc::EINPROGRESS))
    }

    fn send(&mut self, id: u64, reply: Reply) -> Result<i32, Errno> {
        let (error, flags) = match reply {
            Reply::Continue => {
                (0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1))
            }
            Reply::Done => (0, 0),
            Reply::Failed(errno) => (errno.0.saturating_neg(), 0),
        };
        self.response.fill(0);
        let room = self.response.as_mut_ptr().cast::<libc::seccomp_notif_resp>();
        // SAFETY: the room is aligned and long enough for the structure.
        unsafe { ptr::write(room, libc::seccomp_notif_resp { id, val: 0, error, flags }) };
        // Unanswered because a signal came, a call would wait for ever.
        undisturbed(|| {
            // SAFETY: the kernel reads the structure, which is as long as it expects at least.
            unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, room) }
        })
    }

    /// Answers a call with a new descriptor. Returns its number in the caller.
    pub(crate) fn give(&self, id: u64, what: BorrowedFd<'_>, cloexec: bool) -> Result<i32, Errno> {
        self.add(id, what, libc::SECCOMP_ADDFD_FLAG_SEND, 0, cloexec)
    }

    /// Puts a descriptor in the place of the caller's, as dup2(2) would. The call still waits.
    pub(crate) fn replace(
        &self,
        id: u64,
        what: BorrowedFd<'_>,
        number: i32,
        cloexec: bool,
    ) -> Result<(), Errno> {
        self.add(id, what, libc::SECCOMP_ADDFD_FLAG_SETFD, number.cast_unsigned(), cloexec)
            .map(drop)
    }

    fn add(
        &self,
        id: u64,
        what: BorrowedFd<'_>,
        flags: libc::c_ulong,
        newfd: u32,
        cloexec: bool,
    ) -> Result<i32, Errno> {
        let add = libc::seccomp_notif_addfd {
            id,
            flags: u32::try_from(flags).unwrap_or_default(),
            srcfd: what.as_raw_fd().cast_unsigned(),
            newfd,
            newfd_flags: if cloexec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        let request = libc::SECCOMP_IOCTL_NOTIF_ADDFD;
        // A signal that comes while the caller takes its descriptor would end the call without one:
        // it would have got the number 0.
        undisturbed(|| {
            // SAFETY: the kernel reads the structure, whose length is part of the request's number.
            unsafe { libc::ioctl(self.fd.as_raw_fd(), request, &raw const add) }
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Calls while signals wait.
fn undisturbed(call: impl FnOnce() -> i32) -> Result<i32, Errno> {
    let before = Set::FULL.block();
    let outcome = call();
    let errno = last_errno();
    before.block();
    if outcome < 0 { Err(errno) } else { Ok(outcome) }
}

fn last_errno() -> Errno {
    nix::errno::Errno::last().into()
}

#[cfg(test)]
mod tests;
