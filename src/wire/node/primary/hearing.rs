//! What members say, and what follows from it.

use alloc::vec::Vec;

use super::{
    Effect, Misdeed, Primary, Remark,
    member::{Phase, Progress, SHARE_ATTEMPTS, Sent},
};
use crate::{
    Timestamp,
    wire::node::{
        Answer, Dialect, Fault, Incoming, Outgoing, Query, UNCLAIMED_LIMIT, UserMessage, Wrapped,
    },
};

/// libuv's number for "too many open files".
const EMFILE: i32 = -24;

impl Primary {
    pub(super) fn hear(&mut self, now: Timestamp, number: u64, bytes: &[u8], descriptors: usize) {
        let is_heard = self.is_heard(number);
        let Some(member) = self.members.get_mut(&number) else { return };
        member.unclaimed = member.unclaimed.saturating_add(descriptors);
        if is_heard {
            member.inbox.feed(bytes);
            let messages = self.hear_messages(now, number);
            self.note_heard(now, number, messages, bytes.len());
        }
        let is_heard = self.is_heard(number);
        let Some(member) = self.members.get_mut(&number) else { return };
        if !is_heard || member.inbox.is_between_messages() {
            self.close_unclaimed(number);
        } else if member.unclaimed > UNCLAIMED_LIMIT {
            self.give_up(number, Misdeed::TooManyDescriptors);
        }
    }

    /// Descriptors that no message will claim.
    pub(super) fn close_unclaimed(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        let count = core::mem::take(&mut member.unclaimed);
        if count > 0 {
            self.push(Effect::CloseDescriptors { member: number, count });
        }
    }

    /// How many messages there were.
    fn hear_messages(&mut self, now: Timestamp, number: u64) -> u32 {
        let mut heard = 0_u32;
        while self.is_heard(number) {
            let Some(member) = self.members.get_mut(&number) else { break };
            let known = member.inbox.dialect();
            let Some(message) = member.inbox.take_message() else { break };
            heard = heard.saturating_add(1);
            if member.inbox.dialect() != known && member.inbox.dialect() == Dialect::Bun {
                self.push(Effect::Remark { member: number, remark: Remark::IsBun });
            }
            match message {
                Ok(message) => self.hear_message(now, number, message),
                Err(Fault::Malformed) => {
                    self.push(Effect::Remark { member: number, remark: Remark::Malformed });
                }
                Err(fault) => self.give_up(number, Misdeed::Babble(fault)),
            }
        }
        heard
    }

    /// Who talks too much is not listened to for the rest of the second.
    fn note_heard(&mut self, now: Timestamp, number: u64, messages: u32, bytes: usize) {
        let Some(member) = self.members.get_mut(&number) else { return };
        if member.talk.note(now, messages, bytes) {
            self.push(Effect::Listen { member: number, on: false });
        }
    }

    pub(super) fn end_silences(&mut self, now: Timestamp) {
        let members = self.members.iter_mut();
        let ended = members.filter_map(|(number, member)| member.talk.end(now).then_some(*number));
        let ended: Vec<u64> = ended.collect();
        for member in ended {
            self.push(Effect::Listen { member, on: true });
        }
    }

    fn hear_message(&mut self, now: Timestamp, number: u64, message: Incoming) {
        match message {
            Incoming::Online => self.note_online(number),
            Incoming::Query(query) => self.query(number, query),
            Incoming::BadQuery { seq, errno } => self.refuse_plainly(number, seq, errno),
            Incoming::Listening(query) => self.note_listening(now, number, &query),
            Incoming::Close { key } => self.close_share(number, &key),
            Incoming::Leaving { seq } => self.leave(number, seq),
            Incoming::Reply { ack, accepted } => self.answered(now, number, ack, accepted),
            Incoming::Handle(wrapped) => self.hear_wrapped(number, wrapped),
            Incoming::HandleAck => self.acknowledged(now, number, true),
            Incoming::HandleNack => self.acknowledged(now, number, false),
            Incoming::Ignored => {}
            Incoming::User(message) => self.hear_user(number, message),
        }
    }

    fn note_online(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        if member.progress == Progress::Silent {
            member.progress = Progress::Online;
        }
    }

    fn hear_user(&mut self, number: u64, message: UserMessage) {
        match message {
            UserMessage::RequestRestart | UserMessage::Disconnect | UserMessage::Offline => {
                self.push(Effect::RestartRequested(number));
            }
            UserMessage::Ready => self.said_ready(number),
            UserMessage::Shutdown | UserMessage::Other => {}
        }
    }

    /// A program that opens no server through us has no other way to say it.
    fn said_ready(&mut self, number: u64) {
        let Some(member) = self.members.get(&number) else { return };
        if member.shares.is_empty() && member.expected.is_empty() {
            self.make_ready(number);
        }
    }

    /// Every message with a descriptor is answered, or the worker never speaks again; the
    /// descriptor is of no use to anybody here.
    fn hear_wrapped(&mut self, number: u64, wrapped: Wrapped) {
        let Some(member) = self.members.get_mut(&number) else { return };
        let arrived = member.unclaimed > 0;
        member.unclaimed = member.unclaimed.saturating_sub(1);
        let answer = if arrived { Outgoing::HandleAck } else { Outgoing::HandleNack };
        let line = answer.encode(member.inbox.dialect());
        if arrived {
            self.push(Effect::CloseDescriptors { member: number, count: 1 });
        }
        self.push(Effect::Send { member: number, line, with: None });
        if let (true, Wrapped::User(message)) = (arrived, wrapped) {
            self.hear_user(number, message);
        }
    }

    fn acknowledged(&mut self, now: Timestamp, number: u64, arrived: bool) {
        let Some(member) = self.members.get_mut(&number) else { return };
        let sent = match member.wrappers.note_answer(arrived) {
            Answer::Taken(_) => return,
            Answer::Unasked => return self.give_up(number, Misdeed::AnswersUnasked),
            Answer::Lost(sent) => sent,
        };
        member.rests_until = Some(now.after(self.options.starved_rest));
        self.push(Effect::Remark { member: number, remark: Remark::Starved });
        match sent {
            Sent::Connection { seq } => self.lost(number, seq),
            Sent::Listener { listener, ack, attempts } if attempts < SHARE_ATTEMPTS => {
                self.share(number, listener, ack, attempts.saturating_add(1));
            }
            Sent::Listener { listener, ack, .. } => {
                self.withdraw(number, listener);
                self.refuse_plainly(number, ack, EMFILE);
            }
        }
    }

    fn note_listening(&mut self, now: Timestamp, number: u64, listening: &Query) {
        let Some(member) = self.members.get_mut(&number) else { return };
        member.listened_at = Some(now);
        member.note_listening(listening);
        if member.expected.is_empty() {
            self.make_ready(number);
        }
    }

    /// Finds members ready that have opened something and then nothing more for long enough: the
    /// new release has fewer servers than the old one.
    pub(super) fn settle_readiness(&mut self, now: Timestamp) {
        let options = &self.options;
        let due: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, member)| member.settles_at(options).is_some_and(|at| at <= now))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            self.make_ready(number);
            self.push(Effect::Remark { member: number, remark: Remark::FewerServers });
        }
    }

    fn make_ready(&mut self, number: u64) {
        let Some(member) = self.members.get_mut(&number) else { return };
        if member.progress != Progress::Ready && member.phase == Phase::Serving {
            member.progress = Progress::Ready;
            self.push(Effect::Ready(number));
        }
    }
}
