//! The `node` contract: the master as the primary of Node's cluster, for programs that know
//! nothing of it.
//!
//! What to do is decided by [`Primary`]; here are its hands. They have a poll set of their own, so
//! that the master's loop sees one descriptor: when that is readable, call [`Cluster::turn`].

mod listeners;
mod peer;
pub(crate) mod preload;

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use dutch_master::{
    Timestamp, WorkerEvent, WorkerId,
    wire::node::{
        QUEUE_LIMIT,
        primary::{Attachment, Effect, Event, MemberView, Misdeed, Options, Primary, Remark},
    },
};

use self::{listeners::Listeners, peer::Peer};
use crate::sys::{
    Errno,
    channel::{Channel, Received, SendError},
    connection,
    poll::{Interest, Poll},
};

/// How long nothing is accepted when there are no descriptors left, or nothing sent when the kernel
/// has too many under way: no readiness would tell when that ends.
const BREATHER: Duration = Duration::from_millis(50);
/// `ETOOMANYREFS`: more descriptors are under way than an unprivileged user may have.
const TOO_MANY_REFS: i32 = 109;

/// What has come of it.
#[derive(Debug)]
pub(crate) enum News {
    /// Something for the core.
    Event(WorkerId, WorkerEvent),
    /// A worker went too far. Its channel is closed; the core hears that it left.
    GaveUp(WorkerId, Misdeed),
    /// Something for the log.
    Remark(WorkerId, Remark),
    /// A server was opened for the workers, and where.
    Opened(String),
    /// A server was closed that no worker has any more.
    Closed(String),
}

/// The primary and its hands.
#[derive(Debug)]
pub(crate) struct Cluster {
    primary: Primary,
    poll: Poll,
    peers: BTreeMap<u64, Peer>,
    listeners: Listeners,
    /// Connections that no worker has answered for yet.
    connections: BTreeMap<u64, OwnedFd>,
    next_connection: u64,
    /// When to try again what the kernel had no room for.
    retry_at: Option<Duration>,
    news: Vec<News>,
    now: Duration,
}

/// What a token of the poll set stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Channel(u64),
    Listener(u64),
}

impl Source {
    const fn token(self) -> u64 {
        match self {
            Self::Channel(number) => number << 1,
            Self::Listener(number) => (number << 1) | 1,
        }
    }

    const fn of(token: u64) -> Self {
        if token & 1 == 0 { Self::Channel(token >> 1) } else { Self::Listener(token >> 1) }
    }
}

impl Cluster {
    /// A primary without workers.
    ///
    /// `lent` are the sockets that programs may ask for with `listen({fd})`, by that number.
    pub(crate) fn new(mut options: Options, lent: BTreeMap<i32, OwnedFd>) -> Result<Self, Errno> {
        options.allowed.extend(lent.keys());
        Ok(Self {
            primary: Primary::new(options),
            poll: Poll::new()?,
            peers: BTreeMap::new(),
            listeners: Listeners::new(lent),
            connections: BTreeMap::new(),
            next_connection: 0,
            retry_at: None,
            news: Vec::new(),
            now: Duration::ZERO,
        })
    }

