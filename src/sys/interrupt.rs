//! Keeps a call that may wait from waiting for long.
//!
//! `accept(2)` waits or not as the open file says, which belongs to a worker as much as to us: what we
//! set, it can take back in the next instant. A signal that comes again and again ends any such wait.
//!
//! # Safety: why this file
//!
//! Timers for one thread and dispositions without `SA_RESTART` have no safe form.
#![allow(unsafe_code, reason = "a timer that interrupts this thread")]

use std::{mem::MaybeUninit, ptr};

use super::Errno;

/// How long a call waits at most, twice if the first signal comes just before it.
const NANOSECONDS: libc::c_long = 2_000_000;

/// The signal's handler: that it comes is all.
extern "C" fn nothing(_signal: libc::c_int) {}

/// Runs something in which no call waits for longer than a few milliseconds: it fails with EINTR.
///
/// SIGCHLD interrupts, and is sent once more at the end: whoever waits for it may have missed one.
pub(super) fn impatiently<T>(work: impl FnOnce() -> T) -> Result<T, Errno> {
    let before = set_action(&action())?;
    let timer = start_timer();
    let outcome = timer.map(|timer| {
        let outcome = work();
        // SAFETY: the timer is ours and used for the last time.
        unsafe { libc::timer_delete(timer) };
        outcome
    });
    set_action(&before)?;
    // SAFETY: raise(3) takes a number.
    unsafe { libc::raise(libc::SIGCHLD) };
    outcome
}

/// Our handler, for a signal that interrupts.
fn action() -> libc::sigaction {
    // SAFETY: all zeros is a valid sigaction: the default, no flags, nothing masked.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let handler: extern "C" fn(libc::c_int) = nothing;
    #[allow(clippy::as_conversions, reason = "the type that C gives a handler's address")]
    {
        action.sa_sigaction = handler as libc::sighandler_t;
    }
    action
}

fn set_action(action: &libc::sigaction) -> Result<libc::sigaction, Errno> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: both pointers are to live values, and the handler does nothing or is the one before.
    unsafe {
        match libc::sigaction(libc::SIGCHLD, action, before.as_mut_ptr()) {
            0 => Ok(before.assume_init()),
            _ => Err(nix::errno::Errno::last().into()),
        }
    }
}

fn start_timer() -> Result<libc::timer_t, Errno> {
    let failed = || Err(nix::errno::Errno::last().into());
    // SAFETY: all zeros is a valid sigevent and a valid timer id to be written over.
    let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGCHLD;
    event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_pid();
    let mut timer: libc::timer_t = ptr::null_mut();
    let tick = libc::timespec { tv_sec: 0, tv_nsec: NANOSECONDS };
    let often = libc::itimerspec { it_interval: tick, it_value: tick };
    // SAFETY: the pointers are to live values; a timer that can't be set is deleted.
    unsafe {
        if libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) != 0 {
            return failed();
        }
        if libc::timer_settime(timer, 0, &raw const often, ptr::null_mut()) != 0 {
            let outcome = failed();
            libc::timer_delete(timer);
            return outcome;
        }
    }
    Ok(timer)
}
