//! The lanes' sockets one by one: who waits where, and who hears.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
};

use dutch_master::WorkerId;

use super::Listeners;
use crate::contract::capture::Capture;
use crate::sys::{
    diag,
    sockets::{self, Address},
    steer::{Guest, SteerError},
};

/// One lane's socket of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) listener: usize,
    pub(crate) lane: usize,
}

impl Spot {
    /// The lane's number as the kernel's programs take it; those of captured servers grow for ever.
    pub(crate) fn short(self) -> u32 {
        let [.., a, b, c, d] = self.lane.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) spot: Spot,
    /// Connections that nobody has accepted.
    pub(crate) waiting: u32,
    pub(crate) holder: Option<WorkerId>,
    /// Whether new connections may come here.
    pub(crate) is_live: bool,
    /// Whether they do not, though they might, as they would wait.
    pub(crate) is_deaf: bool,
    pub(crate) tag: Option<diag::Tag>,
}

impl Listeners {
    /// Every spot that listens, and its socket.
    pub(crate) fn spots(&self) -> impl Iterator<Item = (Spot, BorrowedFd<'_>)> {
        self.lent_spots().chain(self.captured_spots())
    }

    /// Those of captured servers.
    pub(crate) fn captured_spots(&self) -> impl Iterator<Item = (Spot, BorrowedFd<'_>)> {
        let captured = self.capture.iter().flat_map(Capture::sockets);
        captured.map(|(place, lane, socket)| {
            (Spot { listener: self.entries.len().saturating_add(place), lane }, socket)
        })
    }

    fn lent_spots(&self) -> impl Iterator<Item = (Spot, BorrowedFd<'_>)> {
        let all = self.lanes.iter().enumerate().flat_map(|(lane, of)| {
            let sockets = of.sockets.iter().enumerate();
            sockets.filter_map(move |(listener, socket)| {
                Some((Spot { listener, lane }, socket.as_ref()?.as_fd()))
            })
        });
        all.filter(|(spot, _)| self.order.has(*spot))
    }

    /// How many listeners are `LISTEN`'s; higher numbers are captured places.
    pub(crate) fn lent_count(&self) -> usize {
        self.entries.len()
    }

    /// The number of a captured place; nothing for an entry of `LISTEN`.
    fn place_of(&self, listener: usize) -> Option<usize> {
        listener.checked_sub(self.entries.len())
    }

    /// The socket of one.
    pub(crate) fn socket(&self, spot: Spot) -> Option<BorrowedFd<'_>> {
        if self.place_of(spot.listener).is_some() {
            return self.spots().find(|(other, _)| *other == spot).map(|(_, socket)| socket);
        }
        Some(self.lanes.get(spot.lane)?.sockets.get(spot.listener)?.as_ref()?.as_fd())
    }

    /// How all of them stand.
    pub(crate) fn views(&self) -> Vec<View> {
        let view = |(spot, socket): (Spot, BorrowedFd<'_>)| {
            let lane = self.lanes.get(spot.lane)?;
            Some(View {
                spot,
                waiting: sockets::accept_queue(socket).map_or(0, |queue| queue.length),
                holder: lane.holder,
                is_live: lane.is_live,
                is_deaf: lane.deaf.contains(&spot.listener),
                tag: lane.tag,
            })
        };
        let captured = self.capture.iter().flat_map(Capture::standing).map(|queue| View {
            spot: Spot {
                listener: self.entries.len().saturating_add(queue.place),
                lane: queue.serial,
            },
            waiting: queue.waiting,
            holder: queue.holder,
            is_live: queue.is_live,
            is_deaf: queue.is_deaf,
            tag: queue.tag,
        });
        self.lent_spots().filter_map(view).chain(captured).collect()
    }

    /// Whether a worker is deaf on any of its listeners.
    pub(crate) fn is_deaf(&self, worker: WorkerId) -> bool {
        self.lane_of(worker).is_some_and(|lane| !lane.deaf.is_empty())
            || self.capture.as_ref().is_some_and(|capture| capture.is_deaf(worker))
    }

    /// Keeps new connections away from a spot, or no longer.
    pub(crate) fn set_deaf(&mut self, spot: Spot, is_deaf: bool) -> Result<(), SteerError> {
        if let (Some(place), Some(capture)) = (self.place_of(spot.listener), &mut self.capture) {
            return capture.set_deaf(place, spot.lane, is_deaf);
        }
        let Some(lane) = self.lanes.get_mut(spot.lane) else { return Ok(()) };
        if is_deaf {
            lane.deaf.insert(spot.listener);
        } else {
            lane.deaf.remove(&spot.listener);
        }
        self.aim_one(spot.listener)
    }

    /// Leads some connections of our own to their lanes, and no others.
    pub(crate) fn set_guests(
        &mut self,
        listener: usize,
        guests: Vec<Guest>,
    ) -> Result<(), SteerError> {
        if let (Some(place), Some(capture)) = (self.place_of(listener), &mut self.capture) {
            return capture.set_guests(place, guests);
        }
        let known = self.guests.entry(listener).or_default();
        if *known == guests {
            return Ok(());
        }
        *known = guests;
        self.aim_one(listener)
    }

    /// Its name.
    pub(crate) fn name_of(&self, listener: usize) -> &str {
        self.entries.get(listener).map_or("captured", |entry| entry.name.as_str())
    }

    /// Where we ourselves can connect to a listener.
    pub(crate) fn near_address(&self, listener: usize) -> Option<SocketAddr> {
        if let Some(place) = self.place_of(listener) {
            return self.capture.as_ref()?.near_address(place);
        }
        let Address::Tcp(at) = self.entries.get(listener)?.address else { return None };
        let socket = self.lent_spots().find(|(spot, _)| spot.listener == listener);
        let is_v6only = socket.is_some_and(|(_, socket)| sockets::is_v6only(socket));
        Some(sockets::near(at, is_v6only))
    }
}
