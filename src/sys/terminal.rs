//! The terminal on standard input, and whose keyboard it is.

use rustix::io::Errno;

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}

/// The terminal lent to another process group.
#[derive(Debug)]
pub(crate) struct Lent {
    ours: rustix::process::Pid,
}

/// Lends the terminal on standard input to a process group of our session.
pub(crate) fn lend(_group: u32) -> Result<Lent, Errno> {
    Err(Errno::NOSYS)
}

impl Lent {
    /// Takes the terminal back.
    pub(crate) fn take_back(self) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }
}
