//! Einhorn's way to say "ready": a line on a unix socket that all workers know.
//!
//! Who speaks is asked of the kernel, not read from the line: a worker can acknowledge only itself.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use dutch_master::wire::{
    einhorn,
    line::{Lines, Overlong},
};

use crate::sys::{
    Errno, Pid,
    host::{self, PipeRead},
    local,
    sockets::{self, Address, Options, SocketError},
};

/// Clients at the same time; one more takes the place of the oldest, which has had its time.
pub(crate) const MOST: usize = 32;
/// An acknowledgement is about 40 bytes.
const LONGEST: usize = 4096;

/// The socket and who is connected to it.
#[derive(Debug)]
pub(crate) struct Einhorn {
    listener: OwnedFd,
    path: PathBuf,
    clients: BTreeMap<u64, Client>,
    next: u64,
    /// Nobody is let in before this: there were no descriptors left.
    pub(crate) shut_until: Option<Duration>,
}

#[derive(Debug)]
struct Client {
    fd: OwnedFd,
    group: Option<Pid>,
    lines: Lines,
}

/// What a client's turn led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The worker with this process group is ready.
    Ready { group: Pid },
    /// Nothing, and it may say more.
    Nothing,
    /// It is gone, or was sent away.
    Gone,
}

impl Einhorn {
    pub(crate) fn open(directory: &Path) -> Result<Self, SocketError> {
        // Masters may share a directory, and each needs a socket of its own.
        let own = host::secret().unwrap_or_else(|_| std::process::id().to_string());
        let path = directory.join(format!("einhorn-{own}"));
        // Workers of any user may connect; what they may say depends on who they are.
        let options = Options { mode: Some(0o666), ..Options::default() };
        let listener = sockets::listen(&Address::Unix(path.clone()), &options)?;
        Ok(Self { listener, path, clients: BTreeMap::new(), next: 0, shut_until: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes one client that waits. Returns its number and descriptor, to be polled.
    pub(crate) fn accept(&mut self) -> Result<Option<(u64, BorrowedFd<'_>)>, Errno> {
        let Some(local::Client { fd, pid, .. }) = local::accept(&self.listener)? else {
            return Ok(None);
        };
        if self.clients.len() >= MOST {
            self.clients.pop_first();
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let lines = Lines::new(LONGEST, Overlong::Refuse);
        let client = Client { fd, group: pid.and_then(host::group_of), lines };
        self.clients.insert(number, client);
        Ok(self.clients.get(&number).map(|client| (number, client.fd.as_fd())))
    }

    /// Listens to a client.
    pub(crate) fn read(&mut self, number: u64) -> Heard {
        let heard = self.clients.get_mut(&number).map_or(Heard::Gone, Client::read);
        if heard != Heard::Nothing {
            self.clients.remove(&number);
        }
        heard
    }
}

impl Client {
    fn read(&mut self) -> Heard {
        match host::read_pipe(&self.fd) {
            PipeRead::Nothing => Heard::Nothing,
            PipeRead::End => Heard::Gone,
            PipeRead::Bytes(bytes) => {
                self.lines.feed(&bytes);
                match self.lines.take_line() {
                    None => Heard::Nothing,
                    Some(Ok(line)) if einhorn::parse(&line).is_ok() => {
                        self.group.map_or(Heard::Gone, |group| Heard::Ready { group })
                    }
                    Some(_) => Heard::Gone,
                }
            }
        }
    }
}

impl AsFd for Einhorn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Einhorn {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
