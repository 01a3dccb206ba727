//! Sockets between the master and one worker: what it says, and the descriptors that come with it.
//!
//! Nothing here ever waits, and nothing a worker sends, or does not read, costs more memory than a bound.

use std::{
    collections::VecDeque,
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, Uid},
    io::Errno as Code,
    net::{
        self, AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
        SocketFlags, SocketType, sockopt,
    },
};

use super::{Errno, Pid, receive::receive};

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
    /// More descriptors came than are allowed, here or by our limit; all of them were closed.
    pub(crate) too_many_fds: bool,
    /// The sender, unless it lives outside of our pid namespace.
    pub(crate) pid: Option<Pid>,
}

impl NotifySocket {
    /// Longest datagram that is read.
    pub(crate) const LONGEST: usize = 4096;

    /// Binds at a path that does not exist yet.
    ///
    /// With a user, only that user (and root) may send. Without one, everybody may: a server that drops its rights by itself
    /// goes on to speak, and who spoke is known by the kernel's word, not by a file's mode.
    pub(crate) fn bind(path: &Path, uid: Option<u32>) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        sockopt::set_socket_passcred(&fd, true)?;
        // The file is born with the mode of the socket's own inode, less the umask: closed until it is as it should be.
        rustix::fs::fchmod(&fd, Mode::empty())?;
        net::bind(&fd, &SocketAddrUnix::new(path)?)?;
        let socket = Self { fd, path: path.to_owned() };
        let uid = uid.map(Uid::from_raw);
        rustix::fs::chownat(CWD, path, uid, None::<Gid>, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = if uid.is_some() { 0o600 } else { 0o622 };
        rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())?;
        Ok(socket)
    }

    /// Where it is bound.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next datagram, if there is one, with at most so many descriptors.
    pub(crate) fn receive(&self, most_fds: usize) -> Result<Option<Datagram>, Errno> {
        let mut bytes = vec![0; Self::LONGEST];
        let Some(message) = receive(self.fd.as_fd(), &mut bytes)? else { return Ok(None) };
        bytes.truncate(message.length);
        let too_many_fds = message.fds_lost || message.fds.len() > most_fds;
        Ok(Some(Datagram {
            bytes,
            truncated: message.truncated,
            fds: if too_many_fds { Vec::new() } else { message.fds },
            too_many_fds,
            pid: message.sender.and_then(|sender| sender.pid),
        }))
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // The directory may be gone already; nobody waits for an answer.
        let _ = rustix::fs::unlink(&self.path);
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Our end of a stream to a worker. What the worker does not read is queued up to a bound.
#[derive(Debug)]
pub(crate) struct Channel {
    fd: OwnedFd,
    queue: VecDeque<Outgoing>,
    /// Bytes in the queue.
    queued: usize,
    limit: usize,
}

/// A message that has not been sent whole.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Goes with the first byte.
    fd: Option<OwnedFd>,
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
    /// How much is read at once.
    const CHUNK: usize = 64 << 10;

    /// A pair: ours, with a queue of at most so many bytes; and the worker's, which waits as usual.
    pub(crate) fn pair(limit: usize) -> Result<(Self, OwnedFd), Errno> {
        let (ours, theirs) =
            net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Self { fd: ours, queue: VecDeque::new(), queued: 0, limit }, theirs))
    }

    /// Queues a message with at most one descriptor, and sends what the kernel takes. An empty message is nothing.
    pub(crate) fn send(&mut self, bytes: Vec<u8>, fd: Option<OwnedFd>) -> Result<(), SendError> {
        if bytes.len() > self.limit.saturating_sub(self.queued) {
            return Err(SendError::Full(self.queued));
        }
        self.queued = self.queued.saturating_add(bytes.len());
        self.queue.push_back(Outgoing { bytes, sent: 0, fd });
        self.flush()
    }

    /// Sends what the kernel takes of the queue.
    pub(crate) fn flush(&mut self) -> Result<(), SendError> {
        while let Some(next) = self.queue.front_mut() {
            let rest = next.bytes.get(next.sent..).unwrap_or_default();
            let sent = match send_part(&self.fd, rest, next.fd.as_ref()) {
                Ok(sent) => sent,
                Err(Code::AGAIN) => return Ok(()),
                Err(Code::INTR) => continue,
                Err(Code::TOOMANYREFS) => return Err(SendError::Broken(Code::TOOMANYREFS.into())),
                Err(code) => {
                    // It never goes out, and such a descriptor is writable for ever.
                    self.queue.clear();
                    self.queued = 0;
                    return Err(SendError::Broken(code.into()));
                }
            };
            next.fd = None;
            next.sent = next.sent.saturating_add(sent);
            self.queued = self.queued.saturating_sub(sent);
            if next.sent >= next.bytes.len() {
                self.queue.pop_front();
            }
        }
        Ok(())
    }

    /// Whether something is queued: wait for the descriptor to be writable.
    pub(crate) fn must_flush(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes what has come in, once.
    pub(crate) fn receive(&self) -> Result<Received, Errno> {
        let mut bytes = vec![0; Self::CHUNK];
        Ok(match receive(self.fd.as_fd(), &mut bytes)? {
            None => Received::Nothing,
            Some(message) if message.length == 0 => Received::End,
            Some(message) => {
                bytes.truncate(message.length);
                Received::Bytes(bytes, message.fds)
            }
        })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn send_part(to: &OwnedFd, bytes: &[u8], fd: Option<&OwnedFd>) -> Result<usize, Code> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = fd.map(AsFd::as_fd);
    if let Some(fd) = &fds {
        ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    net::sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, flags)
}

#[cfg(test)]
mod tests;
