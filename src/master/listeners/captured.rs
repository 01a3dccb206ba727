//! The sockets of captured servers, beside those of `LISTEN`: a worker may have both.

use std::time::Duration;

use dutch_master::WorkerId;

use super::Listeners;
use crate::{
    contract::capture::Capture,
    sys::{
        diag::{Port, Tag},
        sockets::AcceptQueue,
        steer::SteerError,
    },
};

impl Listeners {
    pub(super) fn set_captured_live(
        &mut self,
        worker: WorkerId,
        is_live: bool,
    ) -> Result<(), SteerError> {
        self.capture.as_mut().map_or(Ok(()), |capture| capture.set_live(worker, is_live))
    }

    pub(super) fn captured_leaves(&mut self, worker: WorkerId) -> Result<(), SteerError> {
        self.capture.as_mut().map_or(Ok(()), |capture| capture.leave(worker))
    }

    /// Some process has been forked that is no captured worker.
    pub(crate) fn forked(&mut self, now: Duration) {
        if let Some(capture) = &mut self.capture {
            capture.forked(now);
        }
    }

    /// The mark of a worker's connections, whichever of its sockets they came by.
    pub(crate) fn tag_of(&self, worker: WorkerId) -> Option<Tag> {
        let captured = || self.capture.as_ref()?.tag(worker);
        self.lane_of(worker).and_then(|lane| lane.tag).or_else(captured)
    }

    pub(super) fn every_port(&self) -> Vec<Port> {
        let captured = self.capture.iter().flat_map(Capture::ports);
        let mut ports: Vec<Port> = self.ports.iter().copied().chain(captured).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    pub(super) fn captured_queue_is_empty(&self, worker: WorkerId) -> bool {
        self.capture.as_ref().is_none_or(|capture| capture.has_empty_queue(worker))
    }

    /// Where captured servers listen, and their accept queues.
    pub(crate) fn captured_queues(&self) -> impl Iterator<Item = (String, Option<AcceptQueue>)> {
        self.capture.iter().flat_map(Capture::queues)
    }
}
