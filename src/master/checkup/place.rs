//! `doctor`'s part about where we run: who is above us, who can ask us, and how long we have to stop.

use std::{ffi::OsStr, path::Path, time::Duration};

use dutch_master::wire::control::Finding;

use super::{Master, doubtful, good, wrong};
use crate::sys::local::{self, Visit};

/// How long `docker stop` and podman's wait by themselves between SIGTERM and SIGKILL.
const DOCKER: (&str, Duration) = ("docker stop", Duration::from_secs(10));
/// How long Kubernetes does.
const KUBERNETES: (&str, Duration) = ("Kubernetes", Duration::from_secs(30));
/// What a stop needs on top of its budget.
const MARGIN: u64 = 5;

fn rank(pid: u32) -> Finding {
    if pid == 1 {
        return good("the master is PID 1".to_owned());
    }
    doubtful(
        format!("the master is PID {pid}, not 1"),
        "fine beside another init or with shareProcessNamespace; else drop docker's --init",
    )
}

/// Nothing in a container shows how long it has: what is told is what it has unless told otherwise.
fn patience(budget: Duration, is_kubernetes: bool) -> Finding {
    let (who, patience) = if is_kubernetes { KUBERNETES } else { DOCKER };
    let (seconds, has) = (budget.as_secs(), patience.as_secs());
    let waits = format!("{who} waits for {has} s unless told otherwise");
    if budget < patience {
        return good(format!("a stop may take {seconds} s; {waits}"));
    }
    let advised = seconds.saturating_add(MARGIN);
    doubtful(
        format!("a stop may take {seconds} s; {waits}, which can't be seen from in here"),
        format!("docker stop -t {advised}; terminationGracePeriodSeconds: {advised}"),
    )
}

/// What a client finds at the control socket.
fn door(path: Option<&Path>, visit: impl FnOnce(&Path) -> Visit) -> Finding {
    const AGAIN: &str = "restart the container: a master makes its socket when it starts; let \
                         nothing else clear, mount over or write to that directory";
    let Some(path) = path else {
        return doubtful("there is no control socket".to_owned(), "CONTROL=auto or a path");
    };
    let name = path.display();
    let problem = match visit(path) {
        Visit::Ours => return good(format!("the control socket {name} answers")),
        Visit::Full => {
            return doubtful(
                format!("the control socket {name} has no room for more clients"),
                "fewer clients that connect and ask nothing",
            );
        }
        Visit::Closed => {
            return wrong(
                format!("nobody can reach the control socket {name}: permission denied"),
                "chmod 600 for the socket, and chmod u+x for each directory above it",
            );
        }
        Visit::Missing { has_directory: true } => "its file is gone".to_owned(),
        Visit::Missing { has_directory: false } => "its directory is gone".to_owned(),
        Visit::Deserted { is_socket: false } => "another file is in its place".to_owned(),
        Visit::Deserted { is_socket: true } => "nobody listens on what is in its place".to_owned(),
        Visit::Stranger(Some(pid)) => format!("process {pid} listens in its place"),
        Visit::Stranger(None) => "somebody outside of this container listens there".to_owned(),
        Visit::Failed(error) => error.to_string(),
    };
    wrong(format!("nobody can reach the control socket {name}: {problem}"), AGAIN)
}

impl Master {
    pub(super) fn place_findings(&self) -> [Finding; 3] {
        let budget = self.config.shutdown_delay.saturating_add(self.config.stop_timeout);
        let mark = OsStr::new("KUBERNETES_SERVICE_HOST");
        let is_kubernetes = self.sources.container.contains_key(mark);
        let path = self.operators.path().map(std::path::PathBuf::as_path);
        [rank(std::process::id()), patience(budget, is_kubernetes), door(path, local::visit)]
    }
}

#[cfg(test)]
mod tests {
    use dutch_master::wire::control::Gravity;

    use super::*;
    use crate::sys::Errno;

    #[test]
    fn not_to_be_pid_1_is_found() {
        let found = rank(7);
        assert!(found.finding.contains("PID 7, not 1") && found.remedy.contains("--init"));
        assert_eq!(rank(1), good("the master is PID 1".to_owned()));
    }

    #[test]
    fn a_budget_that_reaches_the_usual_patience_is_found() {
        let of = |seconds, is_kubernetes| patience(Duration::from_secs(seconds), is_kubernetes);
        let found = of(10, false);
        assert_eq!(found.gravity, Gravity::Doubtful);
        assert!(found.finding.contains("may take 10 s; docker stop waits for 10 s unless told"));
        assert!(found.finding.ends_with("can't be seen from in here"));
        assert!(found.remedy.contains("docker stop -t 15"));
        assert_eq!(of(9, false).gravity, Gravity::Good);
        assert_eq!(of(29, true).gravity, Gravity::Good);
        let found = of(30, true);
        assert!(found.finding.contains("Kubernetes waits for 30 s"), "{found:?}");
        assert!(found.remedy.contains("terminationGracePeriodSeconds: 35"));
    }

    #[test]
    fn a_control_socket_that_nobody_can_reach_is_found_with_the_reason() {
        let of = |visit| door(Some(Path::new("/run/x.sock")), |_| visit);
        assert_eq!(of(Visit::Ours), good("the control socket /run/x.sock answers".to_owned()));
        for (visit, reason, remedy) in [
            (Visit::Missing { has_directory: true }, "its file is gone", "restart"),
            (Visit::Missing { has_directory: false }, "its directory is gone", "restart"),
            (Visit::Deserted { is_socket: false }, "another file", "restart"),
            (Visit::Deserted { is_socket: true }, "nobody listens", "restart"),
            (Visit::Stranger(None), "outside of this container", "restart"),
            (Visit::Closed, "permission denied", "chmod u+x"),
            (Visit::Failed(Errno(40)), "nobody can reach", "restart"),
        ] {
            let found = of(visit);
            assert_eq!(found.gravity, Gravity::Wrong, "{found:?}");
            assert!(found.finding.contains(reason) && found.remedy.contains(remedy), "{found:?}");
        }
        assert_eq!(of(Visit::Full).gravity, Gravity::Doubtful);
        assert!(door(None, |_| Visit::Ours).remedy.contains("CONTROL=auto"));
    }
}
