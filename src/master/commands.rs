//! Signals to the master, and what they ask for.

use std::num::NonZeroU16;

use dutch_master::{Command, Urgency};
use tracing::{error, info};

use super::Master;
use crate::{config::Workers, sys::signals::Received};

/// Numbers of signal(7), the same on every architecture that we build for.
mod number {
    pub(super) const INT: i32 = 2;
    pub(super) const QUIT: i32 = 3;
    pub(super) const TERM: i32 = 15;
    pub(super) const CHLD: i32 = 17;
    pub(super) const TTIN: i32 = 21;
    pub(super) const TTOU: i32 = 22;
}

impl Master {
    pub(super) fn read_signals(&mut self) {
        for received in self.signals.drain() {
            self.on_signal(received);
        }
    }

    pub(super) fn on_signal(&mut self, received: Received) {
        let Received { signal, from, .. } = received;
        let is_restart = self.config.restart_signals.iter().any(|each| each.number() == signal);
        match signal {
            // The reaper looks in every turn.
            number::CHLD => {}
            _ if is_restart => self.request_roll(&format!("signal {signal}")),
            number::TERM | number::QUIT => self.request_stop(Urgency::Graceful, signal),
            number::INT => {
                self.interrupts = self.interrupts.saturating_add(1);
                let urgency =
                    if self.interrupts > 1 { Urgency::Immediate } else { Urgency::Graceful };
                self.request_stop(urgency, signal);
            }
            number::TTIN => self.request_scale(1),
            number::TTOU => self.request_scale(-1),
            _ => {
                let from = from.map(super::super::sys::Pid::get);
                info!(target: "master", signal, from, "signal forwarded");
                let workers = self.children.iter().filter(|(_, child)| child.is_program());
                workers.for_each(|(_, child)| child.signal(signal));
            }
        }
    }

    fn request_stop(&mut self, urgency: Urgency, signal: i32) {
        let is_first = !self.fleet.is_stopping();
        if is_first || urgency == Urgency::Immediate {
            let is_immediate = urgency == Urgency::Immediate;
            info!(target: "master", signal, immediate = is_immediate, "stopping");
            self.hurry_those_who_leave();
            self.record.remark("stopping", &format!("signal {signal}"));
        }
        self.hooks.release_boot();
        self.command(Command::Stop(urgency));
    }

    /// Workers on their way out wait for their clients to go by themselves; when everybody stops,
    /// it is for them to send the clients away. Node's have been told to disconnect already.
    pub(super) fn hurry_those_who_leave(&mut self) {
        if self.cluster.is_some() {
            return;
        }
        let leaves = |child: &super::children::Child| child.is_leaving || child.heard.farewell;
        let leaving: Vec<_> =
            self.children.iter().filter(|(_, child)| leaves(child)).map(|(id, _)| id).collect();
        for id in leaving {
            if let Some(child) = self.children.get_mut(id) {
                child.drain = None;
            }
            self.tell_to_stop(id);
        }
    }

    /// Starts a roll, unless a command has to say first how many workers there shall be.
    pub(super) fn request_roll(&mut self, why: &str) {
        if self.fleet.is_stopping() {
            return info!(target: "roll", why, "roll ignored: stopping");
        }
        info!(target: "roll", why, "roll requested");
        self.record.roll_asked(why, self.now);
        if self.config.num_workers_command.is_some() {
            self.ask_for_count();
        } else {
            self.roll();
        }
    }

    /// Takes a snapshot and rolls to it. Without a snapshot nothing changes.
    pub(super) fn roll(&mut self) {
        match self.sources.snapshot_in_time() {
            Ok(release) => {
                let path = release.path.display().to_string();
                self.command(Command::Restart);
                if let Some(generation) = self.fleet.wanted() {
                    info!(target: "roll", generation = generation.get(), directory = path, "release read");
                    self.releases.insert(generation, release);
                    self.record.snapshot_taken(Ok(generation));
                }
            }
            Err(problem) => {
                error!(target: "roll", %problem, "roll refused: the release can't be read");
                self.record.snapshot_taken(Err(format!("the release can't be read: {problem}")));
            }
        }
    }

    fn request_scale(&mut self, by: i32) {
        let target = i32::from(self.fleet.target()).saturating_add(by);
        let target = u16::try_from(target.max(1)).ok().and_then(NonZeroU16::new);
        self.scale_to(target.unwrap_or(NonZeroU16::MIN), "signal");
    }

    /// The size nearest to this one that the operator's settings allow.
    pub(super) fn within_bounds(&self, target: NonZeroU16) -> NonZeroU16 {
        match self.config.workers {
            Workers::Range { min, max } => target.clamp(min, max),
            Workers::Fixed(_) | Workers::Auto { .. } => target,
        }
    }

    /// Changes the size of the fleet, within the bounds that the operator has set.
    pub(super) fn scale_to(&mut self, target: NonZeroU16, why: &str) {
        let target = self.within_bounds(target);
        let before = self.fleet.target();
        if target.get() != before && !self.fleet.is_stopping() {
            let (workers, before) = (target.get(), before);
            info!(target: "master", workers, before, why, "scaling");
            self.record.remark("scaling", &format!("{before} → {workers} workers: {why}"));
            self.command(Command::Scale(target));
            self.store.shrink(workers);
            self.forget_captured_slots(workers.min(before));
        }
    }
}
