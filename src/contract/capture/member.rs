//! One captured worker: how we hear it, what it has, and where it sits down when it listens.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use super::{
    Capture, MOST, Newcomer, News, PASSING, Source,
    held::{Held, Nursery},
    place::{Group, Lane, Share, let_go},
};
use crate::sys::{
    Errno, attention,
    diag::{self, Tag},
    holds,
    poll::Interest,
    seccomp::{Call, Listener, Reply},
    sockets::born::{self, Place},
    steer::SteerError,
};
use dutch_master::WorkerId;

/// How often the descriptors of one worker are looked at, for we wait meanwhile; after that its sockets
/// are its own.
const LOOKS: u16 = 16;

/// `EOPNOTSUPP`.
const UNSUPPORTED: i32 = 95;

/// How a worker's calls come to us.
#[derive(Debug)]
pub(super) enum Door {
    /// They will, through what is to come from here.
    Expected(OwnedFd),
    /// They do.
    Open(Listener),
    /// They do not any more.
    Closed,
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not known to be ready.
    Waits,
    /// It was said to be ready.
    Told,
    /// It is to get connections.
    Lives,
    /// It is to get none any more.
    Leaves,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) newcomer: Newcomer,
    pub(super) tag: Tag,
    pub(super) door: Door,
    pub(super) nursery: Nursery,
    /// When it came.
    pub(super) since: Duration,
    /// When it last began to listen somewhere.
    pub(super) listened: Option<Duration>,
    /// Whether some of that was none of ours.
    pub(super) is_unseen: bool,
    pub(super) standing: Standing,
    /// Since when it gets connections.
    pub(super) lives_since: Option<Duration>,
    /// It is gone, but for processes that are not of its group.
    pub(super) is_reaped: bool,
    /// How often its descriptors were looked at, and what was seen: whether it waits for sockets before
    /// it listens; nothing where that can't be told.
    looks: u16,
    polls: Option<bool>,
}

impl Member {
    pub(super) fn new(newcomer: Newcomer, tag: Tag, door: Door, since: Duration) -> Self {
        Self {
            newcomer,
            tag,
            door,
            nursery: Nursery::default(),
            since,
            listened: None,
            is_unseen: false,
            standing: Standing::Waits,
            lives_since: None,
            is_reaped: false,
            looks: 0,
            polls: Some(false),
        }
    }
}

impl Member {
    /// Whether it is to get connections.
    pub(super) fn is_live(&self) -> bool {
        self.standing == Standing::Lives
    }

    /// Whether it waits for a socket, as far as may be known. Who did once, does.
    fn polls(&mut self, call: &Call, held: &Held) -> Option<bool> {
        if self.looks >= LOOKS {
            return self.polls.filter(|polls| *polls);
        }
        self.looks = self.looks.saturating_add(1);
        self.polls = attention::is_polled(call.thread, &held.socket);
        if self.polls != Some(false) {
            self.looks = LOOKS;
        }
        self.polls
    }
}

impl Capture {
    /// A worker listens in a place: with a socket that is left there, or its own.
    pub(super) fn seat(
        &mut self,
        worker: WorkerId,
        call: &Call,
        place: Place,
        held: Held,
        fd: i32,
        backlog: i32,
    ) -> Reply {
        let number = worker.get();
        let Some(member) = self.members.get_mut(&number) else { return Reply::Continue };
        member.listened = Some(self.now);
        let (tag, is_late) = (member.tag, self.opens_late(worker, &place));
        if self.would_be_deaf(worker, call, place, &held) {
            // Whoever tries again meets the kernel, which lets nobody in beside the one that all share.
            let _ = born::unshare(held.socket.as_fd());
            let_go(&held.socket, &self.poll);
            return Reply::Failed(Errno(UNSUPPORTED));
        }
        if let Some(serial) = self.left_for(worker, call, place, &held)
            && self.take_over(worker, call, serial, fd, &held)
        {
            let_go(&held.socket, &self.poll);
            self.grown(worker);
            return Reply::Done;
        }
        if self.places_of(worker) >= MOST {
            return self.do_without(worker, call, place, &held, fd);
        }
        // Without marks a drain waits for a while and no longer.
        let _ = diag::set_tag(held.socket.as_fd(), tag);
        let held = match self.opened(worker, call, place, held, fd, backlog) {
            Ok(held) => held,
            Err(errno) => return Reply::Failed(errno),
        };
        let lane = Lane {
            serial: held.serial,
            socket: held.socket,
            holder: Some(worker),
            number: Some(fd),
            thread: held.thread,
            is_cloexec: held.is_cloexec,
            is_late,
            share: Share::Waits,
            is_aimed: false,
            is_deaf: false,
            left: self.now,
        };
        self.add(worker, place, lane);
        Reply::Done
    }

