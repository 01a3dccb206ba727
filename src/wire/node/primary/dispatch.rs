//! Connections: who gets the next one, and what becomes of one whose member failed.

use alloc::vec::Vec;

use super::{
    Attachment, Effect, Primary,
    listener::State,
    member::{Handed, Sent},
};
use crate::{Timestamp, wire::node::Outgoing};

impl Primary {
    /// A connection was accepted. Where nobody knows the listener any more, nobody serves it.
    pub(super) fn take_connection(&mut self, listener: u64, connection: u64) {
        match self.listeners.get_mut(&listener) {
            Some(listener) => listener.waiting.push_back(connection),
            None => self.push(Effect::CloseConnection(connection)),
        }
    }

    /// Hands out what waits, and has the shell accept where somebody could take more.
    pub(super) fn dispatch(&mut self) {
        let numbers: Vec<u64> = self.listeners.keys().copied().collect();
        for number in numbers {
            while let Some((member, connection)) = self.take_pair(number) {
                self.hand(member, number, connection);
            }
            let wanted = self.next_free(number).is_some();
            let Some(listener) = self.listeners.get_mut(&number) else { continue };
            let on = wanted
                && !listener.is_shared
                && listener.waiting.is_empty()
                && matches!(listener.state, State::Open(_));
            if core::mem::replace(&mut listener.watched, on) != on {
                self.push(Effect::Watch { listener: number, on });
            }
        }
    }

    /// The connection that has waited longest and the member that has waited longest, if both are.
    fn take_pair(&mut self, listener: u64) -> Option<(u64, u64)> {
        let place = self.next_free(listener)?;
        let listener = self.listeners.get_mut(&listener)?;
        let connection = listener.waiting.pop_front()?;
        let member = listener.turn.remove(place)?;
        listener.turn.push_back(member);
        Some((member, connection))
    }

    /// The place in turn of the first member that is free.
    fn next_free(&self, listener: u64) -> Option<usize> {
        let turn = &self.listeners.get(&listener)?.turn;
        turn.iter().position(|member| {
            self.members.get(member).is_some_and(|it| it.is_free() && it.listens_on(listener))
        })
    }

    fn hand(&mut self, number: u64, listener_number: u64, connection: u64) {
        let Some(listener) = self.listeners.get(&listener_number) else { return };
        let Some(member) = self.members.get_mut(&number) else { return };
        let seq = member.take_seq();
        member.wrappers.note_sent(Sent::Connection { seq });
        member.handed.insert(seq, Handed { listener: listener_number, connection });
        member.connections = member.connections.saturating_add(1);
        let message = Outgoing::Connection { seq, key: &listener.key };
        let line = message.encode(member.inbox.dialect());
        let with = Some(Attachment::Connection(connection));
        self.push(Effect::Send { member: number, line, with });
    }

    /// A member has answered a connection. Answers to anything else mean nothing.
    pub(super) fn answered(&mut self, now: Timestamp, number: u64, seq: u64, accepted: bool) {
        let Some(member) = self.members.get_mut(&number) else { return };
        let Some(handed) = member.handed.remove(&seq) else { return };
        member.answered_at = Some(now);
        if accepted {
            self.push(Effect::CloseConnection(handed.connection));
        } else {
            // Its server is closing or full: ask the others first.
            member.rests_until = Some(now.after(self.options.refused_rest));
            self.inspect(handed);
        }
    }

    /// A connection did not reach a member.
    pub(super) fn lost(&mut self, number: u64, seq: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        if let Some(handed) = member.handed.remove(&seq) {
            self.inspect(handed);
        }
    }

    /// Takes back everything that a member has not answered, oldest first.
    pub(super) fn take_back(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        for (_, handed) in core::mem::take(&mut member.handed) {
            self.inspect(handed);
        }
    }

    /// A member may have read from a connection that it has not answered: have the shell look.
    fn inspect(&mut self, handed: Handed) {
        self.inspected.insert(handed.connection, handed.listener);
        self.push(Effect::Inspect(handed.connection));
    }

    /// A connection was looked at. Untouched ones go first: they have waited longest.
    pub(super) fn rescued(&mut self, connection: u64, untouched: bool) {
        let Some(number) = self.inspected.remove(&connection) else { return };
        match self.listeners.get_mut(&number) {
            Some(listener) if untouched => listener.waiting.push_front(connection),
            _ => self.push(Effect::CloseConnection(connection)),
        }
    }

    pub(super) fn end_rests(&mut self, now: Timestamp) {
        for member in self.members.values_mut() {
            if member.rests_until.is_some_and(|until| until <= now) {
                member.rests_until = None;
            }
        }
    }
}
