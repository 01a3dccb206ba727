//! The dialogue with the kernel's `sock_diag`(7), in bytes.
//!
//! One dump for each port of a family, which the kernel filters; or one answer for each connection by name. Numbers are in the machine's order but for ports.

use std::{os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno as Code,
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG},
};

use super::{Census, Connection, DiagError, Listener, Name, Port, Tag};

/// The kernel fills at most 32 KiB at once, however large the buffer.
const BUFFER: usize = 32 << 10;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Length of a request: header and `struct inet_diag_req_v2`.
const REQUEST: u32 = 72;
/// Length of `struct inet_diag_msg`.
const MESSAGE: usize = 72;

// linux/netlink.h and linux/sock_diag.h.
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;

// linux/inet_diag.h.
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_SOCKOPT: u16 = 22;

// net/tcp_states.h.
const ESTABLISHED: u8 = 1;
/// A handshake in progress.
const SYN_RECV: u8 = 3;
/// The client has closed its half, and may still wait for an answer.
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;
/// Closed by the worker, the kernel finishes a connection alone: the other states are nobody's work.
const STATES: u32 = (1 << ESTABLISHED) | (1 << SYN_RECV) | (1 << CLOSE_WAIT) | (1 << LISTEN);

/// Asks for all of these ports.
pub(super) fn census(ports: &[Port]) -> Result<Census, DiagError> {
    let kernel = open()?;
    let mut census = Census::default();
    let mut buffer = vec![0; BUFFER];
    for port in ports {
        // struct inet_diag_sockid: source port, destination port, both addresses, interface, cookie.
        let mut id = [[0; 16]; 3];
        let [first, _, last] = &mut id;
        first[..2].copy_from_slice(&port.number.to_be_bytes());
        last[8..].fill(0xff);
        let request = request(NLM_F_DUMP, &Name { is_v6: port.is_v6, id }).ok_or(Code::INVAL)?;
        net::send(&kernel, &request, SendFlags::empty())?;
        // A dump is made while it is read, so that there is something to read until it is done.
        while {
            let (length, _) = net::recv(&kernel, &mut buffer, RecvFlags::empty())?;
            take_all(buffer.get(..length).unwrap_or_default(), &mut census)?
        } {}
    }
    Ok(census)
}

/// Asks for these connections, one by one; who is gone is not in what comes back.
pub(super) fn look(names: &[Name]) -> Result<Census, DiagError> {
    let kernel = open()?;
    let mut census = Census::default();
    let mut buffer = vec![0; BUFFER];
    for name in names {
        let request = request(0, name).ok_or(Code::INVAL)?;
        net::send(&kernel, &request, SendFlags::empty())?;
        // The kernel has answered by the time that it has taken the question.
        let (length, _) = net::recv(&kernel, &mut buffer, RecvFlags::empty())?;
        match take_all(buffer.get(..length).unwrap_or_default(), &mut census) {
            Err(DiagError::Refused(errno)) if errno.0 == libc::ENOENT => {}
            result => {
                result?;
            }
        }
    }
    Ok(census)
}

fn open() -> Result<OwnedFd, DiagError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?)
}

/// A dump of one family's sockets on one local port, or a question for one socket.
fn request(flags: u16, name: &Name) -> Option<Vec<u8>> {
    let family = if name.is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let mut bytes = Vec::new();
    // struct nlmsghdr: length, type, flags, sequence, port id.
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend([0; 8]);
    // struct inet_diag_req_v2: family, protocol, extensions, padding, states.
    bytes.push(u8::try_from(family.as_raw()).ok()?);
    bytes.push(u8::try_from(libc::IPPROTO_TCP).ok()?);
    bytes.push(1 << INET_DIAG_INFO.checked_sub(1)?);
    bytes.push(0);
    bytes.extend(STATES.to_ne_bytes());
    bytes.extend(name.id.as_flattened());
    Some(bytes)
}

