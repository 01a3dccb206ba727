//! Finds a worker's own connections by tags that accepted sockets inherit from their listener.
//!
//! The kernel's `sock_diag` shows every TCP connection of our network namespace to anyone, with five options that mean nothing
//! to TCP. Whatever they are set to on a listener, its connections are born with: five bits, 31 tags. So a drain knows
//! whom it waits for without any right on the worker, and without the worker's help.

pub(crate) mod drain;
mod netlink;

use std::{error, fmt, net::SocketAddr, os::fd::BorrowedFd, sync::LazyLock, time::Duration};

use nix::sys::socket::setsockopt;
use rustix::net::{
    self, AddressFamily, SocketType,
    sockopt::{set_ip_freebind, set_ip_multicast_loop},
};

use super::{
    Errno,
    sockopt::{IpBindAddressNoPort, IpMulticastAll, IpRecverrRfc4884},
};

/// Marks a listener and every connection accepted from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(u8);

impl Tag {
    /// The first one.
    pub(crate) const FIRST: Self = Self(1);
    /// How many tags there are: 1 to this.
    pub(crate) const COUNT: u8 = 31;
    /// The tags up to this work before Linux 5.9, too.
    pub(crate) const EVERYWHERE: u8 = 15;

    /// The tag of this number.
    pub(crate) const fn new(number: u8) -> Option<Self> {
        if number == 0 || number > Self::COUNT { None } else { Some(Self(number)) }
    }

    /// Every tag.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (1..=Self::COUNT).map(Self)
    }

    /// How many tags the running kernel knows.
    pub(crate) fn usable() -> u8 {
        static KNOWS_ALL: LazyLock<bool> = LazyLock::new(|| {
            let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None);
            socket.is_ok_and(|socket| setsockopt(&socket, IpRecverrRfc4884, &true).is_ok())
        });
        if *KNOWS_ALL { Self::COUNT } else { Self::EVERYWHERE }
    }

    /// How many options it takes.
    pub(crate) const fn bits(self) -> u32 {
        self.0.count_ones()
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// Tags a listener, and so every connection that it accepts from now on; those that it has already keep theirs.
///
/// IPv6 sockets have the options of IPv4 as well.
pub(crate) fn set_tag(listener: BorrowedFd<'_>, tag: Tag) -> Result<(), Errno> {
    set_options(listener, tag, Tag(Tag::COUNT))
}

/// Takes every tag from a listener whose connections the master will tag one by one. One of IPv6 is born with some bits.
pub(crate) fn clear_tag(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    set_options(listener, Tag(0), Tag(Tag::COUNT))
}

/// Tags a connection that the master hands out; `from` is the tag that it has.
pub(crate) fn move_tag(
    connection: BorrowedFd<'_>,
    from: Option<Tag>,
    to: Tag,
) -> Result<(), Errno> {
    set_options(connection, to, Tag(to.0 ^ from.map_or(0, |from| from.0)))
}

/// Sets those options that are bits of `changed`.
fn set_options(socket: BorrowedFd<'_>, tag: Tag, changed: Tag) -> Result<(), Errno> {
    if changed.has(1) {
        set_ip_freebind(socket, tag.has(1))?;
    }
    // These two are on by default, so that on is 0.
    if changed.has(2) {
        set_ip_multicast_loop(socket, !tag.has(2))?;
    }
    if changed.has(4) {
        setsockopt(&socket, IpMulticastAll, &!tag.has(4))?;
    }
    if changed.has(8) {
        setsockopt(&socket, IpBindAddressNoPort, &tag.has(8))?;
    }
    if !changed.has(16) {
        return Ok(());
    }
    match setsockopt(&socket, IpRecverrRfc4884, &tag.has(16)) {
        // An old kernel, and a tag that does without.
        Err(_) if tag.0 <= Tag::EVERYWHERE => Ok(()),
        result => Ok(result?),
    }
}

/// Takes the tag from a connection that shall count as nobody's.
pub(crate) fn untag(connection: BorrowedFd<'_>) -> Result<(), Errno> {
    set_tag(connection, Tag(0))
}

/// Where servers listen: a local port, of one family. What comes to an IPv6 socket by IPv4 is of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    number: u16,
    is_v6: bool,
}

impl From<SocketAddr> for Port {
    fn from(at: SocketAddr) -> Self {
        Self { number: at.port(), is_v6: at.is_ipv6() }
    }
}

/// What the kernel finds one connection by, without looking through all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name {
    is_v6: bool,
    /// `struct inet_diag_sockid`.
    id: [[u8; 16]; 3],
}

