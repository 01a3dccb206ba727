//! Whether somebody sits at standard input.

use rustix::{stdio::stdin, termios::isatty};

/// How many columns standard output has; nothing where it is no terminal, or one that does not say.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    isatty(stdin())
}
