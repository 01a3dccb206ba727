//! How a member goes: drained, by its own will, given up, or gone before anybody knew.

use alloc::vec::Vec;

use super::{
    Effect, Misdeed, Primary,
    member::{Phase, Progress},
};
use crate::{Timestamp, wire::node::Outgoing};

impl Primary {
    /// A member gets no more connections from now on. One that has never spoken will not understand
    /// "disconnect" either.
    pub(super) fn drain(&mut self, now: Timestamp, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        match member.phase {
            Phase::Serving => member.phase = Phase::Draining { since: now },
            Phase::Closed => return self.make_drained(number),
            // Drained follows once the channel closes, or has been said already.
            _ => return,
        }
        if member.progress == Progress::Silent {
            self.make_drained(number);
        }
    }

    fn make_drained(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        if !core::mem::replace(&mut member.is_drained, true) {
            self.push(Effect::Drained(number));
        }
    }

    /// Tells those to disconnect whose time has come.
    pub(super) fn advance_leaving(&mut self, now: Timestamp) {
        let options = &self.options;
        let due: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, member)| member.disconnect_at(options).is_some_and(|at| at <= now))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            let Some(member) = self.members.get_mut(&number) else { continue };
            member.phase = Phase::Disconnecting;
            let seq = member.take_seq();
            let line = Outgoing::Disconnect { seq }.encode(member.inbox.dialect());
            self.push(Effect::Send { member: number, line, with: None });
        }
    }

    /// A member says that it leaves. It closes its channel once this is confirmed, told or not.
    pub(super) fn leave(&mut self, number: u64, seq: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        let line = Outgoing::Confirm { ack: seq }.encode(member.inbox.dialect());
        let is_news = member.phase == Phase::Serving;
        if is_news {
            member.phase = Phase::Leaving;
        }
        self.push(Effect::Send { member: number, line, with: None });
        if is_news {
            self.push(Effect::Left(number));
        }
    }

    /// A member has gone too far. What it has not answered is taken back once it is dead: until
    /// then it could still read from it.
    pub(super) fn give_up(&mut self, number: u64, misdeed: Misdeed) {
        if !self.is_heard(number) {
            return;
        }
        if let Some(member) = self.members.get_mut(&number) {
            member.phase = Phase::Condemned;
        }
        self.close_unclaimed(number);
        self.push(Effect::GaveUp { member: number, misdeed });
    }

    /// A member's channel has ended: it can be told nothing any more, and it will answer nothing.
    pub(super) fn close_channel(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        let is_silent = member.progress == Progress::Silent;
        let phase = core::mem::replace(&mut member.phase, Phase::Closed);
        match phase {
            Phase::Closed => return,
            // Who never spoke never took part: a program that closes what it does not know, say.
            Phase::Serving if is_silent => {}
            Phase::Serving => self.push(Effect::Left(number)),
            Phase::Draining { .. } | Phase::Disconnecting | Phase::Leaving => {
                self.make_drained(number);
            }
            Phase::Condemned => {}
        }
        self.close_unclaimed(number);
        self.take_back(number);
        self.withdraw_all(number);
    }

    /// A member's process has ended.
    pub(super) fn forget(&mut self, number: u64) {
        self.close_channel(number);
        self.members.remove(&number);
    }
}
