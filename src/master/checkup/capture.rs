//! `doctor`'s part about capture: whether servers can be captured here, and who does not listen.

use dutch_master::{WorkerState, wire::control::Finding};

use super::{Master, doubtful, good, wrong};
use crate::{
    contract::Kind,
    sys::seccomp::{Ability, Obstacle},
};

/// What a trial has shown.
fn verdict(trial: Result<Ability, Obstacle>, is_captured: bool) -> Finding {
    match trial {
        Ok(Ability { is_undisturbed: false }) => doubtful(
            "servers can be captured, but signals interrupt them: a fast timer starves a start"
                .to_owned(),
            "Linux 5.19 or later",
        ),
        Ok(_) if is_captured => good(
            "servers are captured, their workers have no_new_privs; CONTRACT=plain for neither"
                .to_owned(),
        ),
        Ok(_) => good("servers can be captured here".to_owned()),
        Err(obstacle) => {
            doubtful(format!("servers can't be captured here: {obstacle}"), obstacle.remedy())
        }
    }
}

/// Where a worker does not listen though others do.
fn missing(worker: u64, places: &[String]) -> Option<Finding> {
    (!places.is_empty()).then(|| {
        wrong(
            format!("worker {worker} does not listen on {}, as others do", places.join(", ")),
            "if its release has given that up: READY=delay:2s, or restart the container",
        )
    })
}

impl Master {
    pub(super) fn capture_findings(&self) -> Vec<Finding> {
        let is_captured = self.kit.kind == Kind::Capture;
        let trial = self.kit.trial.map(|trial| verdict(trial, is_captured));
        trial.into_iter().chain(self.missing_places()).collect()
    }

    fn missing_places(&self) -> Vec<Finding> {
        let Some(capture) = &self.listeners.capture else { return Vec::new() };
        let is_waiting = |state| matches!(state, WorkerState::Starting);
        let starting = self.fleet.workers().filter(|view| is_waiting(view.state));
        // One that has just begun has everything before it.
        let begun = starting.filter(|view| capture.has_listened(view.worker));
        begun.filter_map(|view| missing(view.worker.get(), &capture.missing(view.worker))).collect()
    }
}

#[cfg(test)]
mod tests {
    use dutch_master::wire::control::Gravity;

    use super::*;
    use crate::sys::Errno;

    #[test]
    fn missing_rights_for_capture_are_found_with_what_to_change() {
        for (errno, finding, remedy) in [
            (1, "seccomp profile denies", "seccomp(2) allowed"),
            (16, "somebody else answers", "another runtime"),
            (22, "gVisor", "Linux 5.14"),
            (38, "no seccomp(2)", "Linux 5.14"),
        ] {
            let found = verdict(Err(Obstacle::Filter(Errno(errno))), false);
            assert_eq!(found.gravity, Gravity::Doubtful);
            assert!(found.finding.contains(finding) && found.remedy.contains(remedy), "{found:?}");
        }
        let disturbed = verdict(Ok(Ability { is_undisturbed: false }), true);
        assert!(disturbed.finding.contains("signals") && disturbed.remedy.contains("5.19"));
        for is_captured in [false, true] {
            let found = verdict(Ok(Ability { is_undisturbed: true }), is_captured);
            assert_eq!(found.gravity, Gravity::Good);
            assert_eq!(found.finding.contains("no_new_privs"), is_captured);
        }
    }

    #[test]
    fn a_captured_worker_that_does_not_listen_where_others_do_is_found() {
        let found = missing(2, &["0.0.0.0:80".into(), "0.0.0.0:81".into()]).unwrap();
        assert!(found.finding.contains("worker 2 does not listen on 0.0.0.0:80, 0.0.0.0:81"));
        assert!(found.remedy.contains("READY=delay"));
        assert_eq!(missing(2, &[]), None);
    }
}
