//! Collects dead children: ours, and as PID 1 or subreaper everybody's.
//!
//! # Safety: why this file
//!
//! wait4(2) is the one call that also says what the dead process has used, and no safe crate has it.
#![allow(unsafe_code, reason = "wait4 is only in libc")]

use std::{fmt, mem::MaybeUninit, ptr, time::Duration};

use super::{Errno, Pid};

/// What a process used in its life, with its own reaped children.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Usage {
    /// CPU time in user mode.
    pub(crate) user: Duration,
    /// CPU time in the kernel.
    pub(crate) system: Duration,
    /// The largest resident size, in bytes.
    pub(crate) max_resident: u64,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExitStatus {
    raw: i32,
    usage: Usage,
}

impl ExitStatus {
    /// A status from the number that wait(2) gives, for tests and for a process that never ran.
    pub(crate) const fn from_raw(raw: i32) -> Self {
        let none = Duration::ZERO;
        Self { raw, usage: Usage { user: none, system: none, max_resident: 0 } }
    }

    /// The exit code, if it exited.
    pub(crate) fn code(self) -> Option<u8> {
        libc::WIFEXITED(self.raw).then(|| u8::try_from(libc::WEXITSTATUS(self.raw)).ok()).flatten()
    }

    /// The signal that killed it, if one did.
    pub(crate) fn signal(self) -> Option<i32> {
        libc::WIFSIGNALED(self.raw).then(|| libc::WTERMSIG(self.raw))
    }

    /// Whether the kernel wrote a core.
    pub(crate) fn core_dumped(self) -> bool {
        libc::WIFSIGNALED(self.raw) && libc::WCOREDUMP(self.raw)
    }

    /// The number that a shell would show: the code, or 128 and the signal.
    pub(crate) fn shell_code(self) -> u8 {
        let signal = self.signal().and_then(|signal| u8::try_from(signal).ok());
        signal.map_or(self.code().unwrap_or(u8::MAX), |signal| signal.saturating_add(128))
    }

    /// What it used.
    pub(crate) fn usage(self) -> Usage {
        self.usage
    }
}

impl fmt::Debug for ExitStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal(), self.code()) {
            (Some(signal), _) => write!(out, "signal {signal}"),
            (None, code) => write!(out, "code {}", code.unwrap_or(u8::MAX)),
        }
    }
}

/// The next dead child, if there is one now. Call it until it says None: one SIGCHLD may stand for many.
pub(crate) fn reap() -> Option<(Pid, ExitStatus)> {
    wait(-1)
}

/// The same without what the dead has used, which costs the kernel a walk over its threads.
pub(crate) fn reap_status() -> Option<(Pid, ExitStatus)> {
    let (pid, raw) = wait4(-1, ptr::null_mut())?;
    Some((pid, ExitStatus::from_raw(raw)))
}

/// The same for one child only, leaving the others to be reaped elsewhere.
pub(crate) fn reap_one(pid: Pid) -> Option<(Pid, ExitStatus)> {
    wait(pid.get())
}

/// Whether a child of ours has been stopped by `signal` since we last asked; it may go on meanwhile.
pub(crate) fn was_stopped_by(pid: Pid, signal: i32) -> bool {
    use rustix::process::{Pid as Raw, WaitId, WaitIdOptions, waitid};
    let stops = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    let stop =
        Raw::from_raw(pid.get()).and_then(|pid| waitid(WaitId::Pid(pid), stops).ok()).flatten();
    stop.and_then(|stop| stop.stopping_signal()) == Some(signal)
}

/// Whether we have any child at all, dead or alive.
pub(crate) fn has_children() -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::All, look).err() != Some(rustix::io::Errno::CHILD)
}

fn wait(whom: i32) -> Option<(Pid, ExitStatus)> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let (pid, raw) = wait4(whom, usage.as_mut_ptr())?;
    // SAFETY: all bytes zero are a valid rusage, and the kernel has filled it in.
    let usage = unsafe { usage.assume_init() };
    Some((pid, ExitStatus { raw, usage: Usage::of(&usage) }))
}

/// `usage` is null or a live place.
fn wait4(whom: i32, usage: *mut libc::rusage) -> Option<(Pid, i32)> {
    loop {
        let mut raw = 0;
        // SAFETY: both pointers are null or to live, writable places of the right type; WNOHANG returns
        // at once.
        let found = unsafe { libc::wait4(whom, ptr::from_mut(&mut raw), libc::WNOHANG, usage) };
        if found == -1 && nix::errno::Errno::last() == nix::errno::Errno::EINTR {
            continue;
        }
        // Zero: children, but none is dead. -1: no children (ECHILD).
        return Some((Pid::new(found)?, raw));
    }
}

impl Usage {
    fn of(usage: &libc::rusage) -> Self {
        let kilobytes = u64::try_from(usage.ru_maxrss).unwrap_or_default();
        Self {
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
            max_resident: kilobytes.saturating_mul(1024),
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let micros = u32::try_from(time.tv_usec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), micros.saturating_mul(1000))
}

/// From now on orphans below us become our children, as they would PID 1's (`PR_SET_CHILD_SUBREAPER`).
pub(crate) fn subreaper() -> Result<(), Errno> {
    // The value of the argument does not matter, only that there is one.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::alone;
    use super::*;
    use std::process::Command;

    #[test]
    fn all_exit_codes_and_signals_come_through() {
        let codes = (0..=255).map(|code| ExitStatus::from_raw(code << 8));
        assert!(codes.zip(0..=255).all(|(status, code)| status.code() == Some(code)));
        for signal in 1..=64 {
            let status = ExitStatus::from_raw(signal);
            assert_eq!((status.code(), status.signal()), (None, Some(signal)));
            assert_eq!(i32::from(status.shell_code()), 128 + signal);
            assert!(!status.core_dumped() && ExitStatus::from_raw(signal | 0x80).core_dumped());
        }
    }

    #[test]
    fn orphans_of_orphans_are_reaped_until_none_is_left() {
        alone("sys::reap::tests::orphans_of_orphans_are_reaped_until_none_is_left", || {
            assert_eq!(reap(), None);
            subreaper().unwrap();
            let script = "for i in 1 2 3 4 5; do (sh -c 'exit 9' & exit 8) & done; exit 7";
            #[expect(clippy::zombie_processes, reason = "reaping it is what is tested")]
            Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let mut codes = vec![];
            while codes.len() < 11 {
                codes.extend(reap().map(|(_, status)| status.code().unwrap()));
            }
            codes.sort_unstable();
            assert_eq!(codes, [7, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9]);
            assert_eq!(reap(), None);
        });
    }

    #[test]
    fn the_dead_say_what_they_used() {
        alone("sys::reap::tests::the_dead_say_what_they_used", || {
            #[expect(clippy::zombie_processes, reason = "reaping it is what is tested")]
            Command::new("sh")
                .args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"])
                .spawn()
                .unwrap();
            let usage = loop {
                if let Some((_, status)) = reap() {
                    break status.usage();
                }
            };
            assert!(usage.user > Duration::from_millis(5), "{usage:?}");
            assert!((100_000..1_000_000_000).contains(&usage.max_resident), "{usage:?}");
        });
    }
}