    fn add(&mut self, worker: WorkerId, place: Place, lane: Lane) {
        let outcome = self.join(place, lane);
        self.news.push(News::Grown);
        self.tell(outcome);
        self.grown(worker);
        self.bound_passing(worker);
    }

    /// Lets a worker listen: on its own socket, or on the one that all share.
    fn opened(
        &self,
        worker: WorkerId,
        call: &Call,
        place: Place,
        mut held: Held,
        fd: i32,
        backlog: i32,
    ) -> Result<Held, Errno> {
        let_go(&held.socket, &self.poll);
        if let Some(common) = self.put_common(worker, call, place, fd, &held)? {
            held.socket = common;
        }
        born::listen(held.socket.as_fd(), backlog)?;
        let token = Source::Socket(held.serial).token();
        let _ = self.poll.add(&held.socket, token, Interest::Hangup);
        Ok(held)
    }

    /// Where all share one socket, and somebody has it already: puts it in the place of the worker's
    /// own. Returns a copy of it.
    fn put_common(
        &self,
        worker: WorkerId,
        call: &Call,
        place: Place,
        fd: i32,
        held: &Held,
    ) -> Result<Option<OwnedFd>, Errno> {
        let group = self.groups.iter().find(|group| group.is_shared && group.place == place);
        let Some(lane) = group.and_then(|group| group.lanes.first()) else { return Ok(None) };
        let door = self.members.get(&worker.get()).map(|member| &member.door);
        let Some(Door::Open(door)) = door else { return Ok(None) };
        let common = lane.socket.try_clone()?;
        born::wait_alike(common.as_fd(), held.socket.as_fd());
        door.replace(call.id, common.as_fd(), fd, held.is_cloexec)?;
        Ok(Some(common))
    }

    /// Whether a worker waits for a socket in whose stead it would get the one that all share. It would
    /// be taken for ready, its predecessor told to go, and in the end nobody would accept.
    fn would_be_deaf(&mut self, worker: WorkerId, call: &Call, place: Place, held: &Held) -> bool {
        let is_common = |group: &Group| group.place == place && !group.lanes.is_empty();
        if !self.is_shared || !self.groups.iter().any(is_common) {
            return false;
        }
        let Some(member) = self.members.get_mut(&worker.get()) else { return false };
        member.polls(call, held);
        // A roll that fails is better than one that ends with nobody to accept.
        let is_deaf = member.polls != Some(false);
        if is_deaf {
            self.news.push(News::Deaf(worker, place.to_string()));
        }
        is_deaf
    }

    /// One socket more than we keep: where a worker has one already, it gets that. Else the kernel may
    /// not count it among those that we count.
    fn do_without(
        &mut self,
        worker: WorkerId,
        call: &Call,
        place: Place,
        held: &Held,
        fd: i32,
    ) -> Reply {
        let_go(&held.socket, &self.poll);
        let group = self.groups.iter_mut().find(|group| group.place == place);
        let own = group.and_then(|group| group.lanes_of(worker).next().map(|lane| lane.serial));
        if own.is_some_and(|serial| self.take_over(worker, call, serial, fd, held)) {
            return Reply::Done;
        }
        let _ = born::unshare(held.socket.as_fd());
        Reply::Continue
    }

    /// A worker listens somewhere more: ready already, it gets connections there as well.
    pub(super) fn grown(&mut self, worker: WorkerId) {
        if self.members.get(&worker.get()).is_some_and(Member::is_live) {
            let outcome = self.set_live(worker, true);
            self.tell(outcome);
        }
    }

    /// Which socket was left in this place for a worker: by itself, if it has closed its own since as
    /// far as we know (one that it has open still is one of several), or by a dead one.
    fn left_for(
        &mut self,
        worker: WorkerId,
        call: &Call,
        place: Place,
        held: &Held,
    ) -> Option<u64> {
        let group = self.groups.iter_mut().find(|group| group.place == place)?;
        let is_closed = |lane: &&mut Lane| {
            let is_open = |number| holds::has_open(call.thread, number, lane.socket.as_fd());
            lane.number.and_then(is_open) != Some(true)
        };
        if let Some(own) = group.lanes_of(worker).find(is_closed) {
            return Some(own.serial);
        }
        let left = group.orphan(self.now)?.serial;
        if self.is_shared {
            return Some(left);
        }
        let member = self.members.get_mut(&worker.get())?;
        // In its stead another would be deaf: it is not what the worker's epoll set waits for.
        (member.polls(call, held) == Some(false)).then_some(left)
    }

