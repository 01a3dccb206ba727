//! Carries bytes between a client and a server that it could not reach by itself, until both have ended.
//!
//! ```text
//!  client ═══ taken from a deaf worker's queue ═══ Relay ═══ leg: a connection of ours ═══ another worker
//! ```
//!
//! An end of the stream is passed on as such, a broken connection as a broken one. What one side does not
//! take is held up to [`CHUNK`] bytes, and no more is read from the other.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno as Code,
    net::{self, AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, sockopt},
};

use super::{
    Errno,
    local::{Sent, send},
    poll::{Interest, Poll},
};

/// How many bytes are read at once, and held at most in each direction.
pub(crate) const CHUNK: usize = 16 << 10;
/// How many chunks one direction gets before others have their turn.
const TURN: usize = 16;

/// Opens a connection's near end with an address of its own, which it will have at the far end, too.
pub(crate) fn bind(at: IpAddr) -> Result<(OwnedFd, u16), Errno> {
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let leg = net::socket_with(family, SocketType::STREAM, flags, None)?;
    net::bind(&leg, &SocketAddr::new(at, 0))?;
    let port = SocketAddr::try_from(net::getsockname(&leg)?)?.port();
    Ok((leg, port))
}

/// Begins to connect; writable is connected, or failed.
pub(crate) fn connect(leg: BorrowedFd<'_>, to: SocketAddr) -> Result<(), Errno> {
    match net::connect(leg, &to) {
        Ok(()) | Err(Code::INPROGRESS) => Ok(()),
        Err(code) => Err(code.into()),
    }
}

/// Whether a connection that was begun stands: not yet is no.
pub(crate) fn is_connected(leg: BorrowedFd<'_>) -> Result<bool, Errno> {
    sockopt::socket_error(leg)??;
    match net::getpeername(leg) {
        Ok(_) => Ok(true),
        Err(Code::NOTCONN) => Ok(false),
        Err(code) => Err(code.into()),
    }
}

/// Where the other side of a connection came to and where it came from, IPv4 as such.
pub(crate) fn ends(of: BorrowedFd<'_>) -> Result<(SocketAddr, SocketAddr), Errno> {
    let near = SocketAddr::try_from(net::getsockname(of)?)?;
    let far = net::getpeername(of)?.ok_or(Code::NOTCONN).map(SocketAddr::try_from)??;
    Ok((plain(near), plain(far)))
}

/// Tells the other side that no more comes.
pub(crate) fn end(of: BorrowedFd<'_>) {
    // Broken already is told already.
    let _ = net::shutdown(of, Shutdown::Write);
}

/// Whether the other side has sent something, closed, or broken.
pub(crate) fn has_answer(from: BorrowedFd<'_>) -> bool {
    peek(from) != Err(Code::AGAIN)
}

/// Whether the other side has closed or broken without a byte that is still to be read.
pub(crate) fn has_left(far: BorrowedFd<'_>) -> bool {
    !matches!(peek(far), Ok(1..) | Err(Code::AGAIN))
}

fn peek(at: BorrowedFd<'_>) -> Result<usize, Code> {
    net::recv(at, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT).map(|(_, length)| length)
}

fn plain(at: SocketAddr) -> SocketAddr {
    match at.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, at.port()),
        IpAddr::V6(_) => at,
    }
}

/// One side.
#[derive(Debug)]
struct End {
    fd: OwnedFd,
    /// What it is still to be sent.
    pending: Vec<u8>,
    /// It sends no more.
    has_ended: bool,
    /// It was told that no more comes.
    is_shut: bool,
    /// What we wait for.
    interest: Option<Interest>,
}

impl End {
    fn new(fd: OwnedFd) -> Self {
        let _ = sockopt::set_tcp_nodelay(&fd, true);
        // A client that has vanished must not stay for ever.
        let _ = sockopt::set_socket_keepalive(&fd, true);
        Self { fd, pending: Vec::new(), has_ended: false, is_shut: false, interest: None }
    }

    /// Waits for what can happen next. A side of which nothing is wanted is not waited for at all: its
    /// hang-up would come again and again.
    fn wait(&mut self, poll: &Poll, token: u64, wanted: Option<Interest>) -> Result<(), Errno> {
        if self.interest == wanted {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.interest, wanted);
        match (before, wanted) {
            (None, Some(interest)) => poll.add(&self.fd, token, interest),
            (Some(_), Some(interest)) => poll.modify(&self.fd, token, interest),
            (_, None) => poll.remove(&self.fd),
        }
    }

