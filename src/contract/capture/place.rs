//! All sockets that listen in one place, in the kernel's order, and who gets its new connections.
//!
//! The kernel counts sockets in the order in which they began to listen; when one goes, the last one
//! takes its number. The same happens here, or connections would go astray.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use dutch_master::WorkerId;

use crate::sys::{
    poll::Poll,
    sockets::{
        self, AcceptQueue,
        born::{self, Place, State, state},
    },
    steer::{self, Guest, SteerError},
};

/// For so long after its worker's end a socket may still be about to get connections: handshakes
/// that had begun.
const SETTLED: Duration = Duration::from_secs(3);

/// Whether a socket's worker is to get connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Not yet.
    Waits,
    /// It is.
    Lives,
    /// Not any more.
    Leaves,
    /// It is gone, and only a process that outlived it has the socket still.
    Deserted,
}

/// One worker's socket.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four things, each so or not by itself")]
pub(super) struct Lane {
    pub(super) serial: u64,
    pub(super) socket: OwnedFd,
    /// Nobody: it waits for who takes it over.
    pub(super) holder: Option<WorkerId>,
    /// The worker's name for it, unless that means another socket by now.
    pub(super) number: Option<i32>,
    /// Who listened on it first.
    pub(super) thread: u32,
    /// Whether the worker's descriptor closes on exec.
    pub(super) is_cloexec: bool,
    /// Its worker has come here long after its start, so that the next one need not be here either.
    pub(super) is_late: bool,
    /// Whether its worker is to get connections.
    pub(super) share: Share,
    /// New connections come here.
    pub(super) is_aimed: bool,
    /// Its worker accepts nobody, so that it gets nobody new.
    pub(super) is_deaf: bool,
    /// Since when nobody holds it.
    pub(super) left: Duration,
}

