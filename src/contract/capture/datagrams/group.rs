//! All UDP sockets of one place, in the kernel's order, and who gets its datagrams.
//!
//! The kernel counts them in the order of their binds; when one goes, the last one takes its number.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use dutch_master::{SlotId, WorkerId};

use super::super::place::Share;
use crate::sys::{
    holds,
    sockets::born::Place,
    steer::{LONGEST_TABLE, SteerError, steer_clients},
};

/// One worker's socket.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) worker: WorkerId,
    pub(super) slot: SlotId,
    /// The worker's name for it, unless that means another socket by now.
    pub(super) number: Option<i32>,
    /// Who asked for it.
    pub(super) process: u32,
    pub(super) socket: OwnedFd,
    pub(super) share: Share,
    /// Datagrams come here.
    pub(super) is_aimed: bool,
    /// Its worker has come here long after its start, so that the next one need not be here.
    pub(super) is_late: bool,
    /// Since when nobody has it but us.
    pub(super) gone: Option<Duration>,
}

impl Lane {
    /// As far as we may know, its worker has closed it.
    pub(super) fn is_closed(&self) -> bool {
        let is_open = |number| holds::has_open(self.process, number, self.socket.as_fd());
        self.number.is_none_or(|number| is_open(number) == Some(false))
    }
}

/// One place.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) place: Place,
    pub(super) lanes: Vec<Lane>,
    /// How many slots have been seen here, and how many sockets one has had: clients are shared out
    /// among so many, that they stay where they are when a worker goes and comes.
    slots: usize,
    sockets: usize,
}

impl Group {
    pub(super) fn new(place: Place) -> Self {
        Self { place, lanes: Vec::new(), slots: 1, sockets: 1 }
    }

    /// Adds who has just been bound; what its worker has closed goes.
    pub(super) fn join(&mut self, lane: Lane) -> Result<(), SteerError> {
        let worker = lane.worker;
        self.lanes.push(lane);
        let closed = self.close(|it| it.worker == worker && it.is_closed());
        self.aim().and(closed)
    }

    /// Whether a worker is to get datagrams.
    pub(super) fn set_share(
        &mut self,
        worker: WorkerId,
        share: impl Fn(Share) -> Share,
    ) -> Result<(), SteerError> {
        let mut changes = false;
        for lane in self.lanes.iter_mut().filter(|lane| lane.worker == worker) {
            let before = lane.share;
            lane.share = share(before);
            changes |= lane.share != before;
        }
        if changes { self.aim() } else { Ok(()) }
    }

    /// Since when one has been gone that can be closed.
    pub(super) fn gone_since(&self) -> Option<Duration> {
        let lanes = self.lanes.iter().enumerate().filter(|(at, _)| self.can_close(*at));
        lanes.filter_map(|(_, lane)| lane.gone).min()
    }

    /// The last one takes the number of one that goes: until it has, nothing may be sent to either, and
    /// so there must be another one. Of two, the one that is left is right by any number.
    fn can_close(&self, at: usize) -> bool {
        let last = self.lanes.len().saturating_sub(1);
        let is_aimed = |at: usize| self.lanes.get(at).is_some_and(|lane| lane.is_aimed);
        let mut others = (0..last).filter(|other| *other != at);
        at == last || last == 1 || !is_aimed(last) || others.any(is_aimed)
    }

    /// Closes our copies, which are the last ones, as far as that can be done now.
    pub(super) fn close(&mut self, is_over: impl Fn(&Lane) -> bool) -> Result<(), SteerError> {
        let mut outcome = Ok(());
        let next = |group: &Self| {
            let mut lanes = group.lanes.iter().enumerate();
            lanes.position(|(at, lane)| is_over(lane) && group.can_close(at))
        };
        while let Some(at) = next(self) {
            let last = self.lanes.len().saturating_sub(1);
            outcome = outcome.and(self.attach(&[at, last]));
            drop(self.lanes.swap_remove(at));
            outcome = outcome.and(self.aim());
        }
        outcome
    }

    /// Tells the kernel who lives. With none alive those who had their share keep it as long as they are
    /// there; else whoever comes, or leaves, gets all.
    fn aim(&mut self) -> Result<(), SteerError> {
        let is_there = |lane: &Lane| lane.share != Share::Deserted;
        if self.lanes.iter().any(|lane| lane.share == Share::Lives) {
            self.lanes.iter_mut().for_each(|lane| lane.is_aimed = lane.share == Share::Lives);
        } else if !self.lanes.iter().any(|lane| lane.is_aimed && is_there(lane)) {
            let comes = |lane: &Lane| lane.share == Share::Waits;
            let first = self.lanes.iter().position(comes);
            let Some(first) = first.or_else(|| self.lanes.iter().position(is_there)) else {
                return Ok(());
            };
            let lanes = self.lanes.iter_mut().enumerate();
            lanes.for_each(|(at, lane)| lane.is_aimed = at == first);
        } else {
            self.lanes.iter_mut().for_each(|lane| lane.is_aimed &= is_there(lane));
        }
        self.attach(&[])
    }

    /// Every slot's clients go to the sockets of its worker; where a slot has none, to anybody's. `but`:
    /// those are left out.
    fn attach(&mut self, but: &[usize]) -> Result<(), SteerError> {
        let aimed = |lane: &&(usize, &Lane)| lane.1.is_aimed && !but.contains(&lane.0);
        let aimed: Vec<(usize, &Lane)> =
            self.lanes.iter().enumerate().filter(|it| aimed(&it)).collect();
        let Some((_, first)) = aimed.first() else { return Ok(()) };
        let of = |slot| aimed.iter().filter(move |(_, lane)| usize::from(lane.slot.get()) == slot);
        let slots = aimed.iter().map(|(_, lane)| usize::from(lane.slot.get()).saturating_add(1));
        let (slots, sockets) = (slots.max().unwrap_or(1), (0..).map(of));
        self.slots = self.slots.max(slots);
        let most = sockets.take(slots).map(Iterator::count).max().unwrap_or(1);
        let room = LONGEST_TABLE.checked_div(self.slots).unwrap_or(1).max(1);
        self.sockets = self.sockets.max(most).min(room);
        let mut table = Vec::new();
        for slot in 0..self.slots.min(LONGEST_TABLE) {
            let own: Vec<usize> = of(slot).map(|(at, _)| *at).collect();
            for socket in 0..self.sockets {
                let own = socket.checked_rem(own.len()).and_then(|at| own.get(at));
                let any = table.len().checked_rem(aimed.len()).and_then(|at| aimed.get(at));
                let lane = own.copied().or(any.map(|(at, _)| *at)).unwrap_or_default();
                table.push(u32::try_from(lane).unwrap_or_default());
            }
        }
        steer_clients(first.socket.as_fd(), &table)
    }
}
