//! The plain init's signals: all blocked, taken one by one as they come.
//!
//! # Safety: why this file
//!
//! sigtimedwait(2) by its libc wrapper leaves out the signals 32 and 33.
#![allow(unsafe_code, reason = "waits for all 64 signals")]

use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use super::{Received, Set, want_children};
use crate::sys::Pid;

/// All signals, held back for good and waited for here. One system call takes one signal.
#[derive(Debug)]
pub(crate) struct Queue(());

impl Queue {
    /// Blocks every signal. From here on nothing that is sent to us is lost.
    ///
    /// A fault of our own (SEGV and the like) still ends us: the kernel does not hold that back.
    pub(crate) fn install() -> Self {
        want_children();
        Set::FULL.block();
        Self(())
    }

    /// Sleeps until a signal comes or `timeout` is over (None: for ever).
    ///
    /// The kernel keeps one of each of the old signals, and every real-time one.
    #[expect(clippy::unused_self, reason = "without a Queue the signals are not blocked")]
    pub(crate) fn next(&self, timeout: Option<Duration>) -> Option<Received> {
        let timeout = timeout.map(timespec);
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        let mut record = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the set is a live u64 and its size is given, the record is live and of the kernel's
        // layout, the timeout is null or live.
        let signal = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                ptr::from_ref(&Set::FULL.0),
                record.as_mut_ptr(),
                timeout,
                size_of::<u64>(),
            )
        };
        let signal = i32::try_from(signal).ok().filter(|&signal| signal > 0)?;
        // SAFETY: the kernel has filled it in; and all bytes zero were valid before.
        let record = unsafe { record.assume_init() };
        // Not positive: a process has sent it. Else it is the kernel's own, with other fields.
        if record.si_code > 0 {
            return Some(Received { signal, from: None, uid: None });
        }
        // SAFETY: these two fields are filled in for a signal that a process has sent.
        let (pid, uid) = unsafe { (record.si_pid(), record.si_uid()) };
        Some(Received { signal, from: Pid::new(pid), uid: Some(uid) })
    }
}

fn timespec(timeout: Duration) -> libc::timespec {
    // SAFETY: a timespec is two numbers and, on some machines, padding.
    let mut time: libc::timespec = unsafe { MaybeUninit::zeroed().assume_init() };
    time.tv_sec = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX).into();
    time.tv_nsec = i32::try_from(timeout.subsec_nanos()).unwrap_or_default().into();
    time
}
