//! Listeners: the grammar of `LISTEN`, text to addresses.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::account::Account;

/// One listening socket that the master is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Its name in LISTEN_FDNAMES and `{fd:NAME}`: unique, ASCII, without a colon.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: Address,
    /// The length of the accept queue; `None` lets the kernel's limit decide.
    pub(crate) backlog: Option<u32>,
    /// IPv6 without IPv4; `None` is the kernel's default, and `false` for `:PORT`.
    pub(crate) v6only: Option<bool>,
    /// SO_REUSEPORT, for sharing the port with other processes.
    pub(crate) reuseport: bool,
    /// The socket file's permissions.
    pub(crate) mode: Option<u32>,
    /// The socket file's owner.
    pub(crate) user: Option<Account>,
    /// The socket file's group.
    pub(crate) group: Option<Account>,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A TCP port.
    Tcp(Inet),
    /// A UDP port.
    Udp(Inet),
    /// A Unix stream socket with a file; absolute.
    Unix(PathBuf),
    /// A Unix stream socket in the network namespace, without the leading NUL.
    Abstract(Vec<u8>),
}

/// An Internet address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inet {
    /// The address to bind.
    pub(crate) address: SocketAddr,
    /// Written `:PORT`: both families, and only IPv4 where the kernel has no IPv6.
    pub(crate) dual_stack: bool,
}