impl Lane {
    /// A worker has it from now on, or nobody.
    pub(super) fn pass_to(&mut self, holder: Option<(WorkerId, i32)>) {
        let before = self.holder;
        (self.holder, self.number) = holder.unzip();
        if self.holder != before {
            (self.share, self.is_deaf) = (Share::Waits, false);
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.share == Share::Lives
    }

    /// Its worker is there.
    fn is_held(&self) -> bool {
        self.holder.is_some() && self.share != Share::Deserted
    }

    /// Connections that wait to be accepted.
    pub(super) fn waiting(&self) -> u32 {
        self.queue().map_or(0, |queue| queue.length)
    }

    /// The end of its number, as guests have it.
    fn short(&self) -> u32 {
        let [.., a, b, c, d] = self.serial.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    pub(super) fn queue(&self) -> Option<AcceptQueue> {
        sockets::accept_queue(self.socket.as_fd()).ok()
    }
}

/// One place.
#[derive(Debug)]
pub(super) struct Group {
    /// Our name for it.
    pub(super) number: usize,
    pub(super) place: Place,
    pub(super) lanes: Vec<Lane>,
    /// Connections of our own, and the serial numbers of the sockets that they go to.
    pub(super) guests: Vec<Guest>,
    /// Whether another worker can be expected here: the port was not chosen by the kernel.
    pub(super) is_lasting: bool,
    /// All lanes have one socket.
    pub(super) is_shared: bool,
}

impl Group {
    /// Adds who has just begun to listen.
    pub(super) fn join(&mut self, lane: Lane) -> Result<(), SteerError> {
        self.lanes.push(lane);
        self.aim()
    }

    pub(super) fn lane_of(&mut self, worker: WorkerId) -> Option<&mut Lane> {
        self.lanes_of(worker).next()
    }

    /// A worker's sockets here: more than one if it has opened several, to share out connections itself.
    pub(super) fn lanes_of(&mut self, worker: WorkerId) -> impl Iterator<Item = &mut Lane> {
        self.lanes.iter_mut().filter(move |lane| lane.holder == Some(worker))
    }

    /// Whose queue a new worker should take over, if anybody's. Where somebody may accept still, only
    /// if nobody does.
    pub(super) fn orphan(&mut self, now: Duration) -> Option<&mut Lane> {
        if self.is_shared {
            return self.lanes.iter_mut().find(|lane| lane.holder.is_none());
        }
        let is_due = |lane: &&mut Lane| {
            let is_young = now.saturating_sub(lane.left) < SETTLED;
            let is_free = lane.holder.is_none();
            let has_clients = !lane.is_held() && lane.waiting() > 0;
            has_clients || (is_free && (lane.is_aimed || is_young))
        };
        let free = self.lanes.iter_mut().filter(is_due);
        free.max_by_key(|lane| (lane.is_aimed, lane.waiting()))
    }

    /// A worker is gone, but for processes that we do not know.
    pub(super) fn desert(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        self.set_share(worker, |_| Share::Deserted)
    }

    /// Whether a worker gets connections here.
    pub(super) fn set_live(&mut self, worker: WorkerId, is_live: bool) -> Result<(), SteerError> {
        self.set_share(worker, |share| match (is_live, share) {
            (true, _) => Share::Lives,
            (false, Share::Lives) => Share::Leaves,
            (false, share) => share,
        })
    }

    fn set_share(
        &mut self,
        worker: WorkerId,
        share: impl Fn(Share) -> Share,
    ) -> Result<(), SteerError> {
        let mut changes = false;
        for lane in self.lanes_of(worker) {
            let before = lane.share;
            lane.share = share(before);
            changes |= lane.share != before;
        }
        if changes { self.aim() } else { Ok(()) }
    }

    /// A worker is gone with all its processes: what waits for it, or may, waits for the next one.
    pub(super) fn leave(
        &mut self,
        worker: WorkerId,
        now: Duration,
        poll: &Poll,
    ) -> Result<(), SteerError> {
        let mut has_left = false;
        for lane in self.lanes_of(worker) {
            lane.left = if lane.is_live() { now } else { now.saturating_sub(SETTLED) };
            lane.pass_to(None);
            lane.is_aimed &= state(lane.socket.as_fd()) == Ok(State::Listens);
            has_left = true;
        }
        if !has_left {
            return Ok(());
        }
        if self.is_shared {
            self.thin_out(poll);
        }
        self.aim()?;
        self.sweep(now, poll)
    }

    /// Of lanes that nobody holds, one is enough to keep the socket that all share.
    fn thin_out(&mut self, poll: &Poll) {
        let mut is_kept = self.lanes.iter().any(|lane| lane.holder.is_some());
        self.lanes.retain(|lane| {
            let stays = lane.holder.is_some() || !std::mem::replace(&mut is_kept, true);
            if !stays {
                let_go(&lane.socket, poll);
            }
            stays
        });
    }

    /// Closes what nobody holds and nothing waits for.
    pub(super) fn sweep(&mut self, now: Duration, poll: &Poll) -> Result<(), SteerError> {
        if self.is_shared {
            return Ok(());
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_aimed) {
            lane.left = now;
        }
        loop {
            let is_over = |lane: &Lane| {
                let is_old = now.saturating_sub(lane.left) >= SETTLED;
                lane.holder.is_none() && is_old && !lane.is_aimed && lane.waiting() == 0
            };
            let Some(at) = self.lanes.iter().position(is_over) else { return Ok(()) };
            self.close(at, poll)?;
        }
    }

    /// Closes a socket that nobody has but us.
    fn close(&mut self, at: usize, poll: &Poll) -> Result<(), SteerError> {
        // The last one is about to change its number: until it has, it is better not called by it.
        let last = self.lanes.len().saturating_sub(1);
        let others: Vec<u32> =
            self.aimed().filter(|(index, _)| *index != last).map(|(_, number)| number).collect();
        let shorter = if others.is_empty() { Ok(()) } else { self.attach(&others) };
        // A process that was just forked may have a copy for a moment more.
        let lane = self.lanes.swap_remove(at);
        born::end(lane.socket.as_fd());
        let_go(&lane.socket, poll);
        shorter.and(self.aim())
    }

    /// A worker has shut its socket, which then is no longer among the kernel's.
    pub(super) fn lose(&mut self, serial: u64) -> Option<(Lane, Result<(), SteerError>)> {
        let at = self.lanes.iter().position(|lane| lane.serial == serial)?;
        Some((self.lanes.swap_remove(at), self.aim()))
    }

    /// Lets go of all sockets: what their workers close from now on is closed.
    pub(super) fn release(&mut self, poll: &Poll) {
        for lane in self.lanes.drain(..) {
            let_go(&lane.socket, poll);
        }
    }

    /// Tells the kernel who lives. With none alive those who had their share keep it, unless nobody is
    /// left there and somebody is elsewhere; else whoever has a worker gets one: nobody is refused.
    pub(super) fn aim(&mut self) -> Result<(), SteerError> {
        let is_any_live = self.lanes.iter().any(Lane::is_live);
        let is_anybody_there = self.lanes.iter().any(|lane| lane.is_aimed && lane.is_held());
        if is_any_live {
            self.lanes.iter_mut().for_each(|lane| lane.is_aimed = lane.is_live());
        } else if !is_anybody_there && let Some(first) = self.first_choice() {
            let lanes = self.lanes.iter_mut().enumerate();
            lanes.for_each(|(at, lane)| lane.is_aimed = at == first);
        }
        let aimed: Vec<u32> = self.aimed().map(|(_, number)| number).collect();
        if aimed.is_empty() { Ok(()) } else { self.attach(&aimed) }
    }

    /// With none alive: who comes, else who leaves if nobody at all has a share.
    fn first_choice(&self) -> Option<usize> {
        let comes = |lane: &Lane| lane.is_held() && lane.share != Share::Leaves;
        let is_anyone_aimed = self.lanes.iter().any(|lane| lane.is_aimed);
        let leaves = |lane: &Lane| !is_anyone_aimed && lane.holder.is_some();
        let lanes = || self.lanes.iter();
        lanes().position(comes).or_else(|| lanes().position(leaves))
    }

    /// Where all are deaf, nobody is: whoever hears first is as good.
    fn aimed(&self) -> impl Iterator<Item = (usize, u32)> {
        let does_any_hear = self.lanes.iter().any(|lane| lane.is_aimed && !lane.is_deaf);
        let counted = (0..).zip(0..).zip(&self.lanes);
        counted
            .filter(move |(_, lane)| lane.is_aimed && !(does_any_hear && lane.is_deaf))
            .map(|(both, _)| both)
    }

    fn attach(&self, lanes: &[u32]) -> Result<(), SteerError> {
        let first = self.lanes.first().filter(|_| !self.is_shared);
        let Some(first) = first else { return Ok(()) };
        let of_serial = |guest: &Guest| {
            let mut counted = (0..).zip(&self.lanes);
            let found = counted.find(|(_, lane)| lane.short() == guest.lane);
            found.map(|(lane, _)| Guest { lane, ..*guest })
        };
        let guests: Vec<Guest> = self.guests.iter().filter_map(of_serial).collect();
        steer::steer_all_but(first.socket.as_fd(), lanes, &guests)
    }
}

/// Hears no more of a socket whose last copy may be a worker's: closed here, it would still wake us.
pub(super) fn let_go(socket: &OwnedFd, poll: &Poll) {
    let _ = poll.remove(socket);
}

#[cfg(test)]
mod tests;
