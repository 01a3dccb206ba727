//! Connections from their accept to the answer of the worker that they were handed to.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::sys::{
    connection,
    diag::{self, Tag},
};

/// Those that no worker has answered for yet.
#[derive(Debug, Default)]
pub(super) struct Connections {
    held: BTreeMap<u64, Connection>,
    next: u64,
    rescued: u64,
}

#[derive(Debug)]
struct Connection {
    fd: OwnedFd,
    /// Whose it is, for whoever counts connections later.
    tag: Option<Tag>,
}

impl Connections {
    /// Takes one in, and gives it a number.
    pub(super) fn keep(&mut self, fd: OwnedFd) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.held.insert(number, Connection { fd, tag: None });
        number
    }

    /// Marks one as of the worker with this tag, and shows it.
    pub(super) fn assign(&mut self, number: u64, tag: Option<Tag>) -> Option<BorrowedFd<'_>> {
        let connection = self.held.get_mut(&number)?;
        // A Unix socket takes no tags, and nobody counts those.
        if let Some(tag) = tag
            && diag::move_tag(connection.fd.as_fd(), connection.tag, tag).is_ok()
        {
            connection.tag = Some(tag);
        }
        Some(connection.fd.as_fd())
    }

    /// Whether one can go to another worker, and counts it if so.
    pub(super) fn inspect(&mut self, number: u64) -> bool {
        let held = self.held.get(&number);
        let untouched = held.is_some_and(|held| connection::is_untouched(held.fd.as_fd()));
        self.rescued = self.rescued.saturating_add(untouched.into());
        untouched
    }

    pub(super) fn close(&mut self, number: u64) {
        self.held.remove(&number);
    }

    pub(super) const fn rescued(&self) -> u64 {
        self.rescued
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// A tag that nobody has, one of few bits first: each bit costs a system call a connection. With more workers than tags
/// the last ones have none.
pub(super) fn free_tag(taken: &BTreeSet<Tag>) -> Option<Tag> {
    let free = Tag::all().filter(|tag| !taken.contains(tag));
    free.min_by_key(|tag| tag.bits())
}
