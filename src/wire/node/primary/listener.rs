//! One server that members share: opening it, and letting them in.

use alloc::{collections::VecDeque, string::String, vec::Vec};

use super::{
    Attachment, Effect, Misdeed, Primary, Remark,
    member::{Sent, Share},
};
use crate::wire::node::{KEY_LIMIT, Outgoing, Query, SockName, Target, UNUSED_LIMIT};

/// libuv's numbers for "bad descriptor" and "address in use".
const EBADF: i32 = -9;
const EADDRINUSE: i32 = -98;

/// A socket, or the wish for one.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) key: String,
    pub(super) state: State,
    /// Whether members get the socket itself.
    pub(super) is_shared: bool,
    /// The TLS data that its first member gave, which all get.
    data: Option<String>,
    /// Its members, the one that has waited longest for a connection first.
    pub(super) turn: VecDeque<u64>,
    /// Connections that wait for a member.
    pub(super) waiting: VecDeque<u64>,
    /// Whether the shell has been told to accept.
    pub(super) watched: bool,
}

#[derive(Debug)]
pub(super) enum State {
    /// The shell is opening it; who waits for it.
    Opening(Vec<(u64, Query)>),
    /// It is open, under this TCP address.
    Open(Option<SockName>),
}

impl Listener {
    /// Whether a member waits for it to be opened.
    fn is_asked_by(&self, number: u64) -> bool {
        let State::Opening(asking) = &self.state else { return false };
        asking.iter().any(|(member, _)| *member == number)
    }

    fn forget(&mut self, number: u64) {
        self.turn.retain(|member| *member != number);
        if let State::Opening(asking) = &mut self.state {
            asking.retain(|(member, _)| *member != number);
        }
    }
}

impl Primary {
    /// A member asks for a server.
    pub(super) fn query(&mut self, number: u64, query: Query) {
        let key = query.key();
        let Some(member) = self.members.get(&number) else { return };
        if let Target::Fd(fd) = query.target
            && !self.options.allowed.contains(&fd)
        {
            return self.refuse(number, &query, EBADF);
        }
        let known = self.listeners.iter().find(|(_, listener)| listener.key == key);
        if known
            .is_some_and(|(listener, known)| member.holds(*listener) || known.is_asked_by(number))
        {
            // Two servers of one program on one port: what the kernel would say.
            return self.refuse(number, &query, EADDRINUSE);
        }
        let known = known.map(|(listener, _)| *listener);
        // What it waits for counts too: one reading of its channel can hold hundreds of questions.
        let asked = self.listeners.values().filter(|listener| listener.is_asked_by(number));
        if member.shares.len().saturating_add(asked.count()) >= KEY_LIMIT {
            return self.give_up(number, Misdeed::TooManyServers);
        }
        match known {
            Some(listener) => self.admit(number, listener, query),
            None => self.open(number, key, query),
        }
    }

    fn open(&mut self, number: u64, key: String, query: Query) {
        let listener = self.next_listener;
        self.next_listener = listener.saturating_add(1);
        let is_shared = self.options.shared || matches!(query.target, Target::Udp { .. });
        self.push(Effect::Open {
            listener,
            target: query.target.clone(),
            backlog: query.backlog,
            shared: is_shared,
        });
        let opened = Listener {
            key,
            state: State::Opening(Vec::from([(number, query)])),
            is_shared,
            data: None,
            turn: VecDeque::new(),
            waiting: VecDeque::new(),
            watched: false,
        };
        self.listeners.insert(listener, opened);
    }

    pub(super) fn opened(&mut self, number: u64, outcome: Result<Option<SockName>, i32>) {
        let Some(listener) = self.listeners.get_mut(&number) else { return };
        let State::Opening(asking) = &mut listener.state else { return };
        let asking = core::mem::take(asking);
        match outcome {
            Ok(name) => {
                listener.state = State::Open(name);
                for (member, query) in asking {
                    self.admit(member, number, query);
                }
                self.close_surplus();
            }
            Err(errno) => {
                self.listeners.remove(&number);
                for (member, query) in asking {
                    self.refuse(member, &query, errno);
                }
            }
        }
    }

    /// Gives a member its share of a listener, once that is open.
    fn admit(&mut self, number: u64, listener_number: u64, query: Query) {
        let Some(listener) = self.listeners.get_mut(&listener_number) else { return };
        if listener.data.is_none() {
            listener.data.clone_from(&query.data);
        }
        if let State::Opening(asking) = &mut listener.state {
            return asking.push((number, query));
        }
        let Some(member) = self.members.get_mut(&number) else { return };
        let ack = query.seq;
        member.shares.push(Share { listener: listener_number, query, is_listening: false });
        listener.turn.push_back(number);
        if listener.is_shared {
            self.share(number, listener_number, ack, 1);
        } else {
            self.serve(number, listener_number, ack);
        }
    }

