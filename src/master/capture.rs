//! The `capture` contract in the loop: what servers do unasked becomes facts and log lines.

use std::os::fd::OwnedFd;

use dutch_master::{Event, WorkerEvent, WorkerId};
use tracing::{info, warn};

use super::{Master, children::Told, launch::Name};
use crate::{
    contract::{
        Readiness,
        capture::{Capture, Newcomer, News},
    },
    sys::{Errno, reap::ExitStatus},
};

impl Master {
    pub(super) fn turn_capture(&mut self) {
        if let Some(capture) = &mut self.listeners.capture {
            capture.turn(self.now);
        }
        self.hear_capture();
    }

    pub(super) fn look_at_capture(&mut self) {
        if let Some(capture) = &mut self.listeners.capture {
            capture.tick(self.now);
        }
        self.hear_capture();
    }

    /// Takes in what captured servers have done.
    pub(super) fn hear_capture(&mut self) {
        let capture = self.listeners.capture.as_mut();
        for news in capture.map(Capture::take_news).unwrap_or_default() {
            match news {
                News::Event(id, WorkerEvent::Ready) => {
                    if self.readiness == Readiness::Listening {
                        self.on_ready(id);
                    }
                }
                News::Event(id, WorkerEvent::Disconnected) => self.hear_farewell(id),
                News::Event(id, event) => self.facts.push(Event::Worker(id, event)),
                News::Grown => self.watch_lanes(),
                News::Opened(address) => info!(target: "listener", address, "listening"),
                News::Closed(address) => info!(target: "listener", address, "closed"),
                News::Remark(id, remark) => {
                    info!(target: "worker", worker = id.get(), remark, "worker remarked");
                }
                News::Deaf(id, address) => {
                    let problem = "it polls its socket before it listens, or may do so: it would not hear the one that all share";
                    let remedy = "DUTCH_MASTER_BALANCE=slot";
                    warn!(target: "worker", worker = id.get(), address, problem, remedy, "worker refused a listener");
                }
                News::Astray(error) => {
                    warn!(target: "listener", %error, "connections can't be steered");
                }
            }
        }
    }

    /// Makes ready to capture a worker. Returns where its listener is to be sent.
    pub(super) fn expect_captured(&mut self, name: Name) -> Result<Option<OwnedFd>, Errno> {
        let incumbent = self.incumbent_of(name);
        let tag = self.listeners.tag_of(name.worker);
        let Name { worker, slot, generation, .. } = name;
        let newcomer = Newcomer { worker, slot, generation, incumbent, tag };
        let capture = self.listeners.capture.as_mut();
        capture.map(|capture| capture.enter(self.now, newcomer)).transpose()
    }

    /// A worker's process has ended, and may have been a program without servers.
    pub(super) fn captured_ended(&mut self, id: WorkerId, status: ExitStatus) {
        let child = self.children.get(id);
        // One that was told to go shows nothing of what it would have done.
        let is_own_end = child.is_some_and(|child| !child.is_leaving && child.told == Told::Nobody);
        if let Some(capture) = &mut self.listeners.capture {
            capture.ended(self.now, id, is_own_end && status.code() == Some(0));
        }
        self.hear_capture();
    }

    /// The fleet has so many slots from now on.
    pub(super) fn forget_captured_slots(&mut self, slots: u16) {
        if let Some(capture) = &mut self.listeners.capture {
            capture.forget_slots(slots);
        }
    }

    /// The fleet stops: what a worker closes from now on is closed to clients, too.
    pub(super) fn release_captured(&mut self) {
        if let Some(capture) = &mut self.listeners.capture {
            capture.release();
        }
    }

    /// What to look at when a captured server was not ready in time.
    pub(super) fn explain_silence(&self, id: WorkerId) {
        let Some(capture) = &self.listeners.capture else { return };
        if self.readiness != Readiness::Listening {
            return;
        }
        let missing = capture.missing(id).join(", ");
        let hint = if missing.is_empty() {
            "it called no listen(2) that we see; for a program without servers, or one that says \
             itself when it is ready, READY=delay:2s or READY=notify"
        } else {
            "workers before it listen there, and clients would be refused; for a release that gives \
             an address up, READY=delay:2s"
        };
        warn!(target: "worker", worker = id.get(), missing, hint, "worker never listened");
    }
}
