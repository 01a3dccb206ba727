//! Receives a message on a unix socket together with the descriptors and the sender that came with it.
//!
//! # Safety: why this file
//!
//! Ancillary data is a chain of C structures. nix loses the descriptors of a message whose ancillary data was cut (which a
//! hostile sender can bring about while we are short of descriptors), and rustix takes a sender outside of our pid
//! namespace, whose pid is 0, for a pid that can't be 0. So the chain is walked here, by libc's macros.
#![allow(unsafe_code, reason = "recvmsg(2) with ancillary data, as told above")]
#![allow(clippy::useless_conversion, reason = "lengths are u32 with musl, usize with glibc")]

use std::{
    mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use super::{Errno, Pid};

/// Room for the sender and 253 descriptors, more of which the kernel does not pass in one message (`SCM_MAX_FD`), in words.
const ROOM: usize = 160;

/// Who sent a message, as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Its process, unless that is outside of our pid namespace.
    pub(crate) pid: Option<Pid>,
    /// Its user.
    pub(crate) uid: u32,
}

/// What came with the bytes.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// How many bytes came: 0 is the end of a stream.
    pub(crate) length: usize,
    /// A datagram was longer than the buffer.
    pub(crate) truncated: bool,
    /// The descriptors, close-on-exec.
    pub(crate) fds: Vec<OwnedFd>,
    /// Descriptors were lost, because we may not have so many.
    pub(crate) fds_lost: bool,
    /// Who sent it, where the socket has `SO_PASSCRED`.
    pub(crate) sender: Option<Sender>,
}

/// Takes the next message without waiting; nothing where there is none.
pub(crate) fn receive(fd: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<Option<Message>, Errno> {
    let mut room = [0u64; ROOM];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: a msghdr is numbers and pointers, for which zero means none; some targets have private padding in it.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = room.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&room).try_into().unwrap_or_default();
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    // SAFETY: `header` points to `part` and `room`, `part` to `bytes`, each with its length, and all outlive the call.
    let length = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) };
    let Ok(length) = usize::try_from(length) else {
        let errno = Errno::from(std::io::Error::last_os_error());
        return if matches!(errno.0, libc::EAGAIN | libc::EINTR) { Ok(None) } else { Err(errno) };
    };
    let mut message = Message {
        length,
        truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        fds_lost: header.msg_flags & libc::MSG_CTRUNC != 0,
        ..Message::default()
    };
    message.take_ancillary(&header);
    Ok(Some(message))
}

impl Message {
    /// Takes the descriptors and the sender out of a header that recvmsg has just filled, once.
    fn take_ancillary(&mut self, header: &libc::msghdr) {
        // SAFETY: the kernel has filled the control buffer and set its length; it is aligned for a cmsghdr.
        let mut part = unsafe { libc::CMSG_FIRSTHDR(ptr::from_ref(header)) };
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header within the control buffer.
        while let Some(head) = unsafe { part.as_ref() } {
            // SAFETY: the data follow the header within the buffer.
            let data = unsafe { libc::CMSG_DATA(part) };
            // SAFETY: pure arithmetic.
            let before = unsafe { libc::CMSG_LEN(0) };
            let length = usize::try_from(head.cmsg_len).unwrap_or_default();
            let length = length.saturating_sub(usize::try_from(before).unwrap_or_default());
            match (head.cmsg_level, head.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => self.take_fds(data, length),
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                    // SAFETY: the kernel wrote a ucred there, perhaps unaligned; any bits are one.
                    let sender: libc::ucred =
                        unsafe { data.cast::<libc::ucred>().read_unaligned() };
                    self.sender = Some(Sender { pid: Pid::new(sender.pid), uid: sender.uid });
                }
                _ => {}
            }
            // SAFETY: `part` is a header of this buffer.
            part = unsafe { libc::CMSG_NXTHDR(ptr::from_ref(header), part) };
        }
    }

    fn take_fds(&mut self, data: *const u8, length: usize) {
        // The kernel writes whole descriptors only.
        const SIZE: usize = size_of::<RawFd>();
        for at in (0..length).step_by(SIZE) {
            // SAFETY: the kernel wrote `length` bytes of descriptors from `data` on, perhaps unaligned.
            let fd = unsafe { data.add(at).cast::<RawFd>().read_unaligned() };
            // SAFETY: the kernel has just opened it for us, and it is taken out of the message only here.
            self.fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}
