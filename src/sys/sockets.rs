//! Opens the listening sockets that the master holds for its whole life.

use std::{
    fmt,
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::io::Errno;

/// Where clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A UDP port: bound, not listening.
    Udp(SocketAddr),
    /// A unix stream socket in the file system.
    Unix(PathBuf),
    /// A unix stream socket in the network namespace's abstract name space, without the leading zero byte.
    Abstract(Vec<u8>),
}

/// How a socket is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Length of the accept queue; the kernel caps it at net.core.somaxconn.
    pub(crate) backlog: Option<u32>,
    /// Whether an IPv6 socket refuses IPv4 clients.
    pub(crate) v6only: Option<bool>,
    /// Whether several sockets share the port, each with its own accept queue.
    pub(crate) reuse_port: bool,
    /// Permissions of a unix socket's file.
    pub(crate) mode: Option<u32>,
    /// Owner of a unix socket's file.
    pub(crate) uid: Option<u32>,
    /// Group of a unix socket's file.
    pub(crate) gid: Option<u32>,
}

/// Why a socket could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketError {
    /// The address asked for.
    pub(crate) address: Address,
    /// What the kernel said.
    pub(crate) errno: Errno,
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.address, self.errno)
    }
}

/// How full a listening socket's accept queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptQueue {
    /// Connections that wait for an accept.
    pub(crate) length: u32,
    /// How many may wait.
    pub(crate) limit: u32,
}

/// Opens a non-blocking, close-on-exec socket that listens on the address.
pub(crate) fn listen(address: &Address, _options: &Options) -> Result<OwnedFd, SocketError> {
    Err(SocketError { address: address.clone(), errno: Errno::NOSYS })
}

/// The address a socket is bound to, as a user would write it.
pub(crate) fn local_address(_fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    Err(Errno::NOSYS)
}

/// How full a listening TCP socket's accept queue is.
pub(crate) fn accept_queue(_fd: BorrowedFd<'_>) -> Result<AcceptQueue, Errno> {
    Err(Errno::NOSYS)
}

/// Sets whether calls on the open file description wait.
pub(crate) fn set_nonblocking(_fd: BorrowedFd<'_>, _on: bool) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}
