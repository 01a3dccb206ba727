//! The fleet that suffers, and what must be true of it afterwards.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    costs::Costs,
    harness::{Container, Releases, Setup, comes_true, docker_fails, load::Report, text_of},
};

/// Clients with a connection per request, and clients that keep theirs.
pub(crate) const CLIENTS: (u32, u32) = (4, 3);
/// Where the master takes orders.
pub(crate) const CONTROL: &str = "/tmp/control.sock";
/// How many workers there are in peace.
const WORKERS: usize = 3;
/// How many start at the same time.
const SURGE: usize = 2;
/// How many workers there are in the largest fleet.
pub(crate) const LARGEST: usize = 6;
/// How many there are at most: those who serve, those who start, and as many who leave as serve.
const MOST: usize = LARGEST + SURGE + LARGEST;

/// A container, its releases, and how many workers have died with work in their hands.
pub(crate) struct Fleet {
    pub(crate) container: Container,
    pub(crate) releases: Releases,
    pub(crate) deaths: u32,
    pub(crate) version: u32,
    /// Workers that will never run again.
    pub(crate) frozen: Vec<u64>,
}

impl Fleet {
    /// Three workers that talk much, a hook that needs a disk, and every timeout short.
    pub(crate) fn start(balance: &str) -> Self {
        let releases = Releases::new();
        releases.deploy("v0", "");
        // A worker reads its knobs where it was started: going back is of no use to one that reads them
        // in `current`.
        let worker = "boot=100 watchdog=400 chatter=64 linger=500";
        let container = Setup::new(worker)
            .options(&releases.volume())
            .options("--tmpfs /scratch:size=64k --pids-limit 200")
            .set("WORKERS", &WORKERS.to_string())
            .set("SURGE", &SURGE.to_string())
            .set("BALANCE", balance)
            .set("CONTROL", CONTROL)
            .set("CHDIR", "/srv/current")
            .set("BEFORE_FORK", "/probe write /scratch/mark")
            .set("OUTPUT", "lines")
            .set("WATCHDOG", "2s")
            .set("START_TIMEOUT", "3s")
            .set("KILL_TIMEOUT", "4s")
            .ready();
        Self { container, releases, deaths: 0, version: 0, frozen: vec![] }
    }

    /// Asks by `dutch-master WORDS`; whether the answer was yes, and what it was.
    pub(crate) fn ask(&self, words: &[&str]) -> (bool, String) {
        let words = [&["exec", self.container.id(), "/dutch-master"], words].concat();
        let output = docker_fails(&words);
        (output.status.success(), text_of(&output))
    }

    /// The status, where there is one to be had.
    pub(crate) fn status(&self) -> Option<Value> {
        let (is_there, text) = self.ask(&["status", "--json"]);
        is_there.then(|| serde_json::from_str(&text).ok()).flatten()
    }

    /// The pids of all workers in this state, as the container has them.
    pub(crate) fn pids(&self, state: &str) -> Vec<u64> {
        let status = self.status().unwrap_or_default();
        let workers = status["workers"].as_array().cloned().unwrap_or_default();
        let of_state = workers.iter().filter(|worker| worker["state"] == state);
        of_state.filter_map(|worker| worker["pid"].as_u64()).collect()
    }

    /// Waits until every slot has a worker that serves and that no deed has frozen.
    pub(crate) fn wait_for_everybody(&mut self) {
        self.until("everybody serves", || {
            let status = self.status().unwrap_or_default();
            let serving = self.pids("ready");
            let is_frozen = serving.iter().any(|pid| self.frozen.contains(pid));
            !is_frozen && Some(serving.len() as u64) >= status["target"].as_u64()
        });
        self.frozen.clear();
    }

    /// Makes the next release, whose workers also have these knobs, the current one.
    pub(crate) fn deploy(&mut self, knobs: &str) {
        self.version += 1;
        self.releases.deploy(&format!("v{}", self.version), knobs);
    }

    /// Brings peace: a good release on three workers, nobody else, and nothing left to do.
    pub(crate) fn settle(&mut self) {
        self.wait_for_everybody();
        let patience = Instant::now() + Duration::from_secs(60);
        self.deploy("");
        while !self.ask(&["scale", &WORKERS.to_string()]).0 {
            assert!(Instant::now() < patience, "{}", self.container.tail());
        }
        loop {
            let (is_done, told) = self.ask(&["reload", "--timeout", "30s"]);
            if is_done {
                break;
            }
            assert!(Instant::now() < patience, "{told}\n{}", self.container.tail());
        }
        self.until("the fleet is at rest", || self.is_at_rest());
    }

    fn is_at_rest(&self) -> bool {
        let Some(status) = self.status() else { return false };
        let workers = status["workers"].as_array().cloned().unwrap_or_default();
        let is_good = |worker: &Value| {
            worker["state"] == "ready" && worker["generation"] == status["generation"]
        };
        status["roll"].is_null()
            && workers.len() == WORKERS
            && workers.iter().all(is_good)
            && !self.container.processes().iter().any(|process| process[1] == "Z")
    }

    /// What it held before, it holds again, and no more.
    pub(crate) fn costs_no_more_than(&self, before: &Costs) {
        // The last client's connection may still be there for a moment.
        self.until("every descriptor is given back", || {
            Costs::of(&self.container).are_no_more_than(before, MOST)
        });
        let now = Costs::of(&self.container);
        println!("before {before:?}, now {now:?}");
        assert!(now.are_as_small_as(before), "{before:?} became {now:?}");
    }

    /// Waits for what must come true; if it does not, tells how everything stands.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, question: impl FnMut() -> bool) {
        assert!(
            comes_true(question),
            "waited in vain: {what}\n{}\n{:#}\n{:#?}",
            self.container.lines(400),
            self.status().unwrap_or_default(),
            Costs::of(&self.container),
        );
    }

    /// A worker that dies costs what it had taken: of each client one request. Everything else was
    /// answered, by a good release.
    pub(crate) fn judge(&self, report: &Report) {
        let count = |class: &str| {
            report.number(&format!("/one_shot/classes/{class}"))
                + report.number(&format!("/keep_alive/classes/{class}"))
        };
        let taken: f64 =
            ["reset_after_send", "no_answer", "truncated", "reused"].map(count).iter().sum();
        let most = f64::from(self.deaths * (CLIENTS.0 + CLIENTS.1));
        assert!(taken <= most, "{taken} of {most}: {report}\n{}", self.container.tail());
        let others = report.number("/failed") - taken;
        assert!(others == 0.0, "{others} lost: {report}\n{}", self.container.tail());
        assert!(report.number("/ok") > 500.0, "too little load to say anything: {report}");
        let newest = report.by(&format!("v{}", self.version));
        assert!(newest > 0, "the last release served nobody: {report}");
    }
}
