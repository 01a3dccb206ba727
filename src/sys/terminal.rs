//! Whether somebody sits at standard input.

use rustix::{stdio::stdin, termios::isatty};

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    isatty(stdin())
}
