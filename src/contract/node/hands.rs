//! What moves descriptors: accepting connections and writing to channels.

use std::time::Duration;

use dutch_master::wire::node::primary::{Attachment, Event};

use super::{Cluster, Source};
use crate::sys::{Errno, channel::SendError, connection, poll::Interest};

/// How long nothing is accepted when there are no descriptors left, or nothing sent when the kernel
/// has too many under way: no readiness would tell when that ends.
const BREATHER: Duration = Duration::from_millis(50);
/// `ETOOMANYREFS`: more descriptors are under way than an unprivileged user may have.
const TOO_MANY_REFS: i32 = 109;

impl Cluster {
    pub(super) fn accept(&mut self, listener: u64) {
        while self.primary.wants_connection(listener) {
            let Some(socket) = self.listeners.get(listener) else { return };
            let taken = if self.listeners.is_lent(listener) {
                connection::accept_shared(socket)
            } else {
                connection::accept(socket)
            };
            match taken {
                Ok(None) => return,
                Ok(Some(fd)) => {
                    let connection = self.connections.keep(fd);
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

    pub(super) fn retry_later(&mut self) {
        self.retry_at.get_or_insert(self.now.saturating_add(BREATHER));
    }

    pub(super) fn watch(&mut self, listener: u64, on: bool) {
        let Some(socket) = self.listeners.get(listener) else { return };
        // Watched twice or not at all: it is as it should be.
        let _ = if on {
            self.poll.add(socket, Source::Listener(listener).token(), Interest::Read)
        } else {
            self.poll.remove(socket)
        };
    }

    pub(super) fn send(&mut self, member: u64, line: Vec<u8>, with: Option<Attachment>) {
        let Some(peer) = self.peers.get_mut(&member) else { return };
        let tag = peer.tag;
        let Some(channel) = peer.channel.as_mut() else { return };
        let original = match with {
            None => None,
            Some(Attachment::Listener(listener)) => self.listeners.get(listener),
            Some(Attachment::Connection(connection)) => self.connections.assign(connection, tag),
        };
        // Without a descriptor left for the copy the worker says that none has come, which is true.
        let copy = original.and_then(|fd| fd.try_clone_to_owned().ok());
        let sent = channel.send(line, copy);
        self.note_sent(member, sent);
    }

    pub(super) fn flush(&mut self, member: u64) {
        let Some(channel) = self.peers.get_mut(&member).and_then(|peer| peer.channel.as_mut())
        else {
            return;
        };
        let sent = channel.flush();
        self.note_sent(member, sent);
    }

    fn note_sent(&mut self, member: u64, sent: Result<(), SendError>) {
        let is_stuck = matches!(sent, Err(SendError::Broken(Errno(TOO_MANY_REFS))));
        if let Some(peer) = self.peers.get_mut(&member) {
            peer.is_stuck = is_stuck;
        }
        match sent {
            Err(SendError::Full(_)) => self.answer(Event::Clogged { member }),
            Err(SendError::Broken(Errno(TOO_MANY_REFS))) => self.retry_later(),
            // Of a broken channel, reading tells.
            Ok(()) | Err(SendError::Broken(_)) => {}
        }
        self.mind(member);
    }

    /// Waits for what matters on a channel now.
    pub(super) fn mind(&mut self, member: u64) {
        let Some(peer) = self.peers.get_mut(&member) else { return };
        if let (Some(interest), Some(channel)) = (peer.take_change(), &peer.channel) {
            let _ = self.poll.modify(channel, Source::Channel(member).token(), interest);
        }
    }
}
