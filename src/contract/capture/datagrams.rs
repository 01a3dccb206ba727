//! UDP servers, where that was asked for: no call says that a socket serves, so its address has to.
//!
//! ```text
//!   socket() ─▶ made here, given to the worker, and a copy kept        (Newborn)
//!   bind()   ─▶ set to share its port; the kernel binds; then our copy knows where
//!               ─▶ a port that was chosen: a server's                  (Group)
//!               ─▶ one of the kernel's, or no bind at all: a client's, let go
//! ```
//!
//! The kernel counts the sockets of a port in the order of their binds, which we see only a moment
//! later: so binds go on one after the other.

mod group;
mod newborn;

use std::{os::fd::AsFd, time::Duration};

use dutch_master::WorkerId;

use self::{
    group::{Group, Lane},
    newborn::Newborn,
};
use super::{
    Capture, MOST, News,
    member::{Door, Member},
    place::Share,
    worst,
};
use crate::sys::{
    host::{self, Kin},
    seccomp::{Asked, Call, Reply, Wanted},
    sockets::born::{self, Place},
    steer::SteerError,
};

/// For so long after a fork, sockets stay open that nobody has: a copy would keep one among the kernel's.
const LINGER: Duration = Duration::from_secs(1);
/// Forks later than that after an end are no longer waited for, lest it be for ever.
const FORKS: Duration = Duration::from_secs(10);
/// How many without an address are kept for one worker.
const UNBORN: usize = 64;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// Those whose bind was let go on last come last.
    newborn: Vec<Newborn>,
    /// Binds that wait for others, and whose they are.
    waiting: Vec<(u64, Call)>,
    /// Whose bind was let go on last.
    served: u64,
    groups: Vec<Group>,
    /// When a process was last forked that may have copies until it has called exec.
    forked: Duration,
}

impl Datagrams {
    /// When something is to be looked at. `is_forking`: some worker may have copies of sockets still.
    pub(super) fn deadline(&self, now: Duration, is_forking: bool) -> Option<Duration> {
        let looks = self.newborn.iter().map(Newborn::look_at);
        let due = (!self.waiting.is_empty() && !self.is_busy()).then_some(now);
        let close = self.close_at().filter(|_| !is_forking);
        looks.chain(due).chain(close).min()
    }

    /// The places where a worker serves.
    pub(super) fn places(&self, worker: WorkerId) -> impl Iterator<Item = Place> {
        self.places_by(move |lane| lane.worker == worker)
    }

    /// Those of them that it has had from its start, and has still, as far as we know.
    pub(super) fn opened_at_start(&self, worker: WorkerId) -> impl Iterator<Item = Place> {
        self.places_by(move |it| it.worker == worker && !it.is_late && it.number.is_some())
    }

    fn places_by(&self, has: impl Fn(&Lane) -> bool) -> impl Iterator<Item = Place> {
        let groups = self.groups.iter().filter(move |group| group.lanes.iter().any(&has));
        groups.map(|group| group.place)
    }

