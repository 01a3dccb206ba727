//! `doctor`: what this container allows, and what is not as it should be, each with a remedy.

mod capture;

use std::{
    ffi::{OsStr, OsString},
    fs,
    time::Duration,
};

use dutch_master::{
    WorkerState,
    wire::control::{Finding, Gravity},
};

use super::{Master, choose};
use crate::{
    config::{Output, SurgeChoice},
    contract::{
        Kind, Readiness,
        program::{self, Program},
    },
    sys::{cgroup, host},
};

/// How long docker waits by itself between SIGTERM and SIGKILL.
const DOCKER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a worker may be starting before we wonder.
const LONG: Duration = Duration::from_secs(10);

fn wrong(finding: String, remedy: &str) -> Finding {
    Finding { gravity: Gravity::Wrong, finding, remedy: remedy.to_owned() }
}

fn doubtful(finding: String, remedy: impl Into<String>) -> Finding {
    Finding { gravity: Gravity::Doubtful, finding, remedy: remedy.into() }
}

fn good(finding: String) -> Finding {
    Finding { gravity: Gravity::Good, finding, remedy: String::new() }
}

/// A number that the kernel shows in a file.
fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn group_kill(facts: &cgroup::Facts) -> Option<Finding> {
    facts.is_oom_group.then(|| {
        doubtful(
            "memory.oom.group is set: one worker out of memory ends the whole container".to_owned(),
            "Kubernetes: singleProcessOOMKill, or MAX_MEMORY to be ahead of it",
        )
    })
}

impl Master {
    /// Everything that can be found out, the worst first.
    pub(super) fn check_up(&mut self) -> Vec<Finding> {
        let mut findings = self.readiness_findings();
        findings.extend(self.worker_findings());
        findings.extend(self.queue_findings());
        findings.extend(self.memory_findings());
        findings.extend([Self::place(), self.patience(), self.control_socket()]);
        findings.extend(self.rights());
        findings.extend(self.swallower());
        findings.extend(self.capture_findings());
        findings.sort_by_key(|finding| finding.gravity);
        findings
    }

    /// A Node program that starts another one keeps the cluster's channel for itself.
    fn swallower(&self) -> Option<Finding> {
        let path = self.sources.container.get(OsStr::new("PATH")).map(OsString::as_os_str);
        let head = |program: &OsStr| choose::head_of_program(program, path);
        match program::recognise(&self.config.command, &head) {
            Program::Swallower(name) => Some(doubtful(
                program::advice(name, &self.config.command),
                "write the command that it runs, such as node app.js",
            )),
            _ => None,
        }
    }

    fn readiness_findings(&self) -> Vec<Finding> {
        let (is_ready, why) = self.readiness_verdict();
        if is_ready {
            return vec![good(why)];
        }
        vec![wrong(why, "see the workers below, and `dutch-master events`")]
    }

    /// Workers that hang where wrappers make them hang.
    fn worker_findings(&self) -> Vec<Finding> {
        let is_waiting = |state| matches!(state, WorkerState::Starting);
        let starting = self.fleet.workers().filter(|view| is_waiting(view.state));
        let now = dutch_master::Timestamp::from_origin(self.now);
        let slow = starting.filter(|view| now.since(view.started_at) >= LONG);
        let names: Vec<&str> = self.listeners.queues().map(|(name, ..)| name).collect();
        slow.map(|view| {
            let worker = view.worker.get();
            match (&self.readiness, self.kit.kind) {
                (Readiness::Notify, _) => wrong(
                    format!(
                        "worker {worker} has not said READY=1 nor opened listener {}: behind npm or \
                         sh -c?",
                        names.join(", ")
                    ),
                    "start the program itself, or let its script end in `dutch-master exec -- \
                     COMMAND`, which puts LISTEN_PID right; or set READY=delay:2s or exec:COMMAND",
                ),
                (_, Kind::Node) => wrong(
                    format!("worker {worker} has not called listen()"),
                    "write `node app.js` in place of npm or sh -c, and see its output",
                ),
                _ => doubtful(format!("worker {worker} is not ready yet"), "see its output"),
            }
        })
        .collect()
    }

