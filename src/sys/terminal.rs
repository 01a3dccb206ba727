//! The terminal on standard input, and whose keyboard it is.
//!
//! One process group of a session is in the foreground: it gets the keys and Ctrl-C. A group in the background that
//! touches this gets SIGTTOU, which would stop us, so that signal is blocked meanwhile (tcsetpgrp(3)).

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::{
    fd::BorrowedFd,
    io::Errno,
    process::Pid,
    stdio::stdin,
    termios::{isatty, tcgetpgrp, tcsetpgrp},
};

use super::sockopt::errno;

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
pub(crate) fn lend(group: u32) -> Result<Lent, Errno> {
    let group = i32::try_from(group).ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
    lend_at(stdin(), group)
}

fn lend_at(terminal: BorrowedFd<'_>, group: Pid) -> Result<Lent, Errno> {
    let ours = rustix::process::getpgrp();
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
    if tcgetpgrp(terminal) == Ok(group) {
        return Ok(());
    }
    let touch: SigSet = [Signal::SIGTTOU].into_iter().collect();
    let before = touch.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(errno)?;
    let given = tcsetpgrp(terminal, group);
    before.thread_set_mask().map_err(errno)?;
    given
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt,
        process::{Command, Stdio},
    };

    use super::*;

    /// Runs one of these tests again, as the foreground of a new pseudo terminal.
    fn on_a_terminal(test: &str) {
        let exe = std::env::current_exe().unwrap();
        let command = format!("{} --exact --ignored {test}", exe.display());
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
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
        let group = Pid::from_child(&child);
        let lent = lend(child.id()).unwrap();
        assert_eq!(tcgetpgrp(stdin()), Ok(group));
        lent.take_back().unwrap();
        assert_eq!(tcgetpgrp(stdin()), Ok(rustix::process::getpgrp()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lend(child.id()).is_err(), "a group that is gone gets no terminal");
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGTTOU));
    }

    #[test]
    fn what_is_no_terminal_cannot_be_lent() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let ours = rustix::process::getpgrp();
        assert_eq!(lend_at(std::os::fd::AsFd::as_fd(&null), ours).unwrap_err(), Errno::NOTTY);
        assert_eq!(lend(0).unwrap_err(), Errno::INVAL);
    }
}
