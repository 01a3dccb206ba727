//! Which lanes the kernel gives new connections to.

use std::os::fd::AsFd;

use dutch_master::WorkerId;

use super::{Lane, Listeners};
use crate::sys::steer::{self, SteerError};

impl Listeners {
    /// Lets new connections come to a worker.
    pub(crate) fn steer_in(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        self.set_live(worker, true).and(self.set_captured_live(worker, true))
    }

    /// Keeps new connections away from a worker.
    pub(crate) fn steer_off(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        self.set_live(worker, false).and(self.set_captured_live(worker, false))
    }

    /// Takes a worker that is gone from its lane.
    pub(crate) fn leave(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        let outcome = self.set_live(worker, false);
        for lane in self.lanes.iter_mut().filter(|lane| lane.holder == Some(worker)) {
            lane.holder = None;
            // The next one in this lane is not deaf until it proves to be.
            lane.deaf.clear();
        }
        outcome.and(self.captured_leaves(worker))
    }

    /// With nobody alive, what the kernel still aims at may be a lane that nobody will sit in again.
    pub(super) fn aim_at_successor(&mut self, index: usize) {
        let is_anybody_live = self.lanes.iter().any(|lane| lane.is_live);
        if is_anybody_live || !self.lanes.iter().any(|lane| lane.is_aimed) {
            return;
        }
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            lane.is_aimed = at == index;
        }
        // Refused now, it is tried again as soon as somebody lives.
        let _ = self.aim();
    }

    fn set_live(&mut self, worker: WorkerId, is_live: bool) -> Result<(), SteerError> {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.holder == Some(worker)) else {
            return Ok(());
        };
        if lane.is_live == is_live {
            return Ok(());
        }
        lane.is_live = is_live;
        self.steer()
    }

    /// Tells the kernel which lanes live. With none alive the last ones keep their share: what waits
    /// there is served by the next worker, and nobody is refused.
    fn steer(&mut self) -> Result<(), SteerError> {
        if !self.lanes.iter().any(|lane| lane.is_live) {
            return Ok(());
        }
        for lane in &mut self.lanes {
            lane.is_aimed = lane.is_live;
        }
        self.aim()
    }

    fn aim(&self) -> Result<(), SteerError> {
        (0..self.entries.len()).try_for_each(|listener| self.aim_one(listener))
    }

    /// The same for one listener: a worker may be deaf on one and hear on another. Where all are deaf,
    /// nobody is: the kernel has no program for "nobody", and whoever hears first is as good.
    pub(super) fn aim_one(&self, listener: usize) -> Result<(), SteerError> {
        let first = self.lanes.first().and_then(|lane| lane.sockets.get(listener)?.as_ref());
        let Some(socket) = first else { return Ok(()) };
        let aimed = |is_choosy: bool| -> Vec<u32> {
            let is_aimed =
                |lane: &Lane| lane.is_aimed && !(is_choosy && lane.deaf.contains(&listener));
            let lanes = (0..).zip(&self.lanes).filter(|(_, lane)| is_aimed(lane));
            lanes.map(|(index, _)| index).collect()
        };
        let hearing = aimed(true);
        let lanes = if hearing.is_empty() { aimed(false) } else { hearing };
        let guests = self.guests.get(&listener).map(Vec::as_slice).unwrap_or_default();
        steer::steer_all_but(socket.as_fd(), &lanes, guests)
    }
}
