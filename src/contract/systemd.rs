//! The `systemd` contract: passed sockets, `sd_notify(3)`, and the smaller ways to say "ready".
//!
//! Each worker has a datagram socket of its own under a name that nobody can guess, so no worker
//! can speak for another. A flood costs the flooder: so much is read a turn, the rest waits.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use dutch_master::{
    WorkerEvent,
    wire::notify::{self, Access, Notice},
};

use crate::sys::{
    Errno, Pid,
    channel::{Datagram, NotifySocket},
    host::{self, PipeRead},
    local,
};

/// Datagrams read from one worker in one turn.
const MOST_A_TURN: usize = 64;
/// Descriptors that one datagram may bring: `SCM_MAX_FD` is 253, systemd's own limit a datagram 768.
const MOST_FDS: usize = 64;

/// What a worker said.
#[derive(Debug)]
pub(crate) enum Said {
    /// Something for the core.
    Event(WorkerEvent),
    /// What it is doing, for people.
    Status(String),
    /// This process of its group is the one that matters.
    MainProcess(Pid),
    /// Why it fails.
    Failing(String),
    /// Keep these descriptors for the slot's next worker.
    Store {
        name: String,
        fds: Vec<OwnedFd>,
        /// Not to be kept once the other side has hung up.
        is_polled: bool,
    },
    /// Forget the stored descriptors of this name.
    Forget { name: String },
    /// Nonsense, so many lines or datagrams of it.
    Garbage(u32),
}

/// What connects us with one worker.
#[derive(Debug)]
pub(crate) struct Link {
    notify: NotifySocket,
    /// The reading end of `NOTIFY_FD`'s pipe, until a byte or its end has come.
    ready: Option<OwnedFd>,
    access: Access,
}

impl Link {
    /// Makes the sockets for a worker that runs as `uid`, below `directory`. Returns our side and
    /// the descriptor that becomes `NOTIFY_FD`.
    pub(crate) fn open(directory: &Path, uid: Option<u32>) -> Result<(Self, OwnedFd), Errno> {
        let path = directory.join(format!("notify-{}", host::secret()?));
        let notify = NotifySocket::bind(&path, uid)?;
        let (reader, writer) = host::pipe()?;
        Ok((Self { notify, ready: Some(reader), access: Access::All }, writer))
    }

    /// Removes the sockets that a master who was killed has left below `directory`.
    pub(crate) fn sweep(directory: &Path) {
        local::remove_abandoned(directory, "notify-");
    }

    /// What the worker finds in `NOTIFY_SOCKET`.
    pub(crate) fn address(&self) -> &Path {
        self.notify.path()
    }

    /// The socket, to be polled.
    pub(crate) fn notify_fd(&self) -> BorrowedFd<'_> {
        self.notify.as_fd()
    }

    /// The pipe, to be polled, while there is one.
    pub(crate) fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        self.ready.as_ref().map(AsFd::as_fd)
    }

    /// Takes what the worker has sent, `group` being its process group.
    pub(crate) fn read(&mut self, group: Pid) -> Vec<Said> {
        let mut said = Vec::new();
        for _ in 0..MOST_A_TURN {
            match self.notify.receive(MOST_FDS) {
                Ok(Some(datagram)) => self.take(datagram, group, &mut said),
                Ok(None) | Err(_) => break,
            }
        }
        said
    }

    /// Takes what came through `NOTIFY_FD`. Any byte means ready (s6's notification descriptor sends
    /// a line feed, and nothing else is agreed on).
    pub(crate) fn read_ready(&mut self) -> Option<Said> {
        match self.ready.as_ref().map(host::read_pipe)? {
            PipeRead::Nothing => None,
            PipeRead::Bytes(_) => {
                self.ready = None;
                Some(Said::Event(WorkerEvent::Ready))
            }
            PipeRead::End => {
                self.ready = None;
                None
            }
        }
    }

    fn take(&mut self, datagram: Datagram, group: Pid, said: &mut Vec<Said>) {
        if datagram.truncated || datagram.too_many_fds || !self.may_speak(&datagram, group) {
            said.push(Said::Garbage(1));
            return;
        }
        match notify::parse(&datagram.bytes) {
            Ok(notices) => self.translate(notices, datagram.fds, said),
            Err(_) => said.push(Said::Garbage(1)),
        }
    }

    /// A sender that is gone already can't be asked; it knew the socket's name.
    fn may_speak(&self, datagram: &Datagram, group: Pid) -> bool {
        let Some(pid) = datagram.pid else { return true };
        match self.access {
            Access::None => false,
            Access::Main => pid == group,
            Access::Exec | Access::All => {
                pid == group || host::group_of(pid).is_none_or(|its| its == group)
            }
        }
    }

    fn translate(&mut self, notices: Vec<Notice>, fds: Vec<OwnedFd>, said: &mut Vec<Said>) {
        let (mut name, mut is_polled) = (None, true);
        let (mut stores, mut forgets) = (false, false);
        for notice in notices {
            match notice {
                Notice::FdName(text) => name = Some(text),
                Notice::FdPoll(polls) => is_polled = polls,
                Notice::FdStore => stores = true,
                Notice::FdStoreRemove => forgets = true,
                Notice::NotifyAccess(access) => self.access = access,
                Notice::MainPid(pid) => {
                    said.extend(i32::try_from(pid).ok().and_then(Pid::new).map(Said::MainProcess));
                }
                Notice::Status(text) => said.push(Said::Status(text)),
                Notice::Errno(number) => said.push(Said::Failing(format!("errno {number}"))),
                Notice::BusError(text) => said.push(Said::Failing(text)),
                Notice::ExitStatus(code) => said.push(Said::Failing(format!("exit status {code}"))),
                Notice::Unknown(_) => {}
                Notice::Malformed(lines) => said.push(Said::Garbage(lines.into())),
                other => said.extend(event(&other).map(Said::Event)),
            }
        }
        let name = name.unwrap_or_else(|| "stored".to_owned());
        if forgets {
            said.push(Said::Forget { name });
        } else if stores && !fds.is_empty() {
            said.push(Said::Store { name, fds, is_polled });
        }
        // Descriptors that nobody keeps close here: for BARRIER=1, that is the answer.
    }
}

/// What a notice means to the core; nothing for those that only people care about.
fn event(notice: &Notice) -> Option<WorkerEvent> {
    let micros = Duration::from_micros;
    Some(match notice {
        Notice::Ready => WorkerEvent::Ready,
        Notice::Stopping => WorkerEvent::Disconnected,
        Notice::Watchdog => WorkerEvent::Alive,
        Notice::WatchdogTrigger => WorkerEvent::WatchdogFailed,
        Notice::WatchdogUsec(usec) => WorkerEvent::WatchdogInterval(micros(*usec)),
        Notice::ExtendTimeoutUsec(usec) => WorkerEvent::StartTimeoutExtended(micros(*usec)),
        Notice::RestartRequested => WorkerEvent::RestartRequested,
        _ => return None,
    })
}
