//! The sockets one by one, for who looks after connections that nobody accepts.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
};

use dutch_master::WorkerId;

use super::{Capture, Lane, place::Group};
use crate::sys::{
    diag::Tag,
    sockets,
    steer::{Guest, SteerError},
};

/// One socket, and how it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    /// The number of its place.
    pub(crate) place: usize,
    /// Its own number, never used again.
    pub(crate) serial: usize,
    pub(crate) waiting: u32,
    pub(crate) holder: Option<WorkerId>,
    pub(crate) is_live: bool,
    pub(crate) is_deaf: bool,
    pub(crate) tag: Option<Tag>,
}

impl Capture {
    /// Every socket in a lasting place; none of those that all share, as whoever is free accepts there.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (usize, usize, BorrowedFd<'_>)> {
        self.in_lanes().flat_map(|group| {
            let socket = |lane| (group.number, serial(lane), lane.socket.as_fd());
            group.lanes.iter().map(socket)
        })
    }

    /// How they stand.
    pub(crate) fn standing(&self) -> impl Iterator<Item = Queue> {
        let lanes =
            self.in_lanes().flat_map(|group| group.lanes.iter().map(move |lane| (group, lane)));
        lanes.map(|(group, lane)| Queue {
            place: group.number,
            serial: serial(lane),
            waiting: lane.waiting(),
            holder: lane.holder,
            is_live: lane.is_live(),
            is_deaf: lane.is_deaf,
            tag: lane.holder.and_then(|holder| self.tag(holder)),
        })
    }

    /// Keeps new connections away from a socket, or no longer.
    pub(crate) fn set_deaf(
        &mut self,
        place: usize,
        number: usize,
        is_deaf: bool,
    ) -> Result<(), SteerError> {
        let Some(group) = self.group_mut(place) else { return Ok(()) };
        for lane in group.lanes.iter_mut().filter(|lane| serial(lane) == number) {
            lane.is_deaf = is_deaf;
        }
        group.aim()
    }

    /// Leads some connections of our own to sockets, by their numbers, and no others.
    pub(crate) fn set_guests(
        &mut self,
        place: usize,
        guests: Vec<Guest>,
    ) -> Result<(), SteerError> {
        let Some(group) = self.group_mut(place) else { return Ok(()) };
        if group.guests == guests {
            return Ok(());
        }
        group.guests = guests;
        group.aim()
    }

    /// Whether a worker accepts nobody somewhere.
    pub(crate) fn is_deaf(&self, worker: WorkerId) -> bool {
        let mut lanes = self.groups.iter().flat_map(|group| &group.lanes);
        lanes.any(|lane| lane.holder == Some(worker) && lane.is_deaf)
    }

    /// Where we ourselves can connect to a place.
    pub(crate) fn near_address(&self, place: usize) -> Option<SocketAddr> {
        let place = self.groups.iter().find(|group| group.number == place)?.place;
        Some(sockets::near(place.at, place.is_v6only))
    }

    fn in_lanes(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.is_lasting && !group.is_shared)
    }

    fn group_mut(&mut self, place: usize) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.number == place)
    }
}

fn serial(lane: &Lane) -> usize {
    usize::try_from(lane.serial).unwrap_or(usize::MAX)
}
