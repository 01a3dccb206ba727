//! TCP and UDP sockets that we make for somebody else, and what has become of them since.

use std::{
    fmt,
    net::SocketAddr,
    os::fd::{BorrowedFd, OwnedFd},
};

use nix::sys::socket::{getsockopt, sockopt::BindToDevice};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

use super::BACKLOG;
use crate::sys::{Errno, sockopt::TcpInfoHead};

/// Where a socket listens: sockets with the same place can share a port's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The address.
    pub(crate) at: SocketAddr,
    /// Whether it is closed to IPv4.
    pub(crate) is_v6only: bool,
    /// Whether it is UDP's.
    pub(crate) is_datagrams: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_datagrams { "udp:" } else { "" }, self.at)
    }
}

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing has come of it yet, or nothing any more.
    Idle,
    /// It listens.
    Listens,
    /// It is or was one end of a connection.
    Connected,
}

/// A socket without an address.
pub(crate) fn make(is_v6: bool, is_nonblocking: bool) -> Result<OwnedFd, Errno> {
    make_of(SocketType::STREAM, is_v6, is_nonblocking)
}

/// The same for UDP.
pub(crate) fn make_for_datagrams(is_v6: bool, is_nonblocking: bool) -> Result<OwnedFd, Errno> {
    make_of(SocketType::DGRAM, is_v6, is_nonblocking)
}

fn make_of(kind: SocketType, is_v6: bool, is_nonblocking: bool) -> Result<OwnedFd, Errno> {
    let family = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let waits = if is_nonblocking { SocketFlags::NONBLOCK } else { SocketFlags::empty() };
    Ok(net::socket_with(family, kind, SocketFlags::CLOEXEC | waits, None)?)
}

/// Lets it share its port with others of the kind; before it has one.
pub(crate) fn share(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    Ok(sockopt::set_socket_reuseport(socket, true)?)
}

/// Takes that back: it gets no port on which others listen.
pub(crate) fn unshare(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    Ok(sockopt::set_socket_reuseport(socket, false)?)
}

/// Where it is bound, if it has a port.
pub(crate) fn place(socket: BorrowedFd<'_>) -> Option<Place> {
    let at = SocketAddr::try_from(net::getsockname(socket).ok()?).ok()?;
    let is_v6only = at.is_ipv6() && sockopt::ipv6_v6only(socket).unwrap_or_default();
    (at.port() != 0).then_some(Place { at, is_v6only, is_datagrams: false })
}

/// The same for UDP.
pub(crate) fn datagram_place(socket: BorrowedFd<'_>) -> Option<Place> {
    place(socket).map(|place| Place { is_datagrams: true, ..place })
}

/// Whether a UDP socket has one peer only.
pub(crate) fn is_connected(socket: BorrowedFd<'_>) -> bool {
    net::getpeername(socket).is_ok_and(|peer| peer.is_some())
}

/// Whether it hears one network device only: then it shares its port with those of that device.
pub(crate) fn is_of_device(socket: BorrowedFd<'_>) -> bool {
    getsockopt(&socket, BindToDevice).is_ok_and(|device| !device.is_empty())
}

/// Whether datagrams wait to be read, if only empty ones.
pub(crate) fn has_datagrams(socket: BorrowedFd<'_>) -> bool {
    const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let _ = retry_on_intr(|| poll(&mut polled, Some(&NOW)));
    polled.iter().any(|it| it.revents().contains(PollFlags::IN))
}

/// Listens with a queue of the asked length, or of our own if that is longer.
pub(crate) fn listen(socket: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // A negative one is the longest that the kernel allows.
    let least = i32::try_from(BACKLOG).unwrap_or(i32::MAX);
    let backlog = if backlog < 0 { i32::MAX } else { backlog.max(least) };
    Ok(net::listen(socket, backlog)?)
}

/// Makes one socket wait, or not, as another does.
pub(crate) fn wait_alike(socket: BorrowedFd<'_>, other: BorrowedFd<'_>) {
    let flags = |fd| rustix::fs::fcntl_getfl(fd).map(|flags| flags & OFlags::NONBLOCK);
    if let (Ok(own), Ok(wanted)) = (flags(socket), flags(other))
        && own != wanted
    {
        let _ = rustix::fs::fcntl_setfl(socket, wanted);
    }
}

/// Ends a listening socket at once, whoever else has it still.
pub(crate) fn end(socket: BorrowedFd<'_>) {
    let _ = net::shutdown(socket, net::Shutdown::Both);
}

/// `TCP_CLOSE` and `TCP_LISTEN` of `linux/tcp_states.h`.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// What it is now.
pub(crate) fn state(socket: BorrowedFd<'_>) -> Result<State, Errno> {
    let [head, ..] = getsockopt(&socket, TcpInfoHead)?;
    let [state, ..] = head.to_ne_bytes();
    Ok(match state {
        CLOSE => State::Idle,
        LISTEN => State::Listens,
        _ => State::Connected,
    })
}

/// The ports that the kernel gives to who asks for none; what it gives by default where it does not say.
pub(crate) fn chosen_ports() -> std::ops::RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let mut numbers = text.iter().flat_map(|text| text.split_whitespace()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => first..=last,
        _ => 32_768..=60_999,
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, os::fd::AsFd};

    use super::*;

    #[test]
    fn a_socket_waits_as_another_does() {
        let [one, other] = [false, true].map(|is_nonblocking| make(false, is_nonblocking).unwrap());
        let waits = || !rustix::fs::fcntl_getfl(&one).unwrap().contains(OFlags::NONBLOCK);
        wait_alike(one.as_fd(), other.as_fd());
        assert!(!waits());
        wait_alike(one.as_fd(), make(false, false).unwrap().as_fd());
        assert!(waits());
    }

    #[test]
    fn a_socket_is_followed_from_birth_to_listening() {
        let socket = make(true, false).unwrap();
        assert_eq!((place(socket.as_fd()), state(socket.as_fd())), (None, Ok(State::Idle)));
        share(socket.as_fd()).unwrap();
        let at: SocketAddr = "[::1]:0".parse().unwrap();
        net::bind(&socket, &at).unwrap();
        let place = place(socket.as_fd()).unwrap();
        assert!(place.at.ip().is_loopback() && place.is_v6only, "the kernel closes it to IPv4");
        listen(socket.as_fd(), 5).unwrap();
        assert_eq!(state(socket.as_fd()), Ok(State::Listens));
        let limit = super::super::accept_queue(socket.as_fd()).unwrap().limit;
        assert!(limit > 5, "{limit}");
        let client = TcpStream::connect(place.at).unwrap();
        assert_eq!(state(client.as_fd()), Ok(State::Connected));
    }
}
