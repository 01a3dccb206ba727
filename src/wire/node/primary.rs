//! The primary of Node's cluster as a machine without hands: events go in, effects come out.
//!
//! ```text
//!  channel bytes, exits, accepted sockets        Send, Open, Watch, Inspect, Ready, Drained …
//!           │                                                   ▲
//!           └──► handle(now, event) ──► members, listeners ─────┘  while next_effect()
//!                tick(now), deadline()
//! ```
//!
//! A **member** is a worker's channel, a **listener** one server that members share by its key. A
//! connection is at any time in exactly one place: waiting here, with one member that has not
//! answered yet, under inspection after that member failed, or closed. The shell keeps descriptors;
//! here they are numbers that it chose.

mod dispatch;
mod hearing;
mod leaving;
mod listener;
mod member;
mod port;
mod talk;

use alloc::collections::{BTreeMap, VecDeque};

pub use member::MemberView;
pub use port::{Attachment, Effect, Event, Misdeed, Options, Remark};

use crate::Timestamp;
use listener::Listener;
use member::{Member, Phase};

/// Everything that is known of the cluster.
#[derive(Debug)]
pub struct Primary {
    options: Options,
    members: BTreeMap<u64, Member>,
    listeners: BTreeMap<u64, Listener>,
    /// The next listener's number; numbers are not used twice.
    next_listener: u64,
    /// Connections whose member failed, until the shell has looked at them: to which listener each
    /// belongs.
    inspected: BTreeMap<u64, u64>,
    effects: VecDeque<Effect>,
}

impl Primary {
    /// A cluster without members.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self {
            options,
            members: BTreeMap::new(),
            listeners: BTreeMap::new(),
            next_listener: 0,
            inspected: BTreeMap::new(),
            effects: VecDeque::new(),
        }
    }

    /// Takes note of what happened, and decides what follows from it.
    pub fn handle(&mut self, now: Timestamp, event: Event<'_>) {
        match event {
            Event::Joined { member, replaces } => self.join(member, replaces),
            Event::Received { member, bytes, descriptors } => {
                self.hear(now, member, bytes, descriptors);
            }
            Event::Clogged { member } => self.give_up(member, Misdeed::ReadsNothing),
            Event::Closed { member } => self.close_channel(member),
            Event::Exited { member } => self.forget(member),
            Event::Opened { listener, outcome } => self.opened(listener, outcome),
            Event::Accepted { listener, connection } => {
                self.take_connection(listener, connection);
            }
            Event::Inspected { connection, untouched } => self.rescued(connection, untouched),
            Event::Drain { member } => self.drain(now, member),
            Event::Settled => self.close_unused(),
        }
        self.tick(now);
    }

    /// Decides what the passing of time brings; nothing new when told the same time twice.
    pub fn tick(&mut self, now: Timestamp) {
        self.end_rests(now);
        self.end_silences(now);
        self.settle_readiness(now);
        self.advance_leaving(now);
        self.dispatch();
    }

    /// The next thing to do, in the order in which things must be done.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`tick`](Self::tick) has something to do without an event.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.members.values().filter_map(|member| member.deadline(&self.options)).min()
    }

    /// Whether a connection that is accepted now would find a member that takes it. Accept only
    /// then: what waits in the kernel's queue can still go to anybody.
    #[must_use]
    pub fn wants_connection(&self, listener: u64) -> bool {
        self.listeners.get(&listener).is_some_and(|listener| listener.watched)
    }

    /// Every member as it stands, for whoever shows it.
    pub fn members(&self) -> impl Iterator<Item = MemberView> + '_ {
        self.members.iter().map(|(number, member)| member.view(*number))
    }

    fn join(&mut self, number: u64, replaces: Option<u64>) {
        let expected = replaces.and_then(|old| self.members.get(&old)).map(Member::listening_on);
        let member = Member::new(expected.unwrap_or_default(), self.options.in_flight);
        self.members.insert(number, member);
    }

    /// Whether a member may still speak.
    fn is_heard(&self, number: u64) -> bool {
        self.members
            .get(&number)
            .is_some_and(|member| !matches!(member.phase, Phase::Condemned | Phase::Closed))
    }

    fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }
}
