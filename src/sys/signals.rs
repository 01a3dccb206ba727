//! Signals: taken as readable descriptors, sent by number, and remembered as they were inherited.
//!
//! [`Signals`] is the supervisor's flavour: handlers that say who sent a signal. [`Queue`] is the
//! plain init's: everything blocked and waited for, so that the numbers 32 and 33, which libc keeps
//! for itself, can be passed on too.
//!
//! # Safety: why this file
//!
//! The libc wrappers hide the signals 32 and 33 and no safe crate sends real-time signals, so masks,
//! dispositions and kill are asked from the kernel by number.
#![allow(unsafe_code, reason = "signals by number, with those that libc hides")]

mod delivery;
mod queue;

pub(crate) use delivery::{Received, Signals};
pub(crate) use queue::Queue;

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Errno, Pid};

/// The terminal has hung up.
pub(crate) const HUP: i32 = libc::SIGHUP;
/// Interrupt from the keyboard.
pub(crate) const INT: i32 = libc::SIGINT;
/// Quit from the keyboard.
pub(crate) const QUIT: i32 = libc::SIGQUIT;
/// Ends without asking.
pub(crate) const KILL: i32 = libc::SIGKILL;
/// The usual way to ask for the end.
pub(crate) const TERM: i32 = libc::SIGTERM;
/// A child has changed.
pub(crate) const CHLD: i32 = libc::SIGCHLD;
/// Go on after a stop.
pub(crate) const CONT: i32 = libc::SIGCONT;
/// Stops without asking.
pub(crate) const STOP: i32 = libc::SIGSTOP;
/// Stop from the keyboard.
pub(crate) const TSTP: i32 = libc::SIGTSTP;
/// A background process reads from the terminal.
pub(crate) const TTIN: i32 = libc::SIGTTIN;
/// A background process writes to the terminal.
pub(crate) const TTOU: i32 = libc::SIGTTOU;

/// The highest signal number of Linux.
pub(crate) const LAST: i32 = 64;

/// A set of signals, in the kernel's own form: bit n-1 for signal n.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Set(u64);

impl Set {
    /// No signal.
    pub(crate) const EMPTY: Self = Self(0);
    /// Every signal, with those that libc keeps for itself.
    pub(crate) const FULL: Self = Self(u64::MAX);

    /// This set and `signal`.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with(self, signal: i32) -> Self {
        Self(self.0 | bit(signal))
    }

    /// This set but `signal`.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn without(self, signal: i32) -> Self {
        Self(self.0 & !bit(signal))
    }

    /// Whether `signal` is in the set.
    pub(crate) fn contains(self, signal: i32) -> bool {
        self.0 & bit(signal) != 0
    }

    /// Makes this set the signals that the calling thread holds back, and returns the one before.
    ///
    /// Safe between fork and exec.
    pub(crate) fn block(self) -> Self {
        let mut before = Self::EMPTY;
        // SAFETY: both pointers are to live u64, which is the size given; the kernel refuses nothing
        // here, and leaves KILL and STOP out by itself.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                ptr::from_ref(&self.0),
                ptr::from_mut(&mut before.0),
                size_of::<u64>(),
            );
        }
        before
    }
}

fn bit(signal: i32) -> u64 {
    let place = u32::try_from(signal).unwrap_or_default().wrapping_sub(1);
    1_u64.checked_shl(place).unwrap_or_default()
}

/// Sends `signal` to one process.
pub(crate) fn kill(pid: Pid, signal: i32) -> Result<(), Errno> {
    send(pid.get(), signal)
}

/// Sends `signal` to every process of a group, named by its first member.
pub(crate) fn kill_group(group: Pid, signal: i32) -> Result<(), Errno> {
    // Minus one would be everybody, and group 1 is ours when we are PID 1.
    if group.get() == 1 {
        Err(Errno(libc::EPERM))
    } else {
        send(group.get().wrapping_neg(), signal)
    }
}

fn send(whom: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: kill(2) takes two numbers and touches no memory.
    match unsafe { libc::kill(whom, signal) } {
        0 => Ok(()),
        _ => Err(nix::errno::Errno::last().into()),
    }
}

/// The signals whose disposition we have changed, and those of them that were ignored before.
static CHANGED: AtomicU64 = AtomicU64::new(0);
static IGNORED: AtomicU64 = AtomicU64::new(0);

/// To be called before we change a disposition: a child is to find it as it was.
fn note_before_change(signal: i32) {
    if CHANGED.fetch_or(bit(signal), Ordering::Relaxed) & bit(signal) == 0 && is_ignored(signal) {
        IGNORED.fetch_or(bit(signal), Ordering::Relaxed);
    }
}

/// SIGCHLD inherited as ignored would let the kernel throw away every exit status: takes that back.
pub(crate) fn want_children() {
    note_before_change(libc::SIGCHLD);
    if is_ignored(libc::SIGCHLD) {
        set_disposition(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// Makes every disposition that we have changed what a child should start with: default, or ignored if
/// it was so when we were started. Safe between fork and exec.
pub(super) fn restore_dispositions() {
    let changed = Set(CHANGED.load(Ordering::Relaxed));
    let ignored = Set(IGNORED.load(Ordering::Relaxed));
    for signal in (1..=LAST).filter(|&signal| changed.contains(signal)) {
        let to = if ignored.contains(signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        set_disposition(signal, to);
    }
}

fn set_disposition(signal: i32, to: libc::sighandler_t) {
    // SAFETY: SIG_DFL and SIG_IGN are no functions of ours that could be wrong; KILL, STOP and the
    // numbers that libc hides are refused with EINVAL, and nobody has changed those.
    unsafe { libc::signal(signal, to) };
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the pointer is to a live sigaction, for which all bytes zero are valid; a null new
    // action changes nothing.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Runs before Rust's runtime, which ignores SIGPIPE whatever it was: the only moment to see that.
extern "C" fn look_at_pipe() {
    note_before_change(libc::SIGPIPE);
}

// SAFETY: the section is an array of functions of this type, called once before main; the function
// touches nothing that needs a runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_PIPE: extern "C" fn() = look_at_pipe;

#[cfg(test)]
mod tests;
