//! Sockets between the master and one worker: what it says, and the descriptors that come with it.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use super::Errno;

/// A datagram socket bound at a path, for `sd_notify(3)`. Removes its file when dropped.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    fd: OwnedFd,
    path: PathBuf,
}

/// What somebody sent.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Its text, at most [`NotifySocket::LONGEST`] bytes.
    pub(crate) bytes: Vec<u8>,
    /// It was longer than that.
    pub(crate) truncated: bool,
    /// The descriptors that came with it.
    pub(crate) fds: Vec<OwnedFd>,
    /// More descriptors came than are allowed; all of them were closed.
    pub(crate) too_many_fds: bool,
    /// The sender, unless it lives outside of our pid namespace.
    pub(crate) pid: Option<super::Pid>,
    /// The sender's user.
    pub(crate) uid: u32,
}

impl NotifySocket {
    /// Longest datagram that is read.
    pub(crate) const LONGEST: usize = 4096;

    /// Binds at a path that does not exist yet; only the owner and we may send to it.
    pub(crate) fn bind(_path: &Path, _uid: Option<u32>) -> Result<Self, Errno> {
        Err(Errno(libc::ENOSYS))
    }

    /// Where it is bound.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next datagram, if there is one, with at most so many descriptors.
    pub(crate) fn receive(&self, _most_fds: usize) -> Result<Option<Datagram>, Errno> {
        Err(Errno(libc::ENOSYS))
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Our end of a stream to a worker. Never waits; what the worker does not read is queued up to a bound.
#[derive(Debug)]
pub(crate) struct Channel {
    fd: OwnedFd,
    queue: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    limit: usize,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Received {
    /// Bytes, and descriptors that came with them.
    Bytes(Vec<u8>, Vec<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The other end is closed.
    End,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The worker does not read: so many bytes wait already.
    Full(usize),
    /// The stream is broken.
    Broken(Errno),
}

impl Channel {
    /// A pair: ours, never waiting, with a queue of at most so many bytes; and the worker's.
    pub(crate) fn pair(_limit: usize) -> Result<(Self, OwnedFd), Errno> {
        Err(Errno(libc::ENOSYS))
    }

    /// Queues a message with at most one descriptor, and sends what the kernel takes.
    pub(crate) fn send(&mut self, _bytes: Vec<u8>, _fd: Option<OwnedFd>) -> Result<(), SendError> {
        Err(SendError::Broken(Errno(libc::ENOSYS)))
    }

    /// Sends what the kernel takes of the queue.
    pub(crate) fn flush(&mut self) -> Result<(), SendError> {
        Err(SendError::Broken(Errno(libc::ENOSYS)))
    }

    /// Whether something is queued: wait for the descriptor to be writable.
    pub(crate) fn must_flush(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes what has come in, once.
    pub(crate) fn receive(&self) -> Result<Received, Errno> {
        Err(Errno(libc::ENOSYS))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
