//! The `capture` contract: servers that know nothing of us, by the three calls that make a server.
//!
//! ```text
//!   socket() ─▶ made here, given to the worker, and a copy kept   (Nursery)
//!   bind()   ─▶ the copy is set to share its port; the kernel binds
//!   listen() ─▶ done here: the worker's socket joins its place    (Group), or an old one comes back
//! ```
//!
//! Where workers are to share one queue (`BALANCE=shared`), a place has one listening socket, which
//! `listen()` puts in the stead of the worker's own; each worker's lane has a copy of it.
//!
//! No memory of a worker is read, so that nothing here needs a right on it, and nothing can change
//! under our hands. What we do not know, the kernel does as if we were not there. The hands have a
//! poll set of their own: when that is readable, call [`Capture::turn`].

mod calls;
mod datagrams;
mod ends;
mod held;
mod member;
mod place;
mod queue;
mod readiness;

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use dutch_master::{Generation, SlotId, WorkerEvent, WorkerId};

use self::{
    datagrams::Datagrams,
    member::{Door, Member, Standing},
    place::{Group, Lane},
    readiness::Knowledge,
};
use crate::sys::{
    Errno,
    diag::{Port, Tag},
    host,
    poll::{Interest, Poll},
    seccomp::{self, Heard, Listener, Program},
    sockets::AcceptQueue,
    steer::SteerError,
};

/// How many calls of one worker are answered in a turn, so that one that floods costs only itself.
const CALLS: usize = 32;
/// How many listening sockets one worker may have in places that only it knows.
const PASSING: usize = 16;
/// How many listening sockets one worker may have here; what it has beyond is its own affair.
const MOST: usize = 256;

/// What has come of it.
#[derive(Debug)]
pub(crate) enum News {
    /// Something for the core.
    Event(WorkerId, WorkerEvent),
    /// Somebody listens in a new place.
    Opened(String),
    /// One more socket listens.
    Grown,
    /// Nobody will listen there any more.
    Closed(String),
    /// Something for the log.
    Remark(WorkerId, &'static str),
    /// It would not hear the listener that all share, here.
    Deaf(WorkerId, String),
    /// Connections can't be steered.
    Astray(SteerError),
}

/// All captured workers and their sockets.
#[derive(Debug)]
pub(crate) struct Capture {
    program: Program,
    /// Whether all share one socket in a place.
    is_shared: bool,
    poll: Poll,
    members: BTreeMap<u64, Member>,
    groups: Vec<Group>,
    datagrams: Datagrams,
    knowledge: Knowledge,
    /// Our network, where that can be told from others.
    network: Option<u64>,
    next_serial: u64,
    next_group: usize,
    news: Vec<News>,
    now: Duration,
}

/// What a token of the poll set stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A worker's listener, or where that is to come from.
    Door(u64),
    /// A socket.
    Socket(u64),
}

impl Source {
    const fn token(self) -> u64 {
        match self {
            Self::Door(number) => number << 1,
            Self::Socket(serial) => (serial << 1) | 1,
        }
    }

    const fn of(token: u64) -> Self {
        if token & 1 == 0 { Self::Door(token >> 1) } else { Self::Socket(token >> 1) }
    }
}

/// Who comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newcomer {
    pub(crate) worker: WorkerId,
    pub(crate) slot: SlotId,
    pub(crate) generation: Generation,
    /// Who serves in its slot now.
    pub(crate) incumbent: Option<WorkerId>,
    /// Its connections' mark, where it has one already.
    pub(crate) tag: Option<Tag>,
}

impl Capture {
    /// Nobody yet. `must_listen`: a worker that never does is not ready, however long it lives.
    /// `datagrams`: UDP, too. `is_shared`: all have one queue in a place.
    pub(crate) fn new(must_listen: bool, datagrams: bool, is_shared: bool) -> Result<Self, Errno> {
        Ok(Self {
            program: Program::new(datagrams, is_shared),
            is_shared,
            poll: Poll::new()?,
            members: BTreeMap::new(),
            groups: Vec::new(),
            datagrams: Datagrams::default(),
            knowledge: Knowledge::new(must_listen),
            network: host::network_of(None),
            next_serial: 0,
            next_group: 0,
            news: Vec::new(),
            now: Duration::ZERO,
        })
    }