    fn queue_findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let most = number("/proc/sys/net/core/somaxconn");
        for listener in &self.config.listen {
            if let (Some(asked), Some(most)) = (listener.backlog, most)
                && u64::from(asked) > most
            {
                findings.push(doubtful(
                    format!("listener {}: backlog={asked} is cut to {most}", listener.name),
                    format!("docker run --sysctl net.core.somaxconn={asked}"),
                ));
            }
        }
        for listener in self.listener_states() {
            if let (Some(queue), Some(limit)) = (listener.queue, listener.limit)
                && queue > limit.div_ceil(2)
            {
                findings.push(doubtful(
                    format!("listener {}: {queue} of {limit} wait to be accepted", listener.name),
                    "more workers, or a larger backlog",
                ));
            }
        }
        findings
    }

    /// Whether a roll fits the container's memory.
    fn memory_findings(&mut self) -> Vec<Finding> {
        let facts = cgroup::facts(self.capacity.root());
        let mut findings = Vec::new();
        findings.extend(group_kill(&facts));
        if let Some(kills) = facts.oom_kills.filter(|kills| *kills > 0) {
            findings.push(doubtful(
                format!("the kernel has killed {kills} processes here for want of memory"),
                "a higher memory limit, fewer workers, or MAX_MEMORY",
            ));
        }
        let usages = self.workers();
        let largest = usages.iter().map(|worker| worker.memory).max().unwrap_or_default();
        let target = u64::from(self.fleet.target());
        let surge = match self.config.surge {
            SurgeChoice::Count(count) => u64::from(count.get()),
            SurgeChoice::All => target,
            SurgeChoice::Cpus => u64::from(super::capacity::cpus(&facts).0.get()).min(target),
            SurgeChoice::Percent(percent) => {
                target.saturating_mul(u64::from(percent.get())).div_ceil(100)
            }
        };
        let draining = self.config.max_draining.map_or(target, |most| u64::from(most.get()));
        let most =
            target.saturating_add(surge).saturating_add(draining).min(target.saturating_mul(3));
        let needs = largest.saturating_mul(most);
        match facts.memory_limit {
            Some(limit) if needs > limit => findings.push(doubtful(
                format!(
                    "a roll may need {} MiB for up to {most} workers, the limit is {} MiB",
                    needs >> 20,
                    limit >> 20
                ),
                "a higher memory limit, or a lower SURGE and MAX_DRAINING",
            )),
            Some(limit) => findings.push(good(format!(
                "a roll of up to {most} workers fits the memory limit of {} MiB",
                limit >> 20
            ))),
            None => findings.push(good("no memory limit".to_owned())),
        }
        findings
    }

    fn place() -> Finding {
        if host::is_pid_1() {
            return good("the master is PID 1".to_owned());
        }
        doubtful(
            format!("the master is PID {}, not 1", std::process::id()),
            "fine beside another init or with shareProcessNamespace; else drop docker's --init",
        )
    }

    fn patience(&self) -> Finding {
        let budget = self.config.shutdown_delay.saturating_add(self.config.stop_timeout);
        let (budget, advised) = (budget.as_secs(), budget.as_secs().saturating_add(5));
        let finding = format!("a stop may take {budget} s");
        if budget <= DOCKER_PATIENCE.as_secs() {
            return good(finding);
        }
        doubtful(
            format!("{finding}; docker stop waits for 10 s unless told otherwise"),
            format!("docker stop -t {advised}; terminationGracePeriodSeconds: {advised}"),
        )
    }

    fn control_socket(&self) -> Finding {
        match self.operators.path() {
            Some(path) => good(format!("the control socket is {}", path.display())),
            None => doubtful("there is no control socket".to_owned(), "CONTROL=auto or a path"),
        }
    }

    fn rights(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.listeners.has_lanes() && self.listeners.census().is_err() {
            findings.push(doubtful(
                "the kernel does not show connections here, so drains wait for a fixed time"
                    .to_owned(),
                "allow netlink sockets of the family sock_diag in the seccomp profile",
            ));
        }
        if number("/proc/sys/net/ipv4/tcp_migrate_req") == Some(0) && self.listeners.has_lanes() {
            findings.push(doubtful(
                "handshakes in progress stay with a worker that leaves (tcp_migrate_req is 0)"
                    .to_owned(),
                "docker run --sysctl net.ipv4.tcp_migrate_req=1",
            ));
        }
        if self.config.output == Output::Inherit {
            findings.push(good(
                "OUTPUT=inherit: events hold no last lines of a crashed worker".to_owned(),
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::{cgroup::Facts, group_kill};

    #[test]
    fn a_group_kill_is_found_and_its_absence_is_not() {
        let set = Facts { is_oom_group: true, ..Facts::default() };
        assert!(group_kill(&set).unwrap().finding.starts_with("memory.oom.group is set"));
        assert_eq!(group_kill(&Facts::default()), None);
    }
}
