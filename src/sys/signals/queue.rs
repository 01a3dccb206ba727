//! The plain init's signals: all blocked, read one by one from a signalfd.
//!
//! # Safety: why this file
//!
//! signalfd by its libc wrapper is fine, but the set must keep the signals 32 and 33.
#![allow(unsafe_code, reason = "a signalfd for all 64 signals")]

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::{Errno, Received, Set, want_children};
use crate::sys::Pid;

/// A descriptor that delivers every signal which is sent to us. They stay blocked for good.
#[derive(Debug)]
pub(crate) struct Queue {
    fd: OwnedFd,
}

impl Queue {
    /// Blocks every signal and opens the descriptor. From here on nothing sent to us is lost.
    ///
    /// A fault of our own (SEGV and the like) still ends us: the kernel does not hold that back.
    pub(crate) fn install() -> Result<Self, Errno> {
        want_children();
        Set::FULL.block();
        Self::of(Set::FULL)
    }

    fn of(set: Set) -> Result<Self, Errno> {
        let flags = libc::SFD_NONBLOCK | libc::SFD_CLOEXEC;
        // SAFETY: the pointer is to a live u64, which is the size given; -1 asks for a new descriptor.
        let fd = unsafe {
            libc::syscall(libc::SYS_signalfd4, -1, ptr::from_ref(&set.0), size_of::<u64>(), flags)
        };
        match i32::try_from(fd) {
            // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
            Ok(fd) if fd >= 0 => Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } }),
            _ => Err(nix::errno::Errno::last().into()),
        }
    }

    /// Readable when a signal has arrived.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The next signal, if there is one now. The kernel keeps one of each, and every real-time one.
    pub(crate) fn next(&self) -> Option<Received> {
        let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut record)).ok()?;
        if length < record.len() {
            return None;
        }
        // SAFETY: the kernel has filled in a whole record, and any bytes are a valid one.
        let record =
            unsafe { ptr::read_unaligned(record.as_ptr().cast::<libc::signalfd_siginfo>()) };
        let sent = record.ssi_code <= 0;
        Some(Received {
            signal: i32::try_from(record.ssi_signo).unwrap_or_default(),
            from: i32::try_from(record.ssi_pid).ok().filter(|_| sent).and_then(Pid::new),
            uid: sent.then_some(record.ssi_uid),
        })
    }
}