    /// Gives a worker a socket that was left; nothing that waits there is lost.
    fn take_over(
        &mut self,
        worker: WorkerId,
        call: &Call,
        serial: u64,
        fd: i32,
        held: &Held,
    ) -> bool {
        let Some(member) = self.members.get(&worker.get()) else { return false };
        let Door::Open(door) = &member.door else { return false };
        let mut lanes = self.groups.iter_mut().flat_map(|group| &mut group.lanes);
        let Some(lane) = lanes.find(|lane| lane.serial == serial) else { return false };
        born::wait_alike(lane.socket.as_fd(), held.socket.as_fd());
        if door.replace(call.id, lane.socket.as_fd(), fd, held.is_cloexec).is_err() {
            return false;
        }
        let _ = diag::set_tag(lane.socket.as_fd(), member.tag);
        // Where it was before, it is not late.
        lane.is_late = member.is_late(self.now) && (lane.is_late || lane.holder != Some(worker));
        (lane.thread, lane.is_cloexec) = (held.thread, held.is_cloexec);
        lane.pass_to(Some((worker, fd)));
        // What the worker itself has shut is open again.
        lane.is_deaf &= !self.is_shared;
        true
    }

    fn join(&mut self, place: Place, lane: Lane) -> Result<(), SteerError> {
        if let Some(group) = self.groups.iter_mut().find(|group| group.place == place) {
            // Two workers do not get the same port from the kernel.
            group.is_lasting |= group.lanes.iter().any(|other| other.holder != lane.holder);
            group.sweep(self.now, &self.poll)?;
            return group.join(lane);
        }
        let is_lasting = !born::chosen_ports().contains(&place.at.port());
        let number = self.next_group;
        self.next_group = number.saturating_add(1);
        let (lanes, guests) = (Vec::new(), Vec::new());
        let is_shared = self.is_shared;
        let mut group = Group { number, place, lanes, guests, is_lasting, is_shared };
        let outcome = group.join(lane);
        self.groups.push(group);
        self.news.push(News::Opened(place.to_string()));
        outcome
    }

    fn places_of(&mut self, worker: WorkerId) -> usize {
        self.groups.iter_mut().map(|group| group.lanes_of(worker).count()).sum()
    }

    /// Ports that the kernel chose come and go unseen: of those, a worker's last ones are kept.
    fn bound_passing(&mut self, worker: WorkerId) {
        let passing = |group: &Group| {
            !group.is_lasting && group.lanes.iter().any(|lane| lane.holder == Some(worker))
        };
        let mut surplus =
            self.groups.iter().filter(|group| passing(group)).count().saturating_sub(PASSING);
        self.groups.retain_mut(|group| {
            let goes = surplus > 0 && passing(group);
            surplus = surplus.saturating_sub(goes.into());
            if goes {
                group.release(&self.poll);
            }
            !goes
        });
    }

    /// A number of a worker's means another socket from now on.
    pub(super) fn forget_number(&mut self, number: u64, fd: i32) {
        for lane in self.groups.iter_mut().flat_map(|group| &mut group.lanes) {
            if lane.holder.is_some_and(|holder| holder.get() == number) && lane.number == Some(fd) {
                lane.number = None;
            }
        }
    }

    /// A worker is gone with all its processes.
    pub(super) fn forget(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        self.members.remove(&worker.get());
        self.forget_datagrams(worker);
        let now = self.now;
        let poll = &self.poll;
        let each = self.groups.iter_mut().map(|group| group.leave(worker, now, poll));
        let outcome = super::worst(each);
        self.close_deserted();
        outcome
    }

    /// Closes places where nobody listens any more and nobody is going to: all are ready without it.
    pub(super) fn close_deserted(&mut self) {
        let is_quiet = !self.members.is_empty() && self.members.values().all(Member::is_live);
        self.groups.retain_mut(|group| {
            let is_held = group.lanes.iter().any(|lane| lane.holder.is_some());
            let stays = is_held || (group.is_lasting && !is_quiet && !group.lanes.is_empty());
            if !stays && group.is_lasting {
                self.news.push(News::Closed(group.place.to_string()));
            }
            if !stays {
                group.release(&self.poll);
            }
            stays
        });
    }
}
