//! What happens on sockets: a worker ends its listening, and may begin again on the same socket.
//!
//! The kernel counts a socket that begins again as its youngest. So each end is taken in, in the order
//! in which they came, before anybody else begins to listen; else our order would not be the kernel's.

use std::{os::fd::AsFd, time::Duration};

use dutch_master::WorkerEvent;

use super::{
    Capture, News, Source,
    member::Member,
    place::{Lane, let_go},
};
use crate::sys::{
    poll::Interest,
    sockets::born::{self, State},
};

impl Capture {
    /// Takes in what has happened on sockets. Returns whose calls wait.
    pub(super) fn hear_sockets(&mut self) -> Vec<u64> {
        let mut doors = Vec::new();
        for ready in self.poll.wait(Some(Duration::ZERO)).unwrap_or_default() {
            match Source::of(ready.token) {
                Source::Door(number) => doors.push(number),
                Source::Socket(serial) => self.look_at(serial),
            }
        }
        doors
    }

    fn look_at(&mut self, serial: u64) {
        for member in self.members.values_mut() {
            member.nursery.look_at(serial, &self.poll);
        }
        let is_lost = |lane: &Lane| {
            lane.serial == serial && born::state(lane.socket.as_fd()) != Ok(State::Listens)
        };
        let lost = self.groups.iter_mut().find(|group| group.lanes.iter().any(is_lost));
        let Some((lane, outcome)) = lost.and_then(|group| group.lose(serial)) else { return };
        self.tell(outcome);
        let holder = lane.holder;
        self.put_back(lane);
        if let Some(worker) = holder
            && self.members.get(&worker.get()).is_some_and(Member::is_live)
            && !self.groups.iter_mut().any(|group| group.lane_of(worker).is_some())
        {
            self.news.push(News::Event(worker, WorkerEvent::Disconnected));
        }
    }

    /// A socket that does not listen any more: its worker may let it listen again.
    fn put_back(&mut self, lane: Lane) {
        let member = lane.holder.and_then(|holder| self.members.get_mut(&holder.get()));
        let (Some(member), Some(number)) = (member, lane.number) else {
            return let_go(&lane.socket, &self.poll);
        };
        let token = Source::Socket(lane.serial).token();
        if self.poll.modify(&lane.socket, token, Interest::Change).is_err() {
            return let_go(&lane.socket, &self.poll);
        }
        let Lane { serial, thread, is_cloexec, socket, .. } = lane;
        member.nursery.add(serial, number, thread, is_cloexec, socket, &self.poll);
    }
}
