//! One worker's channel: what it serves, what it has not answered yet, how it leaves.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::{num::NonZeroUsize, time::Duration};

use super::{Options, talk::Talk};
use crate::{
    Timestamp,
    wire::node::{Inbox, KEY_LIMIT, Query, Wrappers},
};

/// How many times a listening socket is sent again to a worker that had no descriptor for it.
pub(super) const SHARE_ATTEMPTS: u8 = 3;

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes connections.
    Serving,
    /// It takes none any more, and will be told to disconnect.
    Draining { since: Timestamp },
    /// It has been told to disconnect.
    Disconnecting,
    /// It leaves by its own will.
    Leaving,
    /// It has been given up; nothing that it says counts.
    Condemned,
    /// Its channel is gone.
    Closed,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has said nothing yet; what does not take the channel never will.
    Silent,
    /// Its cluster part is set up.
    Online,
    /// It serves.
    Ready,
}

/// A message with a descriptor that it has not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Connection { seq: u64 },
    Listener { listener: u64, ack: u64, attempts: u8 },
}

/// A connection that it has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handed {
    pub(super) listener: u64,
    pub(super) connection: u64,
}

/// A server of its.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) listener: u64,
    pub(super) query: Query,
    pub(super) is_listening: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) phase: Phase,
    pub(super) inbox: Inbox,
    pub(super) progress: Progress,
    /// It has said that it listens, on whatever it bound by itself.
    pub(super) listens_alone: bool,
    pub(super) next_seq: u64,
    pub(super) shares: Vec<Share>,
    /// The listeners that its predecessor served and it does not serve yet.
    pub(super) expected: BTreeSet<u64>,
    pub(super) wrappers: Wrappers<Sent>,
    /// What it has not answered, by the message's number.
    pub(super) handed: BTreeMap<u64, Handed>,
    pub(super) limit: NonZeroUsize,
    pub(super) rests_until: Option<Timestamp>,
    pub(super) answered_at: Option<Timestamp>,
    pub(super) listened_at: Option<Timestamp>,
    pub(super) unclaimed: usize,
    pub(super) connections: u64,
    pub(super) talk: Talk,
    /// It has been said that it is drained.
    pub(super) is_drained: bool,
}

/// A member as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Its number.
    pub member: u64,
    /// Whether it has taken up its channel, as a Node program does that is not started by another.
    pub is_online: bool,
    /// Whether it takes connections.
    pub is_serving: bool,
    /// Whether it has been found ready.
    pub is_ready: bool,
    /// How many connections it has not answered.
    pub unanswered: usize,
    /// How many connections it has been handed.
    pub connections: u64,
    /// The keys of its servers.
    pub keys: Vec<String>,
}

impl Member {
    pub(super) fn new(expected: BTreeSet<u64>, limit: NonZeroUsize) -> Self {
        Self {
            phase: Phase::Serving,
            inbox: Inbox::default(),
            progress: Progress::Silent,
            listens_alone: false,
            next_seq: 0,
            shares: Vec::new(),
            expected,
            wrappers: Wrappers::default(),
            handed: BTreeMap::new(),
            limit,
            rests_until: None,
            answered_at: None,
            listened_at: None,
            unclaimed: 0,
            connections: 0,
            talk: Talk::default(),
            is_drained: false,
        }
    }

    pub(super) fn holds(&self, listener: u64) -> bool {
        self.shares.iter().any(|share| share.listener == listener)
    }

    pub(super) fn listening_on(&self) -> BTreeSet<u64> {
        self.shares.iter().filter(|share| share.is_listening).map(|share| share.listener).collect()
    }

    /// Whether it can be handed a connection now.
    pub(super) fn is_free(&self) -> bool {
        self.phase == Phase::Serving
            && self.rests_until.is_none()
            && self.handed.len() < self.limit.get()
            && self.wrappers.under_way() < self.limit.get().saturating_add(self.shares.len())
    }

    /// Whether it can be sent a socket: one for each server, and a connection for each that may be
    /// unanswered, is all that is ever under way to who acknowledges what it gets.
    pub(super) fn has_room(&self) -> bool {
        self.wrappers.under_way() < self.limit.get().saturating_add(KEY_LIMIT)
    }

    /// Whether it is known to have taken in the reply about this listener. Deno loses a connection that
    /// comes before that, and does not answer it.
    pub(super) fn listens_on(&self, listener: u64) -> bool {
        let said = |share: &Share| share.listener == listener && share.is_listening;
        self.listens_alone || self.shares.iter().any(said)
    }

    pub(super) fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        seq
    }

    /// Notes that a server is ready. The same place may be asked for twice, as "any port" and by
    /// number, so the exact match comes first.
    pub(super) fn note_listening(&mut self, listening: &Query) {
        let waiting =
            || |share: &&mut Share| !share.is_listening && share.query.is_answered_by(listening);
        let exact = |share: &&mut Share| share.query.target == listening.target;
        let found = if self.shares.iter_mut().filter(waiting()).any(|share| exact(&share)) {
            self.shares.iter_mut().filter(waiting()).find(exact)
        } else {
            self.shares.iter_mut().find(waiting())
        };
        if let Some(share) = found {
            share.is_listening = true;
            self.expected.remove(&share.listener);
        } else {
            self.listens_alone = true;
        }
    }

    /// Whether it has opened anything.
    pub(super) fn listens(&self) -> bool {
        self.listens_alone || self.shares.iter().any(|share| share.is_listening)
    }

    /// When a draining member is to be told to disconnect.
    pub(super) fn disconnect_at(&self, options: &Options) -> Option<Timestamp> {
        let Phase::Draining { since } = self.phase else { return None };
        let patience = since.after(options.drain_patience);
        if !self.handed.is_empty() {
            return Some(patience);
        }
        let pause = if options.shared { Duration::ZERO } else { options.drain_pause };
        let quiet = self.answered_at.map(|answered| answered.after(options.quiet_pause));
        Some(since.after(pause).max(quiet.unwrap_or(since)).min(patience))
    }

    /// When a successor that has not opened everything is found ready all the same.
    pub(super) fn settles_at(&self, options: &Options) -> Option<Timestamp> {
        let waits =
            self.progress != Progress::Ready && self.phase == Phase::Serving && self.listens();
        waits.then_some(self.listened_at?.after(options.settle_pause))
    }

    pub(super) fn deadline(&self, options: &Options) -> Option<Timestamp> {
        let (leaves, settles) = (self.disconnect_at(options), self.settles_at(options));
        [leaves, settles, self.rests_until, self.talk.ends_at()].into_iter().flatten().min()
    }

    pub(super) fn view(&self, member: u64) -> MemberView {
        MemberView {
            member,
            is_online: self.progress != Progress::Silent,
            is_serving: self.phase == Phase::Serving,
            is_ready: self.progress == Progress::Ready,
            unanswered: self.handed.len(),
            connections: self.connections,
            keys: self.shares.iter().map(|share| share.query.key()).collect(),
        }
    }
}
