//! Unix stream clients that come to us, and the masters that we go to: told apart by who they are,
//! never waited for.

use std::{
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::FileTypeExt, net::UnixStream},
    },
    path::Path,
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::{
    io::Errno as Raw,
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType},
};

use super::{Errno, Pid};

/// Somebody who connected.
#[derive(Debug)]
pub(crate) struct Client {
    /// The connection, non-blocking.
    pub(crate) fd: OwnedFd,
    /// Its process when it connected; nothing when that is outside of our pid namespace, which rustix
    /// has no word for.
    pub(crate) pid: Option<Pid>,
    /// Its user.
    pub(crate) uid: u32,
}

/// Takes the next client, if one waits.
pub(crate) fn accept(listener: impl AsFd) -> Result<Option<Client>, Errno> {
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(&listener, flags) {
            Ok(fd) => {
                let who = getsockopt(&fd, PeerCredentials)?;
                return Ok(Some(Client { fd, pid: Pid::new(who.pid()), uid: who.uid() }));
            }
            Err(Raw::AGAIN) => return Ok(None),
            Err(Raw::INTR | Raw::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Goes to a master. One that takes nobody in for so long that its queue is full is not waited for.
pub(crate) fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let stream = UnixStream::from(try_connect(path)?);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// What a client would find at a socket that should be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// We listen there.
    Ours,
    /// So do we perhaps, but too many wait.
    Full,
    /// Another process does; nothing when it is outside of our pid namespace.
    Stranger(Option<Pid>),
    /// There is no such file.
    Missing {
        /// But where it should be.
        has_directory: bool,
    },
    /// A file on which nobody listens.
    Deserted {
        /// As somebody may once have done.
        is_socket: bool,
    },
    /// We may not go there.
    Closed,
    /// Something else.
    Failed(Errno),
}

/// Goes to a socket that should be ours as a client would, and away again; waits for nobody.
pub(crate) fn visit(path: &Path) -> Visit {
    match try_connect(path) {
        Ok(fd) => match getsockopt(&fd, PeerCredentials).map(|who| Pid::new(who.pid())) {
            Ok(pid) if pid == Some(Pid::own()) => Visit::Ours,
            Ok(pid) => Visit::Stranger(pid),
            Err(error) => Visit::Failed(error.into()),
        },
        Err(Raw::AGAIN) => Visit::Full,
        Err(Raw::NOENT) => {
            Visit::Missing { has_directory: path.parent().is_some_and(Path::is_dir) }
        }
        Err(Raw::CONNREFUSED) => {
            let kind = std::fs::symlink_metadata(path).map(|facts| facts.file_type());
            Visit::Deserted { is_socket: kind.is_ok_and(|kind| kind.is_socket()) }
        }
        Err(Raw::ACCESS) => Visit::Closed,
        Err(error) => Visit::Failed(error.into()),
    }
}

fn try_connect(path: &Path) -> Result<OwnedFd, Raw> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(fd)
}

/// Removes every datagram socket of a name that begins so and on which nobody receives any more.
pub(crate) fn remove_abandoned(directory: &Path, prefix: &str) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(prefix);
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            continue;
        }
        let tried = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .and_then(|fd| rustix::net::connect(&fd, &SocketAddrUnix::new(&path)?));
        if tried == Err(Raw::CONNREFUSED) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// The user who listens where we have connected.
pub(crate) fn peer_uid(connection: impl AsFd) -> Result<u32, Errno> {
    Ok(getsockopt(&connection, PeerCredentials)?.uid())
}

/// What became of bytes for a stream socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many are on their way.
    Bytes(usize),
    /// There is no room now.
    Nothing,
    /// Nobody is there any more.
    Gone,
}

/// Sends what the kernel takes without waiting, and without SIGPIPE.
pub(crate) fn send(connection: impl AsFd, bytes: &[u8]) -> Sent {
    loop {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&connection, bytes, flags) {
            Ok(length) => return Sent::Bytes(length),
            Err(Raw::INTR) => {}
            Err(Raw::AGAIN) => return Sent::Nothing,
            Err(_) => return Sent::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn only_sockets_that_nobody_receives_on_are_removed_and_only_of_the_name() {
        let base = std::env::temp_dir().join(format!("dm-abandoned-{}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        let bind = |name: &str| UnixDatagram::bind(base.join(name)).unwrap();
        let living = bind("notify-living");
        drop((bind("notify-dead"), bind("other-dead")));
        std::fs::write(base.join("notify-file"), "").unwrap();
        remove_abandoned(&base, "notify-");
        let left = std::fs::read_dir(&base).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["notify-file", "notify-living", "other-dead"]);
        drop(living);
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_visit_tells_what_is_in_the_place_of_a_socket_of_ours() {
        let base = std::env::temp_dir().join(format!("dm-visit-{}", std::process::id()));
        let path = base.join("here");
        assert_eq!(visit(&path), Visit::Missing { has_directory: false });
        std::fs::create_dir_all(&base).unwrap();
        assert_eq!(visit(&path), Visit::Missing { has_directory: true });
        std::fs::write(&path, "").unwrap();
        assert_eq!(visit(&path), Visit::Deserted { is_socket: false });
        std::fs::remove_file(&path).unwrap();
        let ours = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(visit(&path), Visit::Ours);
        rustix::net::listen(&ours, 0).unwrap();
        assert_eq!(visit(&path), Visit::Full, "nobody is waited for");
        drop(ours);
        assert_eq!(visit(&path), Visit::Deserted { is_socket: true });
        assert!(matches!(visit(&path.join("below")), Visit::Failed(_)));
        std::fs::remove_dir_all(&base).unwrap();
    }
}
