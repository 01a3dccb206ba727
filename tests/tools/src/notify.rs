//! A worker's side of `sd_notify`: messages and descriptors to `NOTIFY_SOCKET`.

use std::{
    env, io,
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    os::unix::ffi::OsStrExt,
};

use rustix::net::{
    self, AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

/// Sends `message` (`READY=1`, several lines allowed); `false` where nobody listens for any.
pub fn send(message: &str) -> io::Result<bool> {
    send_with(message, None)
}

/// Sends `message` and a descriptor (`FDSTORE=1`).
pub fn send_with(message: &str, descriptor: Option<BorrowedFd<'_>>) -> io::Result<bool> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(false) };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        path => SocketAddrUnix::new(path)?,
    };
    let socket: OwnedFd =
        net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let bytes = [io::IoSlice::new(message.as_bytes())];
    net::sendmsg_addr(&socket, &address, &bytes, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(true)
}
