//! How a worker that accepts nobody is seen to accept again: by a connection of ours in its queue.

use std::time::Duration;

use tracing::debug;

use super::part;
use crate::{
    master::{
        Master,
        listeners::{Spot, View},
    },
    sys::relay,
};

impl Master {
    /// Keeps new connections away from a worker that accepts none, and puts a probe into its queue.
    pub(super) fn silence(&mut self, view: &View) {
        if !view.is_live {
            return;
        }
        self.send_probe(view.spot);
        // Without one nobody would ever see that it accepts again.
        if !view.is_deaf && self.rescue.relays.probes.contains_key(&view.spot) {
            self.steered(|listeners| listeners.set_deaf(view.spot, true));
            self.tell_of_deafness(view, true);
        }
    }

    pub(super) fn send_probe(&mut self, spot: Spot) {
        let Some(to) = self.listeners.near_address(spot.listener) else { return };
        if self.rescue.relays.probes.contains_key(&spot) {
            return;
        }
        let sent =
            relay::bind(to.ip()).and_then(|leg| self.rescue.relays.probe(spot, leg, self.now));
        if let Err(error) = sent {
            // The next look tries again.
            debug!(target: "listener", %error, "no probe for a worker that does not accept");
            return;
        }
        self.tell_guests();
        self.rescue.relays.connect_probe(spot, to);
    }

    /// Whether any lane is deaf. Each has a probe, lest nobody sees that it hears again.
    pub(super) fn renew_probes(&mut self) -> bool {
        let is_deaf = |view: &View| view.is_deaf && view.is_live;
        let spots: Vec<Spot> = self
            .listeners
            .views()
            .iter()
            .filter(|view| is_deaf(view))
            .map(|view| view.spot)
            .collect();
        for spot in &spots {
            self.send_probe(*spot);
        }
        !spots.is_empty() || !self.rescue.relays.probes.is_empty()
    }

    /// Steers in again who has taken the probe out of its queue.
    pub(super) fn revive(&mut self, views: &[View], limit: Duration) {
        let now = self.now;
        for view in views {
            let Some(probe) = self.rescue.relays.probes.get(&view.spot) else {
                // Its probe is lost, and another could not be sent.
                if view.is_deaf && view.is_live {
                    self.steered(|listeners| listeners.set_deaf(view.spot, false));
                    self.tell_of_deafness(view, false);
                }
                continue;
            };
            let is_old = now.saturating_sub(probe.sent) >= part(limit, 4);
            let is_taken = probe.is_answered || (is_old && view.waiting == 0);
            if !view.is_deaf || is_taken {
                self.rescue.relays.probes.remove(&view.spot);
            }
            if view.is_deaf && is_taken {
                self.steered(|listeners| listeners.set_deaf(view.spot, false));
                self.tell_of_deafness(view, false);
            }
        }
    }
}
