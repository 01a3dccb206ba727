//! Unix stream clients that come to us: accepted, told apart by who they are, read without waiting.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    io::Errno as Raw,
    net::{SocketFlags, sockopt},
};

use super::{Errno, Pid};

/// Somebody who connected.
#[derive(Debug)]
pub(crate) struct Client {
    /// The connection, non-blocking.
    pub(crate) fd: OwnedFd,
    /// Its process when it connected.
    pub(crate) pid: Pid,
    /// Its user.
    pub(crate) uid: u32,
}

/// Takes the next client, if one waits.
pub(crate) fn accept(listener: impl AsFd) -> Result<Option<Client>, Errno> {
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(&listener, flags) {
            Ok(fd) => {
                let who = sockopt::socket_peercred(&fd)?;
                return Ok(Some(Client { fd, pid: who.pid.into(), uid: who.uid.as_raw() }));
            }
            Err(Raw::AGAIN) => return Ok(None),
            Err(Raw::INTR | Raw::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