    /// Every place.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.groups.iter().map(|group| group.place.to_string())
    }

    /// Whether a worker has read all that came.
    pub(super) fn is_read(&self, worker: WorkerId) -> bool {
        let lanes = self.groups.iter().flat_map(|group| &group.lanes);
        let mut own = lanes.filter(|lane| lane.worker == worker);
        // What it has closed, it never will.
        !own.any(|lane| born::has_datagrams(lane.socket.as_fd()) && !lane.is_closed())
    }

    /// Lets datagrams come to a worker, or keeps them away.
    pub(super) fn set_live(&mut self, worker: WorkerId, is_live: bool) -> Result<(), SteerError> {
        worst(self.groups.iter_mut().map(|group| {
            group.set_share(worker, |share| match (is_live, share) {
                (true, _) => Share::Lives,
                (false, Share::Lives) => Share::Leaves,
                (false, share) => share,
            })
        }))
    }

    /// A worker is gone, but for processes that we do not know.
    pub(super) fn desert(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        worst(self.groups.iter_mut().map(|group| group.set_share(worker, |_| Share::Deserted)))
    }

    /// A worker is gone with all its processes.
    fn forget(&mut self, worker: WorkerId, now: Duration) {
        self.newborn.retain(|it| it.worker != worker);
        self.waiting.retain(|(number, _)| *number != worker.get());
        let lanes = self.groups.iter_mut().flat_map(|group| &mut group.lanes);
        lanes.filter(|lane| lane.worker == worker).for_each(|lane| lane.gone = Some(now));
    }

    /// When sockets of those who are gone can be closed.
    fn close_at(&self) -> Option<Duration> {
        let gone = self.groups.iter().filter_map(Group::gone_since).min();
        let forked = |gone: Duration| self.forked.min(gone.saturating_add(FORKS));
        gone.map(|gone| gone.max(forked(gone)).saturating_add(LINGER))
    }

    /// Closes what is over. Returns the places that went with it.
    fn sweep(&mut self, now: Duration) -> (Vec<Place>, Result<(), SteerError>) {
        if self.close_at().is_none_or(|at| at > now) {
            return (Vec::new(), Ok(()));
        }
        let is_over = |lane: &Lane| lane.gone.is_some();
        let outcome = worst(self.groups.iter_mut().map(|group| group.close(is_over)));
        let gone = self.groups.extract_if(.., |group| group.lanes.is_empty());
        (gone.map(|group| group.place).collect(), outcome)
    }

    /// A number of a worker's process means another socket from now on.
    pub(super) fn forget_number(&mut self, worker: WorkerId, number: i32, thread: u32) {
        let is_other = |it: &Newborn| {
            (it.worker, it.number) != (worker, number) || host::kin(thread, it.thread) == Kin::Other
        };
        self.newborn.retain(is_other);
        for lane in self.groups.iter_mut().flat_map(|group| &mut group.lanes) {
            if lane.worker == worker
                && lane.number == Some(number)
                && host::kin(thread, lane.process) == Kin::Same
            {
                lane.number = None;
            }
        }
    }

    /// Whether a bind has been let go on of which we do not know the outcome.
    fn is_busy(&self) -> bool {
        self.newborn.iter().any(Newborn::holds_up)
    }

    /// Where the one is that a number means to a thread.
    fn find(&self, worker: u64, number: i32, thread: u32) -> Option<usize> {
        self.newborn.iter().rposition(|it| {
            (it.worker.get(), it.number) == (worker, number)
                && host::kin(thread, it.thread) != Kin::Other
        })
    }

    fn add(&mut self, newborn: Newborn) {
        self.forget_number(newborn.worker, newborn.number, newborn.thread);
        let same = |it: &Newborn| it.worker == newborn.worker;
        if self.newborn.iter().filter(|it| same(it)).count() >= UNBORN
            && let Some(oldest) = self.newborn.iter().position(same)
        {
            self.newborn.remove(oldest);
        }
        self.newborn.push(newborn);
    }

    /// A thread waits for its bind, and has no other call meanwhile.
    fn wait(&mut self, number: u64, call: Call) {
        self.waiting.retain(|(_, other)| other.thread != call.thread);
        self.waiting.push((number, call));
    }

    /// Whose turn it is: one of each worker after the other, so that one that floods costs only itself.
    fn next_waiting(&mut self) -> Option<(u64, Call)> {
        let last = self.served;
        let turn =
            |(_, (number, _)): &(usize, &(u64, Call))| number.wrapping_sub(last).wrapping_sub(1);
        let (at, _) = self.waiting.iter().enumerate().min_by_key(turn)?;
        let next = self.waiting.remove(at);
        self.served = next.0;
        Some(next)
    }

    /// Lets a bind share its port, if it is of a socket of ours.
    fn let_bind(&mut self, number: u64, call: &Call, now: Duration) {
        let Asked::Bind(fd) = call.asked() else { return };
        let Some(at) = self.find(number, fd, call.thread) else { return };
        let mut newborn = self.newborn.remove(at);
        // One too many gets no port of others, whose order it would upset.
        if self.count(newborn.worker) < MOST {
            newborn.binds(call.id, now);
            self.newborn.push(newborn);
        }
    }

    fn count(&self, worker: WorkerId) -> usize {
        let lanes = self.groups.iter().flat_map(|group| &group.lanes);
        lanes.filter(|lane| lane.worker == worker).count()
    }

    /// Takes out those that have an address by now, in the order of their binds, and lets go of those
    /// that never will.
    fn take_bound(
        &mut self,
        now: Duration,
        mut is_asleep: impl FnMut(WorkerId, u64) -> bool,
    ) -> Vec<Newborn> {
        let mut bound = Vec::new();
        // From the last one on: who is done when an earlier one is not yet comes before it in the kernel.
        for at in (0..self.newborn.len()).rev() {
            if self.newborn.get(at).is_some_and(Newborn::is_bound) {
                bound.push(self.newborn.remove(at));
            }
        }
        bound.reverse();
        for it in &mut self.newborn {
            let worker = it.worker;
            it.look(now, |call| is_asleep(worker, call));
        }
        self.newborn.retain(|it| it.look_at() > now);
        bound
    }

    /// A socket has its address: keeps it if it is a server's. Returns whether nobody served there before.
    fn settle(&mut self, place: Place, lane: Lane) -> Option<(bool, Result<(), SteerError>)> {
        let socket = lane.socket.as_fd();
        if born::is_connected(socket)
            || born::is_of_device(socket)
            || born::chosen_ports().contains(&place.at.port())
        {
            // The kernel may choose the same port for the next one that shares.
            let _ = born::unshare(socket);
            return None;
        }
        if let Some(group) = self.groups.iter_mut().find(|group| group.place == place) {
            return Some((false, group.join(lane)));
        }
        let mut group = Group::new(place);
        let outcome = group.join(lane);
        self.groups.push(group);
        Some((true, outcome))
    }
}

