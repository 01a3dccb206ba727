//! Which lanes the kernel gives new connections to.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, BorrowedFd},
};

use dutch_master::WorkerId;

use super::{Lane, Listeners, Spot};
use crate::sys::steer::{self, Guest, SteerError};

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

    /// With nobody alive, what the kernel still aims at may be a lane that nobody will sit in again;
    /// and a socket that is the only one of its port is not aimed at by what was said before.
    pub(super) fn aim_at_successor(&mut self, index: usize) {
        if !self.lanes.iter().any(|lane| lane.is_aimed) {
            return;
        }
        if !self.lanes.iter().any(|lane| lane.is_live) {
            for (at, lane) in self.lanes.iter_mut().enumerate() {
                lane.is_aimed = at == index;
            }
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
    /// nobody is: the kernel has no program for "nobody", and whoever hears first is as good. Where all
    /// have shut their sockets, what comes waits for the next worker.
    pub(super) fn aim_one(&self, listener: usize) -> Result<(), SteerError> {
        let lanes = self.order.of(listener);
        let socket = lanes.first().and_then(|lane| self.socket(Spot { listener, lane: *lane }));
        let Some(socket) = socket else { return Ok(()) };
        let aimed = |is_choosy: bool| -> Vec<u32> {
            let is_aimed =
                |lane: &Lane| lane.is_aimed && !(is_choosy && lane.deaf.contains(&listener));
            let numbered = (0..).zip(lanes.iter().map(|lane| self.lanes.get(*lane)));
            let aimed = numbered.filter(|(_, lane)| lane.is_some_and(is_aimed));
            aimed.map(|(number, _)| number).collect()
        };
        let numbers =
            [aimed(true), aimed(false), vec![0]].into_iter().find(|them| !them.is_empty());
        let guests = self.guests.get(&listener).into_iter().flatten();
        let guests: Vec<Guest> = guests
            .filter_map(|guest| {
                let spot = Spot { listener, lane: usize::try_from(guest.lane).ok()? };
                Some(Guest { lane: self.order.number(spot)?, ..*guest })
            })
            .collect();
        steer::steer_all_but(socket, &numbers.unwrap_or_default(), &guests)
    }

    /// Readable when a worker has shut one of its sockets.
    pub(crate) fn ends(&self) -> BorrowedFd<'_> {
        self.order.as_fd()
    }

    /// Takes note of sockets that workers have shut: nothing comes there any more, and the kernel
    /// calls another one by its number.
    pub(crate) fn note_ends(&mut self) -> (Vec<Spot>, Result<(), SteerError>) {
        let ended = self.order.ended();
        for spot in &ended {
            let lane = self.lanes.get(spot.lane);
            let socket = lane.and_then(|lane| lane.sockets.get(spot.listener)?.as_ref());
            if let Some(socket) = socket {
                self.order.lose(*spot, socket.as_fd());
            }
        }
        let listeners: BTreeSet<usize> = ended.iter().map(|spot| spot.listener).collect();
        let outcome = listeners.into_iter().map(|listener| self.aim_one(listener));
        let outcome = outcome.fold(Ok(()), Result::and);
        (ended, outcome)
    }
}
