//! A server as a worker: how it is started and stopped, and what may be asked of it.

use crate::harness::{
    container::{ADDRESS, Container, Setup},
    load::Report,
};

/// Rolls in a row, with load on them.
const ROLLS: u32 = 5;
/// Enough to have requests in flight, and idle connections, whenever somebody is told to stop.
const LOAD: &str = "by=generation one-shot=4 keep-alive=2";

/// What becomes of connections that idle when the server is told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// They live until their clients have been told, or none is kept at all.
    Left,
    /// They are cut, and a request that is on its way just then has no answer.
    Cut,
}

/// A row of the table in README.md.
pub(crate) struct Server {
    pub(crate) command: &'static str,
    pub(crate) stop_signal: &'static str,
    pub(crate) ready: &'static str,
    pub(crate) idle: Idle,
}

impl Server {
    /// Two workers.
    pub(crate) fn setup(&self, balance: &str) -> Setup {
        Setup::command(self.command)
            .options("-e PYTHONPATH=/srv/python:/srv -e PYTHONDONTWRITEBYTECODE=1")
            .options("-e PYTHONUNBUFFERED=1 -w /srv")
            .set("LISTEN", &format!("http={ADDRESS}"))
            .set("CONTRACT", "systemd")
            .set("WORKERS", "2")
            .set("BALANCE", balance)
            .set("STOP_SIGNAL", self.stop_signal)
            .set("READY", self.ready)
            .set("KILL_TIMEOUT", "25s")
    }

    /// With one queue for all workers.
    #[track_caller]
    pub(crate) fn loses_nothing_on_a_shared_queue(&self) {
        self.loses_nothing("shared");
    }

    /// With a socket for each slot, away from which new connections are steered.
    #[track_caller]
    pub(crate) fn loses_nothing_in_slots(&self) {
        self.loses_nothing("slot");
    }

    #[track_caller]
    fn loses_nothing(&self, balance: &str) {
        let container = self.setup(balance).ready();
        judge(&roll_under_load(&container), self.idle);
        assert_eq!(container.stop().0, 0, "{}", container.tail());
    }
}

/// Rolls, waits each time until the new generation serves, and at the end until the old have gone.
#[track_caller]
pub(crate) fn roll_under_load(container: &Container) -> Report {
    let load = container.load(LOAD);
    for generation in 2..2 + ROLLS {
        container.signal("SIGUSR2");
        container.next_where(&format!("the roll to {generation}"), |entry| {
            entry.says("roll complete") && entry.field("generation") == Some(generation.to_string())
        });
    }
    old_workers_are_gone(container);
    load.finish()
}

/// Waits until only the two of the newest generation are left.
#[track_caller]
pub(crate) fn old_workers_are_gone(container: &Container) {
    container.until("two workers are left", |log| {
        let count = |message: &str| log.iter().filter(|entry| entry.says(message)).count();
        count("worker starting") == count("worker exited") + 2
    });
    assert!(container.said("killing worker").is_empty(), "{}", container.tail());
}

/// A connection per request loses nothing, whoever serves; one that is kept loses nothing but what
/// the server itself cuts.
#[track_caller]
pub(crate) fn judge(report: &Report, idle: Idle) {
    println!("{report}");
    assert!(report.number("/one_shot/requests") > 100.0, "too little load: {report}");
    assert!(report.number("/keep_alive/requests") > 50.0, "too little load: {report}");
    assert!(report.number("/one_shot/failed") == 0.0, "requests were lost: {report}");
    let lost = report.number("/keep_alive/failed");
    let cut = if idle == Idle::Cut { report.number("/keep_alive/classes/reused") } else { 0.0 };
    assert!(lost <= cut, "requests on kept connections were lost: {report}");
}