    /// Readable when there is something to do: see [`turn`](Self::turn).
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.as_fd()
    }

    /// Makes a worker's channel. Returns its end, which must become [`variables`]' descriptor.
    /// `replaces` is whose servers it must have before it counts as ready.
    pub(crate) fn join(
        &mut self,
        now: Duration,
        worker: WorkerId,
        replaces: Option<WorkerId>,
    ) -> Result<OwnedFd, Errno> {
        let (channel, theirs) = Channel::pair(QUEUE_LIMIT)?;
        let number = worker.get();
        self.poll.add(&channel, Source::Channel(number).token(), Interest::Read)?;
        self.peers.insert(number, Peer::new(worker, channel));
        self.event(now, Event::Joined { member: number, replaces: replaces.map(WorkerId::get) });
        Ok(theirs)
    }

    /// Lets a worker finish what it has.
    pub(crate) fn drain(&mut self, now: Duration, worker: WorkerId) {
        self.event(now, Event::Drain { member: worker.get() });
    }

    /// A worker was reaped: reads what it said last, and forgets it.
    pub(crate) fn exited(&mut self, now: Duration, worker: WorkerId) {
        self.now = now;
        let member = worker.get();
        while self.read_once(member) {}
        self.event(now, Event::Exited { member });
        self.peers.remove(&member);
    }

    /// The fleet is at rest: servers that no worker has can go.
    pub(crate) fn settled(&mut self, now: Duration) {
        self.event(now, Event::Settled);
    }

    /// Does what can be done without waiting.
    pub(crate) fn turn(&mut self, now: Duration) {
        self.now = now;
        for ready in self.poll.wait(Some(Duration::ZERO)).unwrap_or_default() {
            match Source::of(ready.token) {
                Source::Channel(member) => {
                    if ready.writable {
                        self.flush(member);
                    }
                    if ready.readable || ready.hangup {
                        self.read_once(member);
                    }
                }
                Source::Listener(listener) => self.accept(listener),
            }
        }
        self.tick(now);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.now = now;
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            let members: Vec<u64> = self.peers.keys().copied().collect();
            for member in members {
                self.flush(member);
            }
            for listener in self.listeners.take_deaf() {
                self.watch(listener, self.primary.wants_connection(listener));
            }
        }
        self.primary.tick(Timestamp::from_origin(now));
        self.obey();
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let primary = self.primary.deadline().map(|at| at.since(Timestamp::ORIGIN));
        [primary, self.retry_at].into_iter().flatten().min()
    }

    /// What has happened since this was last asked.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// How the workers stand.
    pub(crate) fn members(&self) -> impl Iterator<Item = MemberView> + '_ {
        self.primary.members()
    }

    fn event(&mut self, now: Duration, event: Event<'_>) {
        self.now = now;
        self.primary.handle(Timestamp::from_origin(now), event);
        self.obey();
    }

    /// Reads once, so that no worker holds up the others. Whether there was anything.
    fn read_once(&mut self, member: u64) -> bool {
        let Some(peer) = self.peers.get_mut(&member).filter(|peer| peer.is_heard) else {
            return false;
        };
        let Some(channel) = &peer.channel else { return false };
        match channel.receive() {
            Ok(Received::Nothing) => false,
            Ok(Received::Bytes(bytes, fds)) => {
                let descriptors = fds.len();
                peer.descriptors.extend(fds);
                self.event(self.now, Event::Received { member, bytes: &bytes, descriptors });
                true
            }
            // A worker that died with something unread resets the channel.
            Ok(Received::End) | Err(_) => {
                self.close(member);
                self.event(self.now, Event::Closed { member });
                false
            }
        }
    }

    fn close(&mut self, member: u64) {
        let Some(channel) = self.peers.get_mut(&member).and_then(|peer| peer.channel.take()) else {
            return;
        };
        // A child may hold a copy.
        let _ = self.poll.remove(&channel);
    }

    fn accept(&mut self, listener: u64) {
        while self.primary.wants_connection(listener) {
            let Some(socket) = self.listeners.get(listener) else { return };
            match connection::accept(socket) {
                Ok(None) => return,
                Ok(Some(fd)) => {
                    let connection = self.next_connection;
                    self.next_connection = connection.wrapping_add(1);
                    self.connections.insert(connection, fd);
                    self.event(self.now, Event::Accepted { listener, connection });
                }
                Err(_) => {
                    self.watch(listener, false);
                    self.listeners.note_deaf(listener);
                    self.retry_later();
                    return;
                }
            }
        }
    }

    fn retry_later(&mut self) {
        self.retry_at.get_or_insert(self.now.saturating_add(BREATHER));
    }

    fn watch(&mut self, listener: u64, on: bool) {
        let Some(socket) = self.listeners.get(listener) else { return };
        // Watched twice or not at all: it is as it should be.
        let _ = if on {
            self.poll.add(socket, Source::Listener(listener).token(), Interest::Read)
        } else {
            self.poll.remove(socket)
        };
    }

    fn obey(&mut self) {
        while let Some(effect) = self.primary.next_effect() {
            match effect {
                Effect::Send { member, line, with } => self.send(member, line, with),
                Effect::Open { listener, target, backlog, .. } => {
                    let outcome = self.listeners.open(listener, &target, backlog);
                    if outcome.is_ok() {
                        self.news.push(News::Opened(self.listeners.name(listener)));
                    }
                    self.answer(Event::Opened { listener, outcome });
                }
                Effect::CloseListener(listener) => {
                    self.watch(listener, false);
                    self.news.push(News::Closed(self.listeners.name(listener)));
                    self.listeners.close(listener);
                }
                Effect::Watch { listener, on } => self.watch(listener, on),
                Effect::Listen { member, on } => {
                    if let Some(peer) = self.peers.get_mut(&member) {
                        peer.is_heard = on;
                    }
                    self.mind(member);
                }
                Effect::Inspect(connection) => {
                    let fd = self.connections.get(&connection);
                    let untouched = fd.is_some_and(|fd| connection::is_untouched(fd.as_fd()));
                    self.answer(Event::Inspected { connection, untouched });
                }
                Effect::CloseConnection(connection) => drop(self.connections.remove(&connection)),
                Effect::CloseDescriptors { member, count } => {
                    if let Some(peer) = self.peers.get_mut(&member) {
                        peer.close_descriptors(count);
                    }
                }
                Effect::Ready(member) => self.tell(member, WorkerEvent::Ready),
                Effect::RestartRequested(member) => {
                    self.tell(member, WorkerEvent::RestartRequested);
                }
                Effect::Left(member) => self.tell(member, WorkerEvent::Disconnected),
                Effect::Drained(member) => self.tell(member, WorkerEvent::Drained),
                Effect::GaveUp { member, misdeed } => self.give_up(member, misdeed),
                Effect::Remark { member, remark } => {
                    if let Some(peer) = self.peers.get_mut(&member)
                        && peer.may_remark()
                    {
                        self.news.push(News::Remark(peer.worker, remark));
                    }
                }
            }
        }
    }

    fn answer(&mut self, event: Event<'_>) {
        self.primary.handle(Timestamp::from_origin(self.now), event);
    }

    fn tell(&mut self, member: u64, event: WorkerEvent) {
        let worker = self.peers.get(&member).map(|peer| peer.worker);
        self.news.extend(worker.map(|worker| News::Event(worker, event)));
    }

    fn give_up(&mut self, member: u64, misdeed: Misdeed) {
        self.close(member);
        let worker = self.peers.get(&member).map(|peer| peer.worker);
        self.news.extend(worker.map(|worker| News::GaveUp(worker, misdeed)));
        self.tell(member, WorkerEvent::Disconnected);
        self.tell(member, WorkerEvent::Drained);
    }

    fn send(&mut self, member: u64, line: Vec<u8>, with: Option<Attachment>) {
        let Some(channel) = self.peers.get_mut(&member).and_then(|peer| peer.channel.as_mut())
        else {
            return;
        };
        let original = match with {
            None => None,
            Some(Attachment::Listener(listener)) => self.listeners.get(listener),
            Some(Attachment::Connection(connection)) => {
                self.connections.get(&connection).map(AsFd::as_fd)
            }
        };
        // Without a descriptor left for the copy the worker says that none has come, which is true.
        let copy = original.and_then(|fd| fd.try_clone_to_owned().ok());
        let sent = channel.send(line, copy);
        self.note_sent(member, sent);
    }

    fn flush(&mut self, member: u64) {
        let Some(channel) = self.peers.get_mut(&member).and_then(|peer| peer.channel.as_mut())
        else {
            return;
        };
        let sent = channel.flush();
        self.note_sent(member, sent);
    }

    fn note_sent(&mut self, member: u64, sent: Result<(), SendError>) {
        match sent {
            Err(SendError::Full(_)) => self.answer(Event::Clogged { member }),
            Err(SendError::Broken(Errno(TOO_MANY_REFS))) => self.retry_later(),
            // Of a broken channel, reading tells.
            Ok(()) | Err(SendError::Broken(_)) => {}
        }
        self.mind(member);
    }

    /// Waits for what matters on a channel now.
    fn mind(&mut self, member: u64) {
        let Some(peer) = self.peers.get_mut(&member) else { return };
        if let (Some(interest), Some(channel)) = (peer.take_change(), &peer.channel) {
            let _ = self.poll.modify(channel, Source::Channel(member).token(), interest);
        }
    }
}

/// What a worker finds in its environment, `fd` being its end of the channel. Node takes 0 for no
/// number at all; ours count from 1. `NODE_CHANNEL_SERIALIZATION_MODE` is left out: Node 8 and 10 would leave it to
/// the program's own children.
pub(crate) fn variables(worker: WorkerId, fd: i32) -> [(&'static str, String); 2] {
    [("NODE_CHANNEL_FD", fd.to_string()), ("NODE_UNIQUE_ID", worker.get().to_string())]
}

#[cfg(test)]
mod tests;
