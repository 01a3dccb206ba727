//! Opens the listening sockets that the master holds for its whole life.
//!
//! Every socket comes out non-blocking and close-on-exec: which worker gets it, and as which number, is decided elsewhere.
//! Addresses are literal; nothing here asks a resolver.

pub(crate) mod born;
mod fault;
mod unix;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::sys::socket::getsockopt;
pub(crate) use unix::SocketFile;

use rustix::{
    io::Errno as Code,
    net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt},
};

pub(crate) use fault::{Fault, SocketError};

use super::{Errno, sockopt::TcpInfoHead};

/// What the kernel has allowed by default since 5.4; net.core.somaxconn caps it. A short queue drops connections in a burst.
const BACKLOG: u32 = 4096;

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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
        }
    }
}

/// How a socket is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Length of the accept queue; the kernel caps it at net.core.somaxconn.
    pub(crate) backlog: Option<u32>,
    /// Whether an IPv6 socket refuses IPv4 clients. Unset, `[::]` takes both.
    pub(crate) v6only: Option<bool>,
    /// Whether several sockets share the port, each with its own accept queue.
    pub(crate) reuse_port: bool,
    /// Whether a UDP port that others hold may be taken as well (Node's `reuseAddr`); TCP always may after a restart.
    pub(crate) reuse_address: bool,
    /// Permissions of a unix socket's file; by default what the umask leaves.
    pub(crate) mode: Option<u32>,
    /// Owner of a unix socket's file.
    pub(crate) uid: Option<u32>,
    /// Group of a unix socket's file.
    pub(crate) gid: Option<u32>,
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
pub(crate) fn listen(address: &Address, options: &Options) -> Result<OwnedFd, SocketError> {
    let opened = match address {
        Address::Tcp(at) => inet_or_fallback(*at, SocketType::STREAM, options),
        Address::Udp(at) => inet_or_fallback(*at, SocketType::DGRAM, options),
        Address::Unix(path) => unix::listen(path, options),
        Address::Abstract(name) => abstract_name(name, options),
    };
    opened.map_err(|fault| SocketError { address: address.clone(), fault })
}

/// Opens so many sockets on one TCP or UDP port, each with a queue of its own; their order is the one that steering counts by.
///
/// With `SO_REUSEPORT` the kernel lets any program of our user join a port that is taken. So the port is claimed alone first:
/// a port in use is an error here, too. Port 0 means the same free port for all of them.
pub(crate) fn lanes(
    address: &Address,
    options: &Options,
    count: usize,
) -> Result<Vec<OwnedFd>, SocketError> {
    let claim = listen(address, &Options { reuse_port: false, ..*options })?;
    let named = local_address(claim.as_fd())
        .map_err(|errno| SocketError { address: address.clone(), fault: Fault::Other(errno) })?;
    drop(claim);
    let options = Options { reuse_port: true, ..*options };
    (0..count).map(|_| listen(&named, &options)).collect()
}

/// The address a socket is bound to.
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    let name = net::getsockname(fd)?;
    if name.address_family() == AddressFamily::UNIX {
        let name = SocketAddrUnix::try_from(name)?;
        return match (name.path_bytes(), name.abstract_name()) {
            (Some(path), _) => {
                Ok(Address::Unix(Path::new(std::ffi::OsStr::from_bytes(path)).into()))
            }
            (None, Some(name)) => Ok(Address::Abstract(name.to_vec())),
            (None, None) => Err(Code::ADDRNOTAVAIL.into()),
        };
    }
    let at = SocketAddr::try_from(name)?;
    let is_udp = sockopt::socket_type(fd)? == SocketType::DGRAM;
    Ok(if is_udp { Address::Udp(at) } else { Address::Tcp(at) })
}

/// Where we ourselves can connect to who listens here. A machine without `::1` may listen on `[::]`, and
/// one that is not closed to IPv4 is there, too.
pub(crate) fn near(at: SocketAddr, is_v6only: bool) -> SocketAddr {
    let ip = match at.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() && is_v6only => Ipv6Addr::LOCALHOST.into(),
        ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, at.port())
}

/// Whether a socket is closed to IPv4.
pub(crate) fn is_v6only(fd: BorrowedFd<'_>) -> bool {
    sockopt::ipv6_v6only(fd).unwrap_or_default()
}

/// How full a listening TCP socket's accept queue is.
pub(crate) fn accept_queue(fd: BorrowedFd<'_>) -> Result<AcceptQueue, Errno> {
    if !sockopt::socket_acceptconn(fd)? {
        return Err(Code::INVAL.into());
    }
    // For a listening socket the kernel puts the queue's length where unacknowledged segments are counted otherwise,
    // and its limit where selectively acknowledged ones are (tcp_get_info).
    let [.., length, limit] = getsockopt(&fd, TcpInfoHead)?;
    Ok(AcceptQueue { length, limit })
}

/// Sets whether calls on the open file description wait. Whoever else holds it is affected, too.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    Ok(rustix::io::ioctl_fionbio(fd, on)?)
}

/// A kernel without IPv6 serves `[::]` on IPv4, unless IPv6 alone was asked for.
fn inet_or_fallback(at: SocketAddr, kind: SocketType, options: &Options) -> Result<OwnedFd, Fault> {
    match inet(at, kind, options) {
        Err(Code::AFNOSUPPORT | Code::ADDRNOTAVAIL)
            if at.is_ipv6() && at.ip().is_unspecified() && options.v6only != Some(true) =>
        {
            inet(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), at.port()), kind, options)
        }
        result => result,
    }
    .map_err(Fault::of_port)
}

fn inet(at: SocketAddr, kind: SocketType, options: &Options) -> Result<OwnedFd, Code> {
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let fd = socket(family, kind)?;
    if at.is_ipv6() {
        // Set either way: net.ipv6.bindv6only may have turned the default around.
        sockopt::set_ipv6_v6only(&fd, options.v6only.unwrap_or(!at.ip().is_unspecified()))?;
    }
    if kind == SocketType::STREAM || options.reuse_address {
        // Connections of a former master in TIME_WAIT don't keep the port. For UDP the same option lets others steal it.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    sockopt::set_socket_reuseport(&fd, options.reuse_port)?;
    net::bind(&fd, &at)?;
    if kind == SocketType::STREAM {
        // Accepted connections inherit it. Servers set it themselves, but not on sockets whose kind they are not told.
        sockopt::set_tcp_nodelay(&fd, true)?;
        net::listen(&fd, backlog(options))?;
    }
    Ok(fd)
}

fn abstract_name(name: &[u8], options: &Options) -> Result<OwnedFd, Fault> {
    let at = SocketAddrUnix::new_abstract_name(name).map_err(|_| Fault::TooLong)?;
    let open = || -> Result<_, Code> {
        let fd = socket(AddressFamily::UNIX, SocketType::STREAM)?;
        net::bind(&fd, &at)?;
        net::listen(&fd, backlog(options))?;
        Ok(fd)
    };
    open().map_err(
        |code| if code == Code::ADDRINUSE { Fault::InUse } else { Fault::Other(code.into()) },
    )
}

fn socket(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Code> {
    net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn backlog(options: &Options) -> i32 {
    i32::try_from(options.backlog.unwrap_or(BACKLOG)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
