//! The terminal on standard input, and whose keyboard it is.
//!
//! One process group of a session is in the foreground: it gets the keys and Ctrl-C. A group in the background that
//! touches this gets SIGTTOU, which would stop us, so that signal is blocked meanwhile (tcsetpgrp(3)).

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::{
    fd::BorrowedFd,
    stdio::stdin,
    termios::{isatty, tcgetpgrp, tcsetpgrp},
};

use super::{Errno, Pid};

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    isatty(stdin())
}

/// The terminal, lent to another process group.
#[derive(Debug)]
#[must_use = "the terminal comes back by take_back only"]
pub(crate) struct Lent {
    ours: Pid,
}

/// Lends the terminal on standard input to a process group of our session.
pub(crate) fn lend(group: Pid) -> Result<Lent, Errno> {
    lend_at(stdin(), group)
}

fn lend_at(terminal: BorrowedFd<'_>, group: Pid) -> Result<Lent, Errno> {
    let ours = rustix::process::getpgrp().into();
    give(terminal, group)?;
    Ok(Lent { ours })
}

impl Lent {
    /// Takes the terminal back.
    pub(crate) fn take_back(self) -> Result<(), Errno> {
        give(stdin(), self.ours)
    }
}

/// Makes a group the foreground, unless it is already.
fn give(terminal: BorrowedFd<'_>, group: Pid) -> Result<(), Errno> {
    if tcgetpgrp(terminal).map(Pid::from) == Ok(group) {
        return Ok(());
    }
    let raw = rustix::process::Pid::from_raw(group.get()).ok_or(Errno(libc::EINVAL))?;
    let touch: SigSet = [Signal::SIGTTOU].into_iter().collect();
    let before = touch.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let given = tcsetpgrp(terminal, raw);
    before.thread_set_mask()?;
    Ok(given?)
}

#[cfg(test)]
mod tests {
    use std::{
        os::fd::AsFd,
        os::unix::process::CommandExt,
        process::{Command, Stdio},
    };

    use super::*;

    fn ours() -> Pid {
        rustix::process::getpgrp().into()
    }

    fn foreground() -> Pid {
        tcgetpgrp(stdin()).unwrap().into()
    }

    /// Runs one of these tests again, as the foreground of a new pseudo terminal.
    fn on_a_terminal(test: &str) {
        let exe = std::env::current_exe().unwrap();
        let command = format!("{} --exact --ignored {test}", exe.display());
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn the_terminal_is_lent_and_comes_back_without_stopping_us() {
        on_a_terminal("sys::terminal::tests::lend_and_take_back");
    }

    #[test]
    #[ignore = "runs on a terminal, by the test above"]
    fn lend_and_take_back() {
        assert!(is_terminal());
        let mut child = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let group = Pid::new(child.id().try_into().unwrap()).unwrap();
        let lent = lend(group).unwrap();
        assert_eq!(foreground(), group);
        lent.take_back().unwrap();
        assert_eq!(foreground(), ours());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lend(group).is_err(), "a group that is gone gets no terminal");
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGTTOU));
    }

    #[test]
    fn what_is_no_terminal_cannot_be_lent() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(lend_at(null.as_fd(), ours()).unwrap_err(), Errno(libc::ENOTTY));
    }
}