    fn serve(&mut self, number: u64, listener: u64, ack: u64) {
        let Some(listener) = self.listeners.get(&listener) else { return };
        let State::Open(name) = &listener.state else { return };
        let Some(member) = self.members.get(&number) else { return };
        let (key, data) = (&*listener.key, listener.data.as_deref());
        let reply = Outgoing::Serve { ack, key, data, name: name.as_ref() };
        let line = reply.encode(member.inbox.dialect());
        self.push(Effect::Send { member: number, line, with: None });
    }

    /// Sends a member the socket itself.
    pub(super) fn share(&mut self, number: u64, listener_number: u64, ack: u64, attempts: u8) {
        let Some(listener) = self.listeners.get(&listener_number) else { return };
        let Some(member) = self.members.get_mut(&number) else { return };
        let Some(share) = member.shares.iter().find(|share| share.listener == listener_number)
        else {
            return;
        };
        let udp = matches!(share.query.target, Target::Udp { .. });
        if !member.has_room() {
            return self.give_up(number, Misdeed::ReadsNothing);
        }
        member.wrappers.note_sent(Sent::Listener { listener: listener_number, ack, attempts });
        let (key, data) = (&*listener.key, listener.data.as_deref());
        let line = Outgoing::Share { ack, key, data, udp }.encode(member.inbox.dialect());
        let with = Some(Attachment::Listener(listener_number));
        self.push(Effect::Send { member: number, line, with });
    }

    pub(super) fn refuse(&mut self, number: u64, query: &Query, errno: i32) {
        self.refuse_plainly(number, query.seq, errno);
        let remark = Remark::Refused { key: query.key(), errno };
        self.push(Effect::Remark { member: number, remark });
    }

    /// The worker remembers what it asked for; the key in an error is of no use to it.
    pub(super) fn refuse_plainly(&mut self, number: u64, ack: u64, errno: i32) {
        let Some(member) = self.members.get(&number) else { return };
        let line = Outgoing::Refuse { ack, key: "", errno }.encode(member.inbox.dialect());
        self.push(Effect::Send { member: number, line, with: None });
    }

    /// A member has closed a server.
    pub(super) fn close_share(&mut self, number: u64, key: &str) {
        let found = self.listeners.iter().find(|(_, listener)| listener.key == key);
        let Some(listener) = found.map(|(listener, _)| *listener) else { return };
        self.withdraw(number, listener);
    }

    /// Takes a member's share back.
    pub(super) fn withdraw(&mut self, number: u64, listener: u64) {
        if let Some(member) = self.members.get_mut(&number) {
            member.shares.retain(|share| share.listener != listener);
        }
        if let Some(listener) = self.listeners.get_mut(&listener) {
            listener.forget(number);
        }
    }

    /// Takes all that a member has and waits for back.
    pub(super) fn withdraw_all(&mut self, number: u64) {
        if let Some(member) = self.members.get_mut(&number) {
            member.shares.clear();
        }
        for listener in self.listeners.values_mut() {
            listener.forget(number);
        }
    }

    /// Closes every listener that nobody has a share of, and what waits there.
    pub(super) fn close_unused(&mut self) {
        self.unused().into_iter().for_each(|number| self.close(number));
    }

    /// A worker that opens and closes servers must not fill the master's table of descriptors. The
    /// newest go, so that the server that a successor will ask for stays.
    fn close_surplus(&mut self) {
        let surplus = self.unused().into_iter().skip(UNUSED_LIMIT);
        surplus.for_each(|number| self.close(number));
    }

    /// Open listeners that nobody has a share of, the oldest first.
    fn unused(&self) -> Vec<u64> {
        let is_unused = |listener: &Listener| {
            listener.turn.is_empty() && matches!(listener.state, State::Open(_))
        };
        let unused = self.listeners.iter().filter(|(_, listener)| is_unused(listener));
        unused.map(|(number, _)| *number).collect()
    }

    fn close(&mut self, number: u64) {
        let Some(listener) = self.listeners.remove(&number) else { return };
        let connections = listener.waiting.into_iter().map(Effect::CloseConnection);
        self.effects.extend(connections);
        self.push(Effect::CloseListener(number));
        for member in self.members.values_mut() {
            member.expected.remove(&number);
        }
    }

    /// The key of a listener, for tests and logs.
    #[must_use]
    pub fn key_of(&self, listener: u64) -> Option<String> {
        self.listeners.get(&listener).map(|listener| listener.key.clone())
    }
}