impl Capture {
    /// Makes a socket for a worker that asks for one.
    pub(super) fn on_datagram_socket(&mut self, number: u64, call: &Call, wanted: Wanted) {
        let Some(member) = self.members.get(&number) else { return };
        let Door::Open(door) = &member.door else { return };
        let worker = member.newcomer.worker;
        let made = born::make_for_datagrams(wanted.is_v6, wanted.is_nonblocking);
        let given = made.and_then(|socket| {
            Ok((door.give(call.id, socket.as_fd(), wanted.is_cloexec)?, socket))
        });
        let Ok((fd, socket)) = given else { return self.reply(number, call, Reply::Continue) };
        self.datagrams.add(Newborn::new(worker, fd, call.thread, socket, self.now));
        self.forget_number(number, fd);
    }

    /// Whether a bind is of a UDP socket of ours; then it goes on when its turn comes.
    pub(super) fn binds_datagrams(&mut self, number: u64, call: &Call, fd: i32) -> bool {
        if self.datagrams.find(number, fd, call.thread).is_none() {
            return false;
        }
        self.datagrams.wait(number, *call);
        self.look_at_datagrams();
        true
    }

    /// Looks what has become of binds, and lets the next one go on.
    pub(super) fn look_at_datagrams(&mut self) {
        let now = self.now;
        if !self.is_forking() {
            let (gone, outcome) = self.datagrams.sweep(now);
            self.news.extend(gone.into_iter().map(|place| News::Closed(place.to_string())));
            self.tell(outcome);
        }
        let members = &mut self.members;
        let is_asleep = |worker: WorkerId, call| match members.get_mut(&worker.get()) {
            Some(Member { door: Door::Open(door), .. }) => door.is_asleep(call),
            _ => false,
        };
        for newborn in self.datagrams.take_bound(now, is_asleep) {
            self.seat_datagrams(newborn);
        }
        while !self.datagrams.is_busy()
            && let Some((number, call)) = self.datagrams.next_waiting()
        {
            self.datagrams.let_bind(number, &call, now);
            self.reply(number, &call, Reply::Continue);
        }
    }

    /// A socket has its address.
    fn seat_datagrams(&mut self, newborn: Newborn) {
        let Newborn { worker, number, thread, socket, .. } = newborn;
        let Some(place) = born::datagram_place(socket.as_fd()) else { return };
        let is_late = self.opens_late(worker, &place);
        let Some(member) = self.members.get_mut(&worker.get()) else { return };
        let lane = Lane {
            worker,
            slot: member.newcomer.slot,
            number: Some(number),
            process: host::process_of(thread).unwrap_or(thread),
            socket,
            share: Share::Waits,
            is_aimed: false,
            is_late,
            gone: None,
        };
        let Some((is_new, outcome)) = self.datagrams.settle(place, lane) else { return };
        member.listened = Some(self.now);
        if is_new {
            self.news.push(News::Opened(place.to_string()));
        }
        self.tell(outcome);
        self.grown(worker);
    }

    /// A process has been forked that may have copies of sockets until it has called exec.
    pub(crate) fn forked(&mut self, now: Duration) {
        self.datagrams.forked = now;
    }

    /// Whether some worker may have copies still: what we hear first of it comes after it has closed them.
    pub(super) fn is_forking(&self) -> bool {
        self.members.values().any(|member| matches!(member.door, Door::Expected(_)))
    }

    /// A worker is gone with all its processes.
    pub(super) fn forget_datagrams(&mut self, worker: WorkerId) {
        self.datagrams.forget(worker, self.now);
    }

    /// All workers stop: what they close is closed from now on.
    pub(super) fn release_datagrams(&mut self) {
        self.datagrams.newborn.clear();
        self.datagrams.groups.clear();
        self.look_at_datagrams();
    }
}

#[cfg(test)]
mod tests;
