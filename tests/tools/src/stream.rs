//! Connections over TCP and unix sockets, read and written alike, with the errors kept apart.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::net::UnixStream,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{self, RecvFlags, SendFlags, sockopt},
};

/// Where a server listens: `127.0.0.1:8000`, `[::1]:8000` or `unix:/run/app.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A literal address and port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!("{text}: expected an address as 127.0.0.1:8000 or unix:/run/app.sock")
        })
    }
}

/// A connected socket.
#[derive(Debug)]
pub struct Stream(OwnedFd);

/// What an idle connection looks like before a request is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nothing has come: it can be used.
    Open,
    /// The server has closed it.
    Closed,
    /// The server has sent bytes that nobody asked for.
    Unasked,
}

impl Stream {
    /// Connects; gives up after `timeout`, which then holds for each read and write as well.
    pub fn connect(address: &Address, timeout: Duration) -> io::Result<Self> {
        let socket: OwnedFd = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, timeout)?;
                stream.set_nodelay(true)?;
                stream.into()
            }
            Address::Unix(path) => UnixStream::connect(path)?.into(),
        };
        let stream = Self(socket);
        stream.set_timeout(timeout)?;
        Ok(stream)
    }

    /// Takes a socket that is connected already.
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// How long a read or a write may wait.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        for id in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&self.0, id, Some(timeout))?;
        }
        Ok(())
    }

    /// Whether the other end has closed or spoken while nobody asked it anything.
    pub fn idle(&self) -> Idle {
        let mut byte = [0; 1];
        match net::recv(&self.0, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => Idle::Open,
            Ok((_, 1..)) => Idle::Unasked,
            Ok((_, 0)) | Err(_) => Idle::Closed,
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut *buffer))?)
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = rustix::io::retry_on_intr(|| net::send(&self.0, bytes, SendFlags::NOSIGNAL))?;
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