/// Takes what the kernel said at once; whether there is more to come.
fn take_all(mut bytes: &[u8], census: &mut Census) -> Result<bool, DiagError> {
    while let Some(length) = u32_at(bytes, 0) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = bytes.get(HEADER..length) else { break };
        match u16_at(bytes, 4) {
            Some(SOCK_DIAG_BY_FAMILY) => take(message, census)?,
            Some(NLMSG_DONE) => return Ok(false),
            Some(NLMSG_ERROR) => return Err(refusal(message)),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// `struct nlmsgerr` begins with the errno, negative.
fn refusal(message: &[u8]) -> DiagError {
    let errno = u32_at(message, 0).map(|errno| i32::from_ne_bytes(errno.to_ne_bytes()));
    Code::from_raw_os_error(errno.unwrap_or_default().saturating_neg().max(1)).into()
}

/// `struct inet_diag_msg` and its attributes.
fn take(message: &[u8], census: &mut Census) -> Result<(), DiagError> {
    let state = message.get(1).copied().unwrap_or_default();
    if state == SYN_RECV {
        census.half_open.push(cookie(message));
        return Ok(());
    }
    // Who asks for one connection gets it in whatever state it is.
    if 1_u32.checked_shl(state.into()).is_none_or(|bit| bit & STATES == 0) {
        return Ok(());
    }
    let attributes = message.get(MESSAGE..).unwrap_or_default();
    let options = attribute(attributes, INET_DIAG_SOCKOPT).ok_or(DiagError::NoTags)?;
    let info = attribute(attributes, INET_DIAG_INFO).unwrap_or_default();
    let tag = tag(options);
    let port = u16_at(message, 4).map(u16::from_be).unwrap_or_default();
    let queues = (u32_at(message, 56), u32_at(message, 60));
    let (receive, send) = (queues.0.unwrap_or_default(), queues.1.unwrap_or_default());
    if state == LISTEN {
        census.listeners.push(Listener { tag, port, waiting: receive, limit: send });
        return Ok(());
    }
    let ago = |at| Duration::from_millis(u32_at(info, at).unwrap_or_default().into());
    census.connections.push(Connection {
        name: name(message),
        tag,
        port,
        cookie: cookie(message),
        // What nobody has accepted is no file yet and has no inode.
        is_waiting: u32_at(message, 68) == Some(0),
        // The end of what the client sent counts as one byte.
        unread: receive.saturating_sub(u32::from(state == CLOSE_WAIT)),
        unsent: send,
        // struct tcp_info: last_data_sent, last_data_recv, bytes_received (Linux 4.1), data_segs_out (4.6).
        sent: ago(44),
        received: ago(52),
        has_asked: (u32_at(info, 128), u32_at(info, 132)) != (Some(0), Some(0)),
        has_answered: u32_at(info, 156) != Some(0),
    });
    Ok(())
}

/// What to ask for it by.
fn name(message: &[u8]) -> Name {
    let is_v6 = message.first().copied() == u8::try_from(AddressFamily::INET6.as_raw()).ok();
    let mut id = [[0; 16]; 3];
    let bytes = message.get(4..).and_then(<[u8]>::first_chunk::<48>);
    id.as_flattened_mut().copy_from_slice(bytes.unwrap_or(&[0; 48]));
    Name { is_v6, id }
}

/// The last part of `struct inet_diag_sockid`.
fn cookie(message: &[u8]) -> u64 {
    let (low, high) = (u32_at(message, 44), u32_at(message, 48));
    u64::from(low.unwrap_or_default()) | u64::from(high.unwrap_or_default()) << 32
}

/// `struct inet_diag_sockopt` has one bit for an option: the third is `freebind`, the fifth `mc_loop`, the seventh `mc_all`,
/// and of the second byte `bind_address_no_port` and `recverr_rfc4884`.
fn tag(options: &[u8]) -> Option<Tag> {
    let first = options.first().copied().unwrap_or_default();
    let second = options.get(1).copied().unwrap_or_default();
    let bit = |byte: u8, at: u8| byte.checked_shr(at.into()).unwrap_or_default() & 1;
    Tag::new(
        bit(first, 2)
            | (bit(!first, 4) << 1)
            | (bit(!first, 6) << 2)
            | (bit(second, 0) << 3)
            | (bit(second, 1) << 4),
    )
}

/// An attribute is its length and kind, two bytes each, and its value.
fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    while let Some(length) = u16_at(bytes, 0) {
        let length = usize::from(length);
        let value = bytes.get(4..length)?;
        if u16_at(bytes, 2) == Some(kind) {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}
