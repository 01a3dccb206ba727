//! Collects dead children: ours, and as PID 1 or subreaper everybody's.

use std::fmt;

use rustix::process::WaitOptions;

use super::{Errno, Pid, ask};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExitStatus(i32);

impl ExitStatus {
    /// A status from the number that wait(2) gives.
    #[cfg(test)]
    pub(crate) const fn from_raw(raw: i32) -> Self {
        Self(raw)
    }

    /// The exit code, if it exited.
    pub(crate) fn code(self) -> Option<u8> {
        libc::WIFEXITED(self.0).then(|| u8::try_from(libc::WEXITSTATUS(self.0)).ok()).flatten()
    }

    /// The signal that killed it, if one did.
    pub(crate) fn signal(self) -> Option<i32> {
        libc::WIFSIGNALED(self.0).then(|| libc::WTERMSIG(self.0))
    }

    /// Whether the kernel wrote a core.
    pub(crate) fn core_dumped(self) -> bool {
        libc::WIFSIGNALED(self.0) && libc::WCOREDUMP(self.0)
    }

    /// The number that a shell would show: the code, or 128 and the signal.
    pub(crate) fn shell_code(self) -> u8 {
        let signal = self.signal().and_then(|signal| u8::try_from(signal).ok());
        signal.map_or(self.code().unwrap_or(u8::MAX), |signal| signal.saturating_add(128))
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
    let dead = died(rustix::process::wait(WaitOptions::NOHANG));
    if dead.is_none() {
        ask::sweep();
    }
    dead
}

/// The same for one child only, leaving the others to be reaped elsewhere.
#[cfg(test)]
pub(crate) fn reap_one(pid: Pid) -> Option<(Pid, ExitStatus)> {
    died(rustix::process::waitpid(rustix::process::Pid::from_raw(pid.get()), WaitOptions::NOHANG))
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

type Waited = rustix::io::Result<Option<(rustix::process::Pid, rustix::process::WaitStatus)>>;

/// None: nobody is dead, or there are no children (ECHILD). Without waiting, nothing interrupts.
fn died(waited: Waited) -> Option<(Pid, ExitStatus)> {
    let (pid, status) = waited.ok().flatten()?;
    Some((pid.into(), ExitStatus(status.as_raw())))
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
}
