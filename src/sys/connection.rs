//! Connections that the master takes itself, to hand them to workers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::{getsockopt_impl, sockopt_impl, sys::socket::getsockopt};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno as Code,
    net::{RecvFlags, SocketFlags},
};

use super::{Errno, interrupt::impatiently, sockets::accept_queue};

sockopt_impl!(
    /// The first 136 bytes of `struct tcp_info` (`linux/tcp.h`), up to `tcpi_bytes_received`. Linux 4.2.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u64; 17]
);

/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT` of `linux/tcp_states.h`: a client that waits for an answer,
/// whether or not it has said that it will send no more.
const WAITING_STATES: [u8; 2] = [1, 8];

/// Takes the next connection, non-blocking, if one waits. A connection that broke in the queue is
/// nobody's any more; what is wrong with it, accept(2) reports as its own error.
pub(crate) fn accept(listener: impl AsFd) -> Result<Option<OwnedFd>, Errno> {
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(&listener, flags) {
            Ok(fd) => return Ok(Some(fd)),
            Err(Code::AGAIN) => return Ok(None),
            Err(
                Code::INTR
                | Code::CONNABORTED
                | Code::PROTO
                | Code::NETDOWN
                | Code::NETUNREACH
                | Code::HOSTDOWN
                | Code::HOSTUNREACH
                | Code::OPNOTSUPP
                | Code::PERM,
            ) => {}
            Err(code) => return Err(code.into()),
        }
    }
}

/// Takes up to so many connections from a socket that a worker holds as well, and that may be set to
/// wait: we do not, or for milliseconds at most.
pub(crate) fn accept_waiting(listener: BorrowedFd<'_>, most: usize) -> Result<Vec<OwnedFd>, Errno> {
    impatiently(|| {
        let mut taken = Vec::new();
        while taken.len() < most && accept_queue(listener)?.length > 0 {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(listener, flags) {
                Ok(fd) => taken.push(fd),
                Err(Code::INTR | Code::AGAIN) => break,
                // One that broke in the queue; the others are still there.
                Err(Code::CONNABORTED | Code::PROTO | Code::PERM) => {}
                Err(code) if taken.is_empty() => return Err(code.into()),
                Err(_) => break,
            }
        }
        Ok(taken)
    })?
}

/// Holds one descriptor for each of up to so many connections, of which there is room for both: what
/// is opened when one of these is closed does not fail for want of a descriptor.
pub(crate) fn reserve(like: BorrowedFd<'_>, count: usize) -> Vec<OwnedFd> {
    let both = count.saturating_mul(2);
    let mut held: Vec<OwnedFd> = (0..both).map_while(|_| like.try_clone_to_owned().ok()).collect();
    held.truncate(held.len().checked_div(2).unwrap_or_default());
    held
}

/// Takes the next connection from a socket that a worker holds as well, and that it may have set to
/// wait: we do not, or for milliseconds at most.
pub(crate) fn accept_shared(listener: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let mut asked = [PollFd::new(&listener, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if rustix::event::poll(&mut asked, Some(&at_once)).unwrap_or_default() == 0 {
        return Ok(None);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match impatiently(|| rustix::net::accept_with(listener, flags))? {
        Ok(fd) => Ok(Some(fd)),
        Err(Code::INTR | Code::AGAIN | Code::CONNABORTED | Code::PROTO | Code::PERM) => Ok(None),
        Err(code) => Err(code.into()),
    }
}

/// Whether nobody has read from a connection or written to it, and its client still waits.
pub(crate) fn is_untouched(connection: BorrowedFd<'_>) -> bool {
    let Ok(info) = getsockopt(&connection, TcpInfo) else {
        return is_open_unix(connection);
    };
    let [state_and_flags, .., acked, received] = info;
    let [state, ..] = state_and_flags.to_ne_bytes();
    let waiting = rustix::io::ioctl_fionread(connection).unwrap_or_default();
    // The handshake counts as one byte acknowledged, the client's FIN as one received.
    WAITING_STATES.contains(&state)
        && acked <= 1
        && (received == waiting || received == waiting.saturating_add(1))
}

/// A Unix socket does not count; that its client is still there is all that can be known.
fn is_open_unix(connection: BorrowedFd<'_>) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match rustix::net::recv(connection, &mut [0_u8], flags) {
        Ok((_, length)) => length > 0,
        Err(code) => code == Code::AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
    };

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = TcpStream::from(accept(&listener).unwrap().unwrap());
        (client, server)
    }

    #[test]
    fn nothing_to_accept_is_no_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(accept(&listener).unwrap().is_none());
    }

    #[test]
    fn connections_are_taken_from_a_socket_that_waits_and_nobody_waits_for_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(at).unwrap()).collect();
        assert_eq!(accept_waiting(listener.as_fd(), 2).unwrap().len(), 2);
        assert_eq!(accept_waiting(listener.as_fd(), 9).unwrap().len(), 1);
        assert_eq!(accept_waiting(listener.as_fd(), 9).unwrap().len(), 0);
    }

    #[test]
    fn one_connection_is_taken_from_a_socket_that_waits_and_nobody_waits_for_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(accept_shared(listener.as_fd()).unwrap().is_some());
        assert!(accept_shared(listener.as_fd()).unwrap().is_none());
    }

    #[test]
    fn an_accept_that_would_wait_for_ever_is_interrupted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let waited = impatiently(|| rustix::net::accept(&listener).map(drop)).unwrap();
        assert_eq!(waited.unwrap_err(), Code::INTR);
    }

    #[test]
    fn a_connection_is_untouched_until_somebody_reads_or_writes() {
        let (mut client, mut server) = pair();
        assert!(is_untouched(server.as_fd()));
        client.write_all(b"hello").unwrap();
        assert!(is_untouched(server.as_fd()));
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(is_untouched(server.as_fd()));
        server.read_exact(&mut [0]).unwrap();
        assert!(!is_untouched(server.as_fd()));
        let (mut client, mut server) = pair();
        server.write_all(b"hello").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        assert!(!is_untouched(server.as_fd()));
    }

    #[test]
    fn a_connection_whose_client_has_reset_it_is_not_for_anybody() {
        let (client, server) = pair();
        rustix::net::sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        assert!(!is_untouched(server.as_fd()));
    }

    #[test]
    fn a_unix_connection_is_for_somebody_while_its_client_is_there() {
        let (mut client, server) = UnixStream::pair().unwrap();
        assert!(is_untouched(server.as_fd()));
        client.write_all(b"x").unwrap();
        assert!(is_untouched(server.as_fd()));
        let (client, server) = UnixStream::pair().unwrap();
        drop(client);
        assert!(!is_untouched(server.as_fd()));
    }
}
