//! Finds a worker's own connections by tags that accepted sockets inherit from their listener.

use std::{fmt, os::fd::BorrowedFd, time::Duration};

use super::Errno;

/// Marks a listener and every connection accepted from it; 1 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(u8);

impl Tag {
    /// How many tags there are: 1 to this.
    pub(crate) const COUNT: u8 = 15;

    /// The tag of this number.
    pub(crate) fn new(number: u8) -> Option<Self> {
        (1..=Self::COUNT).contains(&number).then_some(Self(number))
    }
}

/// One established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Its listener's tag.
    pub(crate) tag: Option<Tag>,
    /// The local port.
    pub(crate) port: u16,
    /// Bytes received that the worker has not read.
    pub(crate) unread: u32,
    /// Bytes written that the client has not acknowledged.
    pub(crate) unsent: u32,
    /// How long ago the client last sent something.
    pub(crate) received: Duration,
    /// How long ago the worker last sent something.
    pub(crate) sent: Duration,
}

/// Why the kernel could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiagError {
    /// What it said.
    pub(crate) errno: Errno,
}

impl fmt::Display for DiagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sock_diag: {}", self.errno)
    }
}

/// Tags a listener, and so every connection that it accepts from now on.
pub(crate) fn set_tag(_listener: BorrowedFd<'_>, _tag: Tag) -> Result<(), DiagError> {
    Err(DiagError { errno: Errno(libc::ENOSYS) })
}

/// Every connection on these local ports, IPv4 and IPv6.
pub(crate) fn connections(_ports: &[u16]) -> Result<Vec<Connection>, DiagError> {
    Err(DiagError { errno: Errno(libc::ENOSYS) })
}

/// Whether nothing that carries the tag on these ports has work left: idle for this long counts as none.
pub(crate) fn is_quiet(_tag: Tag, _ports: &[u16], _idle: Duration) -> Result<bool, DiagError> {
    Err(DiagError { errno: Errno(libc::ENOSYS) })
}
