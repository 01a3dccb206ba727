//! Tells when the content of watched paths may have changed, and whether it has.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use super::Errno;

/// A set of watched paths.
#[derive(Debug)]
pub(crate) struct Watcher {
    fd: OwnedFd,
}

impl Watcher {
    /// Watches nothing yet.
    pub(crate) fn new() -> Result<Self, Errno> {
        Err(Errno(libc::ENOSYS))
    }

    /// Watches a file or a directory, and the directory it is in.
    pub(crate) fn add(&mut self, _path: &Path) -> Result<(), Errno> {
        Err(Errno(libc::ENOSYS))
    }

    /// Takes all that has happened: the paths given to `add` that may differ now.
    pub(crate) fn drain(&mut self) -> Result<Vec<PathBuf>, Errno> {
        Err(Errno(libc::ENOSYS))
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a path holds, in one number: equal while the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

/// The fingerprint of a file or of a directory tree; a path that does not exist has one, too.
pub(crate) fn fingerprint(_path: &Path) -> Fingerprint {
    Fingerprint(0)
}
