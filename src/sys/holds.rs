//! Whether another process has a socket open: read from /proc, as far as we may.
//!
//! A hint and no more: where /proc may not be read, or the process has very many descriptors, nothing
//! is known. No right on the process is asked for, beyond what anybody of the same user has.

use std::{fs, os::fd::BorrowedFd};

/// Whether a process has a socket under this number; nothing if we may not know. Any of its threads
/// stands for it.
pub(crate) fn has_open(thread: u32, number: i32, socket: BorrowedFd<'_>) -> Option<bool> {
    let inode = super::host::inode(socket)?;
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

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::fd::{AsFd, AsRawFd},
    };

    use super::*;

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
