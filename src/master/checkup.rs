//! `doctor`: what this container allows, and what is not as it should be, each with a remedy.

mod capture;
mod memory;
mod network;
mod place;
mod workers;

use std::{
    ffi::{OsStr, OsString},
    fs,
};

use dutch_master::wire::control::{Finding, Gravity};

use super::{Master, choose};
use crate::{
    config::Output,
    contract::{
        Kind,
        program::{self, Program},
    },
};

fn wrong(finding: String, remedy: impl Into<String>) -> Finding {
    Finding { gravity: Gravity::Wrong, finding, remedy: remedy.into() }
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

/// A Node program that starts another one keeps for itself what its child would need.
fn swallower(program: Program, command: &[OsString], kind: Kind) -> Option<Finding> {
    let Program::Swallower(name) = program else { return None };
    let finding = match kind {
        // Whose child it is does not matter.
        Kind::Capture => return None,
        Kind::Systemd => format!("{name} in between passes no listener on to the server it starts"),
        Kind::Node | Kind::Plain => program::advice(name, command),
    };
    Some(doubtful(finding, "write the command that it runs, such as node app.js"))
}

impl Master {
    /// Everything that can be found out, the worst first.
    pub(super) fn check_up(&mut self) -> Vec<Finding> {
        let mut findings = self.readiness_findings();
        findings.extend(self.worker_findings());
        findings.extend(self.network_findings());
        findings.extend(self.memory_findings());
        findings.extend(self.place_findings());
        let program = choose::recognised(&self.config, self.path());
        findings.extend(swallower(program, &self.config.command, self.kit.kind));
        findings.extend(self.capture_findings());
        if self.config.output == Output::Inherit {
            findings.push(good(
                "OUTPUT=inherit: events hold no last lines of a crashed worker".to_owned(),
            ));
        }
        findings.sort_by_key(|finding| finding.gravity);
        findings
    }

    fn path(&self) -> Option<&OsStr> {
        self.sources.container.get(OsStr::new("PATH")).map(OsString::as_os_str)
    }

    fn readiness_findings(&self) -> Vec<Finding> {
        let (is_ready, why) = self.readiness_verdict();
        if is_ready {
            return vec![good(why)];
        }
        vec![wrong(why, "see the workers below, and `dutch-master events`")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_in_between_is_found_unless_its_child_is_captured() {
        let of = |program, kind| swallower(program, &["npm".into(), "start".into()], kind);
        let found = of(Program::Swallower("npm"), Kind::Plain).unwrap();
        assert!(found.finding.contains("npm start starts the server through npm"), "{found:?}");
        assert!(found.remedy.contains("node app.js"));
        let found = of(Program::Swallower("nodemon"), Kind::Systemd).unwrap();
        assert!(found.finding.contains("nodemon in between passes no listener on"), "{found:?}");
        assert_eq!(of(Program::Swallower("npm"), Kind::Capture), None);
        for program in [Program::Node, Program::Other] {
            assert_eq!(of(program, Kind::Plain), None);
        }
    }
}
