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
    seccomp::{Call, Reply},
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
        if self.is_shared && self.listens_again(is_lost) {
            return;
        }
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

    /// A socket that all share was shut by one, in a way that we did not see: it goes on for the others.
    fn listens_again(&self, is_lost: impl Fn(&Lane) -> bool) -> bool {
        let mut lanes = self.groups.iter().flat_map(|group| &group.lanes);
        lanes
            .find(|lane| is_lost(lane))
            .is_some_and(|lane| born::listen(lane.socket.as_fd(), 0).is_ok())
    }

    /// A worker shuts a socket down, where listeners are shared: that one stays open for the others.
    pub(super) fn on_shutdown(&mut self, number: u64, call: &Call, fd: i32) {
        let Some(member) = self.members.get(&number) else { return };
        let (worker, is_live) = (member.newcomer.worker, member.is_live());
        let Some(lane) = self.lane_under(worker, call, fd) else {
            return self.reply(number, call, Reply::Continue);
        };
        lane.is_deaf = true;
        let mut lanes = self.groups.iter_mut().flat_map(|group| group.lanes_of(worker));
        let is_over = is_live && lanes.all(|lane| lane.is_deaf);
        drop(lanes);
        if is_over {
            self.news.push(News::Event(worker, WorkerEvent::Disconnected));
        }
        self.reply(number, call, Reply::Done);
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
