//! Whether somebody sits at a terminal, and how large it is.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustix::{
    stdio::{stdin, stdout},
    termios::{isatty, tcgetwinsize},
};

/// How many columns and lines standard output has; nothing where it is no terminal, or one that does
/// not say.
pub(crate) fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    isatty(stdin())
}

/// Knows that the terminal has got another size: SIGWINCH, which interrupts whoever waits.
#[derive(Debug)]
pub(crate) struct Resizes(Arc<AtomicBool>);

impl Resizes {
    /// Looks out for them from now on. Where that can't be, nobody is interrupted.
    pub(crate) fn watch() -> Self {
        let flag = Arc::<AtomicBool>::default();
        let _ = signal_hook::flag::register(libc::SIGWINCH, Arc::clone(&flag));
        Self(flag)
    }

    /// Whether there was one since we last asked.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
