//! `doctor`'s part about capture: whether servers can be captured here, and who does not listen.

use dutch_master::{WorkerState, wire::control::Finding};

use super::{Master, doubtful, good, wrong};
use crate::{contract::Kind, sys::seccomp::Ability};

impl Master {
    pub(super) fn capture_findings(&self) -> Vec<Finding> {
        let is_captured = self.kit.kind == Kind::Capture;
        let trial = match &self.kit.trial {
            None => None,
            Some(Ok(Ability { is_undisturbed: false })) => Some(doubtful(
                "servers can be captured, but signals interrupt them: a fast timer starves a start"
                    .to_owned(),
                "Linux 5.19 or later",
            )),
            Some(Ok(_)) if is_captured => Some(good(
                "servers are captured, their workers have no_new_privs; CONTRACT=plain for neither"
                    .to_owned(),
            )),
            Some(Ok(_)) => Some(good("servers can be captured here".to_owned())),
            Some(Err(obstacle)) => Some(doubtful(
                format!("servers can't be captured here: {obstacle}"),
                obstacle.remedy(),
            )),
        };
        trial.into_iter().chain(self.missing_places()).collect()
    }

    fn missing_places(&self) -> Vec<Finding> {
        let Some(capture) = &self.listeners.capture else { return Vec::new() };
        let is_waiting = |state| matches!(state, WorkerState::Starting);
        let starting = self.fleet.workers().filter(|view| is_waiting(view.state));
        let missing = starting.filter_map(|view| {
            // One that has just begun has everything before it.
            let places = capture.missing(view.worker);
            let last = capture.has_listened(view.worker).then_some(places)?;
            (!last.is_empty()).then(|| (view.worker.get(), last.join(", ")))
        });
        let tell = |(worker, places)| {
            wrong(
                format!("worker {worker} does not listen on {places}, as others do"),
                "if its release has given that up: READY=delay:2s, or restart the container",
            )
        };
        missing.map(tell).collect()
    }
}
