//! Whether another process has a socket open, and whether it polls it: read from /proc, as far as we may.
//!
//! A hint and no more: where /proc may not be read, or the process has very many descriptors, nothing
//! is known. No right on the process is asked for, beyond what anybody of the same user has.

use std::{
    fs,
    io::Read,
    os::fd::{AsFd, BorrowedFd},
};

/// How many descriptors of a process are looked at, for we wait meanwhile.
const MOST: usize = 4096;
/// How many of its epoll sets are looked at, and how much is read of what each waits for: about 80 bytes a
/// descriptor.
const SETS: usize = 8;
const LONGEST: u64 = 64 << 10;

/// Whether a process has a socket under this number; nothing if we may not know. Any of its threads
/// stands for it.
pub(crate) fn has_open(thread: u32, number: i32, socket: BorrowedFd<'_>) -> Option<bool> {
    let inode = inode(socket)?;
    let open = fs::read_link(format!("/proc/{thread}/fd/{number}"));
    match open {
        Ok(what) => Some(what.to_str() == Some(&format!("socket:[{inode}]"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Gone, or a process that we do not see.
            fs::exists(format!("/proc/{thread}/fd"))
                .ok()
                .filter(|is_there| *is_there)
                .map(|_| false)
        }
        Err(_) => None,
    }
}

/// Whether an epoll set of a process waits for this socket, as far as we may know.
pub(crate) fn is_polled(thread: u32, socket: BorrowedFd<'_>) -> bool {
    let Some(inode) = inode(socket) else { return false };
    let Ok(open) = fs::read_dir(format!("/proc/{thread}/fd")) else { return false };
    let mut sets = open.take(MOST).flatten().filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|what| what.as_os_str() == "anon_inode:[eventpoll]")
    });
    let waits_for = format!("ino:{inode:x}");
    sets.by_ref().take(SETS).any(|set| {
        let number = set.file_name();
        let info = fs::File::open(format!("/proc/{thread}/fdinfo/{}", number.display()));
        let mut text = String::new();
        let read = info.and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        read.is_ok() && text.split_whitespace().any(|word| word == waits_for)
    })
}

fn inode(socket: BorrowedFd<'_>) -> Option<u64> {
    rustix::fs::fstat(socket.as_fd()).ok().map(|found| found.st_ino)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd};

    use super::*;
    use crate::sys::poll::{Interest, Poll};

    #[test]
    fn a_socket_that_an_epoll_set_waits_for_is_polled_and_others_are_not() {
        let me = std::process::id();
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let poll = Poll::new().unwrap();
        poll.add(&one, 7, Interest::Read).unwrap();
        assert!(is_polled(me, one.as_fd()) && !is_polled(me, other.as_fd()));
        poll.remove(&one).unwrap();
        assert!(!is_polled(me, one.as_fd()));
    }

    #[test]
    fn a_number_means_the_socket_that_is_open_under_it_and_nothing_is_known_of_the_unseen() {
        let me = std::process::id();
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(has_open(me, one.as_raw_fd(), one.as_fd()), Some(true));
        assert_eq!(has_open(me, one.as_raw_fd(), other.as_fd()), Some(false));
        assert_eq!(has_open(me, 1_000_000, one.as_fd()), Some(false));
        assert_eq!(has_open(0, one.as_raw_fd(), one.as_fd()), None);
    }
}