    /// Its connection ends as if we had crashed.
    fn reset(&self) {
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }
}

/// A client and its leg.
#[derive(Debug)]
pub(crate) struct Relay {
    client: End,
    leg: End,
    is_connected: bool,
    answered: u64,
}

/// One side is broken.
struct Broken;

impl Relay {
    /// Joins a client and a leg that is being connected.
    pub(crate) fn new(client: OwnedFd, leg: OwnedFd) -> Self {
        Self { client: End::new(client), leg: End::new(leg), is_connected: false, answered: 0 }
    }

    /// The leg.
    pub(crate) fn leg(&self) -> BorrowedFd<'_> {
        self.leg.fd.as_fd()
    }

    /// Whether the leg has come to its lane.
    pub(crate) const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether the client will send no more: it may be gone, and nobody here will ever know.
    pub(crate) const fn is_half_closed(&self) -> bool {
        self.client.has_ended
    }

    /// How many bytes the server has answered.
    pub(crate) const fn answered(&self) -> u64 {
        self.answered
    }

    /// Carries what there is, without waiting, and waits in `poll` for more. False once it is over.
    pub(crate) fn turn(&mut self, scratch: &mut [u8], poll: &Poll, token: u64) -> bool {
        let goes = self.carry(scratch).and_then(|goes| {
            let waits = !goes || self.wait(poll, token).is_ok();
            if waits { Ok(goes) } else { Err(Broken) }
        });
        goes.unwrap_or_else(|Broken| {
            self.client.reset();
            self.leg.reset();
            false
        })
    }

    fn carry(&mut self, scratch: &mut [u8]) -> Result<bool, Broken> {
        if !self.is_connected {
            self.is_connected = is_connected(self.leg.fd.as_fd()).map_err(|_| Broken)?;
        }
        if self.is_connected {
            carry(&mut self.client, &mut self.leg, scratch)?;
            let answered = carry(&mut self.leg, &mut self.client, scratch)?;
            self.answered = self.answered.saturating_add(answered);
        }
        Ok(!(self.client.is_shut && self.leg.is_shut))
    }

    fn wait(&mut self, poll: &Poll, token: u64) -> Result<(), Errno> {
        let wanted = |of: &End, other: &End, is_connected: bool| {
            let reads = is_connected && !of.has_ended && other.pending.is_empty();
            match (reads, !of.pending.is_empty()) {
                (true, true) => Some(Interest::Both),
                (true, false) => Some(Interest::Read),
                (false, true) => Some(Interest::Write),
                (false, false) => None,
            }
        };
        let client = wanted(&self.client, &self.leg, self.is_connected);
        let leg = wanted(&self.leg, &self.client, self.is_connected);
        let leg = if self.is_connected { leg } else { Some(Interest::Write) };
        self.client.wait(poll, token, client)?;
        self.leg.wait(poll, token, leg)
    }
}

/// One direction: what is held first, then what there is to read. How much was read.
fn carry(from: &mut End, to: &mut End, scratch: &mut [u8]) -> Result<u64, Broken> {
    let mut carried = 0_u64;
    for _ in 0..TURN {
        if !to.pending.is_empty() {
            let sent = put(to.fd.as_fd(), &to.pending)?;
            to.pending.drain(..sent);
            if !to.pending.is_empty() {
                break;
            }
            to.pending.shrink_to(0);
        }
        if from.has_ended {
            if !std::mem::replace(&mut to.is_shut, true) {
                net::shutdown(&to.fd, Shutdown::Write).map_err(|_| Broken)?;
            }
            break;
        }
        match net::recv(&from.fd, &mut *scratch, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => from.has_ended = true,
            Ok((_, length)) => {
                let bytes = scratch.get(..length).unwrap_or_default();
                let sent = put(to.fd.as_fd(), bytes)?;
                to.pending.extend_from_slice(bytes.get(sent..).unwrap_or_default());
                carried = carried.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            }
            Err(Code::AGAIN) => break,
            Err(Code::INTR) => {}
            Err(_) => return Err(Broken),
        }
    }
    Ok(carried)
}

/// How many of the bytes the kernel took.
fn put(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Broken> {
    match send(to, bytes) {
        Sent::Bytes(length) => Ok(length),
        Sent::Nothing => Ok(0),
        Sent::Gone => Err(Broken),
    }
}

#[cfg(test)]
mod tests;
