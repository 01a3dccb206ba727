//! Which lanes wake us when somebody waits in one.

use std::collections::BTreeSet;

use tracing::debug;

use super::{Master, Source, Spot};
use crate::sys::{
    poll::{Interest, Poll},
    sockets,
};

impl Master {
    /// Waits for connections in lanes that are new.
    pub(in crate::master) fn watch_lanes(&mut self) {
        if self.rescue.limit.is_none() || self.cluster.is_some() {
            return;
        }
        self.watch_spots();
        self.arm(true);
    }

    /// A deaf lane holds a probe, which would wake us for ever: it is looked at by the clock.
    pub(super) fn watch_spots(&mut self) {
        let present: BTreeSet<Spot> = self.listeners.spots().map(|(spot, _)| spot).collect();
        if !self.rescue.watched.is_subset(&present) {
            self.forget_all_but(&present);
        }
        let rescue = &mut self.rescue;
        for (spot, socket) in self.listeners.spots() {
            // One that a worker has shut down would wake us for ever, too.
            let is_wanted =
                !rescue.relays.probes.contains_key(&spot) && sockets::accept_queue(socket).is_ok();
            if is_wanted && rescue.watched.insert(spot) {
                let _ = rescue.lanes.add(socket, 0, Interest::Read);
            } else if !is_wanted && rescue.watched.remove(&spot) {
                let _ = rescue.lanes.remove(socket);
            }
        }
    }

    /// The sockets of captured servers come and go. One that we have closed and its worker has not goes
    /// on to wake us, and can't be taken out of the set: so there is a new set.
    fn forget_all_but(&mut self, present: &BTreeSet<Spot>) {
        // Without a descriptor to be had, the old one has to do until the next look.
        let Ok(lanes) = Poll::new() else { return };
        let was_armed = self.rescue.is_armed;
        self.arm(false);
        let rescue = &mut self.rescue;
        rescue.lanes = lanes;
        rescue.watched.clear();
        rescue.waits.retain(|spot, _| present.contains(spot));
        rescue.told.retain(|spot, _| present.contains(spot));
        rescue.relays.probes.retain(|spot, _| present.contains(spot));
        // The places of captured servers get new numbers for ever; those of LISTEN keep their count.
        let lent = self.listeners.lent_count();
        let stays = |listener: &usize| present.iter().any(|spot| spot.listener == *listener);
        rescue.relays.total.retain(|listener, _| *listener < lent || stays(listener));
        self.arm(was_armed);
    }

    /// Nobody waits any more where a worker has shut its socket, and nothing comes there.
    pub(in crate::master) fn read_ends(&mut self) {
        let (ended, outcome) = self.listeners.note_ends();
        for spot in ended {
            if self.rescue.watched.remove(&spot)
                && let Some(socket) = self.listeners.socket(spot)
            {
                let _ = self.rescue.lanes.remove(socket);
            }
            self.rescue.waits.remove(&spot);
            self.rescue.relays.probes.remove(&spot);
            let listener = self.listeners.name_of(spot.listener);
            debug!(target: "listener", listener, lane = spot.lane, "socket shut by its worker");
        }
        self.steered(|_| outcome);
    }

    pub(super) fn arm(&mut self, is_armed: bool) {
        if std::mem::replace(&mut self.rescue.is_armed, is_armed) != is_armed {
            let lanes = self.rescue.lanes.as_fd();
            let _ = if is_armed {
                self.poll.add(lanes, Source::Lanes.token(), Interest::Read)
            } else {
                self.poll.remove(lanes)
            };
        }
    }
}