    /// Readable when there is something to do: see [`turn`](Self::turn).
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.as_fd()
    }

    /// The filter that every worker is put below.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Makes the way of a worker's listener to us. Returns the worker's end.
    pub(crate) fn enter(&mut self, now: Duration, newcomer: Newcomer) -> Result<OwnedFd, Errno> {
        self.now = now;
        self.forked(now);
        let (ours, theirs) = seccomp::pair()?;
        let number = newcomer.worker.get();
        self.poll.add(&ours, Source::Door(number).token(), Interest::Read)?;
        let tag = newcomer.tag.unwrap_or_else(|| self.rarest_tag());
        self.members.insert(number, Member::new(newcomer, tag, Door::Expected(ours), now));
        Ok(theirs)
    }

    /// Answers calls, and looks at sockets on which something has happened.
    pub(crate) fn turn(&mut self, now: Duration) {
        self.now = now;
        for number in self.hear_sockets() {
            self.read_door(number);
        }
        self.look_at_datagrams();
        self.settle();
    }

    /// Looks who is ready by now.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.now = now;
        self.look_at_datagrams();
        self.settle();
    }

    /// What has happened since the last time.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Lets new connections come to a worker, or keeps them away.
    pub(crate) fn set_live(&mut self, worker: WorkerId, is_live: bool) -> Result<(), SteerError> {
        let now = self.now;
        if let Some(member) = self.members.get_mut(&worker.get()) {
            member.standing = match (is_live, member.standing) {
                (true, _) => Standing::Lives,
                (false, Standing::Lives) => Standing::Leaves,
                (false, standing) => standing,
            };
            if is_live {
                member.lives_since.get_or_insert(now);
            }
        }
        if is_live {
            self.learn(worker);
        }
        let each = self.groups.iter_mut().map(|group| group.set_live(worker, is_live));
        let outcome = worst(each).and(self.datagrams.set_live(worker, is_live));
        self.close_deserted();
        outcome
    }

    /// A worker has been reaped.
    pub(crate) fn leave(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        let number = worker.get();
        // What it called last may have been a listen.
        self.read_door(number);
        let away = self.datagrams.desert(worker);
        self.tell(away);
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        member.is_reaped = true;
        if matches!(member.door, Door::Open(_)) {
            // A process of it lives on somewhere and may hold its sockets. When that ends, we hear of it;
            // what nobody accepts until then is the next one's.
            let outcome = worst(self.groups.iter_mut().map(|group| group.desert(worker)));
            return outcome.and(self.set_live(worker, false));
        }
        self.forget(worker)
    }

    /// Whether workers have sockets of their own.
    pub(crate) fn has_lanes(&self) -> bool {
        !self.is_shared
    }

    /// The mark of a worker's connections, where they can be told from others'.
    pub(crate) fn tag(&self, worker: WorkerId) -> Option<Tag> {
        Some(self.members.get(&worker.get()).filter(|_| !self.is_shared)?.tag)
    }

    /// How many workers have this mark.
    pub(crate) fn bearers(&self, tag: Tag) -> usize {
        self.members.values().filter(|member| member.tag == tag).count()
    }

    /// The ports on which workers listen.
    pub(crate) fn ports(&self) -> impl Iterator<Item = Port> {
        self.groups.iter().map(|group| group.place.at.into())
    }

    /// Whether no connection waits to be accepted by a worker, nor a datagram to be read.
    pub(crate) fn has_empty_queue(&self, worker: WorkerId) -> bool {
        let lanes = self.groups.iter().flat_map(|group| &group.lanes);
        lanes.filter(|lane| lane.holder == Some(worker)).all(|lane| lane.waiting() == 0)
            && self.datagrams.is_read(worker)
    }

    /// Where workers listen, with the queues of all together.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (String, Option<AcceptQueue>)> {
        let datagrams = self.datagrams.names().map(|name| (name, None));
        let count = if self.is_shared { 1 } else { usize::MAX };
        let lasting = self.groups.iter().filter(|group| group.is_lasting).map(move |group| {
            let queues = group.lanes.iter().take(count).filter_map(Lane::queue);
            let sum = queues.reduce(|sum, queue| AcceptQueue {
                length: sum.length.saturating_add(queue.length),
                limit: sum.limit.saturating_add(queue.limit),
            });
            (group.place.to_string(), sum)
        });
        lasting.chain(datagrams)
    }

    /// All workers stop: what they close is closed from now on.
    pub(crate) fn release(&mut self) {
        for group in &mut self.groups {
            group.release(&self.poll);
        }
        self.groups.clear();
        self.release_datagrams();
    }

    fn read_door(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        if let Door::Expected(from) = &member.door {
            let door = match seccomp::take_listener(from.as_fd()) {
                Ok(Some(listener)) => Listener::new(listener).map_or(Door::Closed, Door::Open),
                Err(errno) if errno.0 == AGAIN => return,
                Ok(None) | Err(_) => Door::Closed,
            };
            if let Door::Open(listener) = &door {
                // Unheard, its calls would wait for ever; closed, they fail.
                let token = Source::Door(number).token();
                let added = self.poll.add(listener, token, Interest::Read);
                member.door = if added.is_ok() { door } else { Door::Closed };
            } else {
                member.door = door;
            }
        }
        for _ in 0..CALLS {
            match self.receive(number) {
                Ok(Heard::Call(call)) => self.answer(number, &call),
                Ok(Heard::Nothing) => return,
                Ok(Heard::End) | Err(_) => return self.shut(number),
            }
        }
    }

    fn receive(&mut self, number: u64) -> Result<Heard, Errno> {
        match self.members.get_mut(&number).map(|member| &mut member.door) {
            Some(Door::Open(listener)) => listener.receive(),
            _ => Ok(Heard::Nothing),
        }
    }

    /// No process below the filter is left, or can be heard.
    fn shut(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        if matches!(member.door, Door::Expected(_)) {
            return;
        }
        member.door = Door::Closed;
        if member.is_reaped {
            let worker = member.newcomer.worker;
            let outcome = self.forget(worker);
            self.tell(outcome);
        }
    }

    fn tell(&mut self, outcome: Result<(), SteerError>) {
        self.news.extend(outcome.err().map(News::Astray));
    }

    /// Those whose mark is borne by the fewest; a drain tells connections of the same mark apart.
    fn rarest_tag(&self) -> Tag {
        let tags = (1..=Tag::usable()).filter_map(Tag::new);
        tags.min_by_key(|tag| self.bearers(*tag)).unwrap_or(Tag::FIRST)
    }
}

/// `EAGAIN`.
const AGAIN: i32 = 11;

/// All outcomes, of which the first error counts.
fn worst(outcomes: impl Iterator<Item = Result<(), SteerError>>) -> Result<(), SteerError> {
    outcomes.fold(Ok(()), Result::and)
}

#[cfg(test)]
mod tests;
