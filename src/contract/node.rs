//! The `node` contract: the master as the primary of Node's cluster, for programs that know
//! nothing of it.
//!
//! What to do is decided by [`Primary`]; here are its hands. They have a poll set of their own, so
//! that the master's loop sees one descriptor: when that is readable, call [`Cluster::turn`].

mod bulletin;
mod connections;
mod hands;
mod listeners;
mod peer;
pub(crate) mod preload;

use std::{
    collections::BTreeMap,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use dutch_master::{
    Timestamp, WorkerEvent, WorkerId,
    wire::node::primary::{Effect, Event, MemberView, Misdeed, Options, Primary, Remark},
};

use self::{bulletin::Bulletin, connections::Connections, listeners::Listeners, peer::Peer};
use crate::sys::{
    Errno,
    channel::{Channel, Received},
    diag::{self, Census},
    poll::{Interest, Poll},
    sockets::AcceptQueue,
};

/// How often a channel is read for a worker's last words. More than it can hold: what still comes then
/// is written by somebody else, who may go on for ever.
const LAST_READS: u8 = 64;

/// How many bytes may wait for a worker that does not read.
const QUEUE_LIMIT: usize = 4 << 20;

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
    /// Servers are opened and closed so often that it is not told any more for a while.
    Busy,
}

/// The primary and its hands.
#[derive(Debug)]
pub(crate) struct Cluster {
    primary: Primary,
    /// Whether workers have the listening sockets themselves.
    is_shared: bool,
    poll: Poll,
    peers: BTreeMap<u64, Peer>,
    listeners: Listeners,
    connections: Connections,
    bulletin: Bulletin,
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
            is_shared: options.shared,
            primary: Primary::new(options),
            poll: Poll::new()?,
            peers: BTreeMap::new(),
            listeners: Listeners::new(lent),
            connections: Connections::default(),
            bulletin: Bulletin::default(),
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
        let tags = self.peers.values().filter_map(|peer| peer.tag);
        let tag = connections::free_tag(&tags.collect());
        self.peers.insert(number, Peer::new(worker, channel, tag));
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
        self.hear_out(member);
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
                    if ready.hangup {
                        self.hear_out(member);
                    } else if ready.readable {
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

    /// Address and accept queue of each server that is open, those of a path or of UDP without a queue.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (String, Option<AcceptQueue>)> {
        self.listeners.queues()
    }

    /// Everybody who is connected to a server, if the kernel tells.
    pub(crate) fn census(&self) -> Option<Census> {
        diag::census(&self.listeners.ports()).ok()
    }

    /// How many connections a worker has, where they are handed out.
    pub(crate) fn connections(&self, worker: WorkerId, census: &Census) -> Option<usize> {
        let tag = self.peers.get(&worker.get())?.tag.filter(|_| !self.is_shared)?;
        Some(census.load(tag, Duration::ZERO).connections)
    }

    /// How many connections were taken back from workers that had not begun them.
    pub(crate) const fn rescued(&self) -> u64 {
        self.connections.rescued()
    }

    fn event(&mut self, now: Duration, event: Event<'_>) {
        self.now = now;
        self.primary.handle(Timestamp::from_origin(now), event);
        self.obey();
    }

    /// Reads what a worker said last: it can say no more, so that even one that talked too much is heard
    /// to its end, and the poll set reports no hang-up without end.
    fn hear_out(&mut self, member: u64) {
        if let Some(peer) = self.peers.get_mut(&member) {
            peer.is_heard = true;
        }
        for _ in 0..LAST_READS {
            if !self.read_once(member) {
                return;
            }
        }
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

    fn obey(&mut self) {
        while let Some(effect) = self.primary.next_effect() {
            match effect {
                Effect::Send { member, line, with } => self.send(member, line, with),
                Effect::Open { listener, target, backlog, .. } => {
                    let outcome = self.listeners.open(listener, &target, backlog);
                    if outcome.is_ok() {
                        self.tell_of_listener(listener, News::Opened);
                    }
                    self.answer(Event::Opened { listener, outcome });
                }
                Effect::CloseListener(listener) => {
                    self.watch(listener, false);
                    self.tell_of_listener(listener, News::Closed);
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
                    let untouched = self.connections.inspect(connection);
                    self.answer(Event::Inspected { connection, untouched });
                }
                Effect::CloseConnection(connection) => self.connections.close(connection),
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

    /// The log is not a worker's to fill, which may open and close servers all the time.
    fn tell_of_listener(&mut self, listener: u64, news: fn(String) -> News) {
        let name = self.listeners.name(listener);
        self.news.extend(self.bulletin.pass(self.now, news(name)));
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
}

/// What a worker finds in its environment, `fd` being its end of the channel. Node takes 0 for no
/// number at all; ours count from 1. `NODE_CHANNEL_SERIALIZATION_MODE` is left out: Node 8 and 10 would leave it to
/// the program's own children.
pub(crate) fn variables(worker: WorkerId, fd: i32) -> [(&'static str, String); 2] {
    [("NODE_CHANNEL_FD", fd.to_string()), ("NODE_UNIQUE_ID", worker.get().to_string())]
}

#[cfg(test)]
mod tests;