/// One connection that its worker has, or that waits to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// To ask for it alone.
    pub(crate) name: Name,
    /// Its listener's tag.
    pub(crate) tag: Option<Tag>,
    /// The local port.
    pub(crate) port: u16,
    /// The kernel's name for it; never used again.
    pub(crate) cookie: u64,
    /// Nobody has accepted it.
    pub(crate) is_waiting: bool,
    /// Bytes received that the worker has not read.
    pub(crate) unread: u32,
    /// Bytes written that the client has not acknowledged.
    pub(crate) unsent: u32,
    /// How long ago the client last sent something; if never, how long ago it connected.
    pub(crate) received: Duration,
    /// How long ago the worker last sent something; if never, how long ago the client connected.
    pub(crate) sent: Duration,
    /// The client has sent something.
    pub(crate) has_asked: bool,
    /// The worker has sent something.
    pub(crate) has_answered: bool,
}

impl Connection {
    /// Whether the client spoke last, so that it waits for an answer.
    ///
    /// The kernel counts in ticks of 1 to 10 ms. A request within the same tick as the answer before it looks answered,
    /// until its own answer comes.
    pub(crate) fn is_owed(&self) -> bool {
        self.has_asked && (!self.has_answered || self.received < self.sent)
    }

    /// Whether it has work left: something to read or to answer, or something that went over it less than `idle` ago or is
    /// still to be sent. Without `idle`, only what the worker owes counts: the kernel sends the rest without it.
    pub(crate) fn is_busy(&self, idle: Duration) -> bool {
        let is_lively = self.unsent > 0 || self.received.min(self.sent) < idle;
        self.unread > 0 || self.is_owed() || (!idle.is_zero() && is_lively)
    }
}

/// One listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Its tag.
    pub(crate) tag: Option<Tag>,
    /// Its port.
    pub(crate) port: u16,
    /// Connections that wait for an accept.
    pub(crate) waiting: u32,
    /// How many may wait.
    pub(crate) limit: u32,
}

/// Everybody on some ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Open connections, those that wait to be accepted among them.
    pub(crate) connections: Vec<Connection>,
    /// Listeners.
    pub(crate) listeners: Vec<Listener>,
    /// Handshakes in progress, by cookie. They end where they began, even on a lane that has been steered off meanwhile; so a
    /// drain waits until those that it found at its beginning are over. Whose they are is not shown.
    pub(crate) half_open: Vec<u64>,
}

/// How much a tag has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Open connections.
    pub(crate) connections: usize,
    /// Those of them with work left.
    pub(crate) busy: usize,
    /// Those of them that nobody has accepted.
    pub(crate) waiting: u32,
}

impl Load {
    /// Nothing would be lost if the worker went now.
    #[cfg(test)]
    pub(crate) fn is_quiet(self) -> bool {
        self.busy == 0 && self.waiting == 0
    }
}

impl Census {
    /// What carries this tag; a connection on which nothing has gone over for `idle` and nothing is owed is not busy.
    pub(crate) fn load(&self, tag: Tag, idle: Duration) -> Load {
        let of_tag = || self.connections.iter().filter(|connection| connection.tag == Some(tag));
        let listeners = self.listeners.iter().filter(|listener| listener.tag == Some(tag));
        Load {
            connections: of_tag().count(),
            busy: of_tag().filter(|connection| connection.is_busy(idle)).count(),
            waiting: listeners.fold(0, |sum: u32, listener| sum.saturating_add(listener.waiting)),
        }
    }
}

/// Why the kernel could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiagError {
    /// It does not let us ask, or has no `sock_diag` for TCP.
    Refused(Errno),
    /// It answers without the options that make the tags: before Linux 5.9, and in some sandboxes.
    NoTags,
}

impl From<rustix::io::Errno> for DiagError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Refused(errno.into())
    }
}

impl fmt::Display for DiagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => {
                write!(f, "the kernel does not list connections (sock_diag): {errno}")
            }
            Self::NoTags => {
                write!(f, "the kernel lists connections without their tags: needs Linux 5.9")
            }
        }
    }
}

impl error::Error for DiagError {}

/// Counts everybody on these ports. The kernel goes through all connections of the network namespace for each, those that
/// are closed and wait (`TIME_WAIT`) among them: about 1 ms on a server of some size, and no other work on this CPU meanwhile.
pub(crate) fn census(ports: &[Port]) -> Result<Census, DiagError> {
    netlink::census(ports)
}

/// What became of these connections: microseconds for each, however many others there are.
pub(crate) fn look(names: &[Name]) -> Result<Census, DiagError> {
    netlink::look(names)
}

#[cfg(test)]
mod tests;
