//! Signals by name or number.

/// A signal number that exists: 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Signal(i32);

impl Signal {
    /// SIGTERM.
    pub(crate) const TERM: Self = Self(15);

    /// The kernel's number.
    pub(crate) const fn number(self) -> i32 {
        self.0
    }
}
