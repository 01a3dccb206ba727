//! The loop: read everything, tell the core, do what it says, log, sleep.
//!
//! ```text
//!        ┌──────────── wait: readable, or deadline ◀───────────────┐
//!        ▼                                                         │
//!  read all ─▶ facts ─▶ fleet.handle ─▶ fleet.tick ─▶ actions ─▶ obey, log
//! ```
//!
//! One thread. Nothing here waits but [`crate::sys::poll`], and nothing here decides who runs: that
//! is the fleet's. A worker, a hook or a client that misbehaves is bounded where it is read.

mod boot;
mod capacity;
mod capture;
mod checkup;
mod children;
mod choose;
mod client;
mod cluster;
mod commands;
mod control;
mod drains;
mod einhorn;
mod hooks;
mod http;
mod journal;
mod launch;
mod listeners;
mod measures;
mod numbers;
mod obey;
mod operators;
mod outfit;
mod output;
mod readiness;
mod reap;
mod record;
mod release;
mod rescue;
mod source;
mod state;
mod store;
mod victims;
mod watch;

use std::{collections::BTreeMap, time::Duration};

use dutch_master::{Command, Event, Fleet, Generation, Outcome, Timestamp};

use self::{
    capacity::Capacity,
    children::Children,
    einhorn::Einhorn,
    hooks::Hooks,
    launch::Kit,
    listeners::Listeners,
    operators::Operators,
    record::Record,
    release::{Release, Sources},
    rescue::Rescue,
    source::Source,
    store::Store,
    watch::Watch,
};
use crate::{
    config::Config,
    contract::{Readiness, capture::Capture, node::Cluster},
    log::{SharedSink, with_sink},
    sys::{
        clock,
        poll::{Interest, Poll, Readiness as Ready},
        signals::Signals,
    },
};

pub(crate) use boot::run;

/// Exit code of a stop that had to kill.
const EXIT_FORCED: u8 = 1;
/// How long a slow reader of our last lines holds up our end, at most.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How many times in one turn we ask for more than one batch of descriptors.
const BATCHES: usize = 8;

/// Everything that a running master holds.
#[derive(Debug)]
pub(crate) struct Master {
    config: Config,
    readiness: Readiness,
    fleet: Fleet,
    /// What happened in this turn, in order.
    facts: Vec<Event>,
    now: Duration,
    poll: Poll,
    signals: Signals,
    children: Children,
    listeners: Listeners,
    rescue: Rescue,
    sources: Sources,
    releases: BTreeMap<Generation, Release>,
    store: Store,
    hooks: Hooks,
    capacity: Capacity,
    watch: Option<Watch>,
    einhorn: Option<Einhorn>,
    /// The primary's side of Node's cluster, under the contract `node`.
    cluster: Option<Cluster>,
    stdout: SharedSink,
    stderr: SharedSink,
    /// How the last worker failed that was not told to go: the exit code if we give up.
    last_failure: u8,
    /// SIGINTs so far: the second one means "now".
    interrupts: u32,
    /// Until the fleet has come up once.
    is_booting: bool,
    exit: Option<u8>,
    record: Record,
    operators: Operators,
    /// Dropped last: the sockets in its directory remove their files first.
    kit: Kit,
}

impl Master {
    /// Runs until the fleet is gone. Returns the exit code.
    fn supervise(&mut self) -> u8 {
        // The first thought starts the first workers; nothing else would wake us.
        self.think();
        self.report_drops();
        loop {
            if let Some(code) = self.exit {
                for sink in [&self.stdout, &self.stderr] {
                    with_sink(sink, |sink| sink.finish(LAST_WORDS));
                }
                return code;
            }
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.read_all();
        self.now = clock::now();
        self.reap();
        self.look_at_the_clock();
        self.think();
        self.tell_operators();
        self.report_drops();
    }

    /// Waits for something to happen, and reads it.
    fn read_all(&mut self) {
        let mut patience = self.deadline().map(|at| at.saturating_sub(clock::now()));
        for _ in 0..BATCHES {
            // A failing epoll would be a defect of ours; the next turn tries again.
            let ready = self.poll.wait(patience).unwrap_or_default();
            self.now = clock::now();
            let is_all = ready.len() < Poll::BATCH;
            for Ready { token, .. } in ready {
                self.read(Source::from_token(token));
            }
            if is_all {
                return;
            }
            patience = Some(Duration::ZERO);
        }
    }

    fn read(&mut self, source: Source) {
        match source {
            Source::Signals => self.read_signals(),
            Source::Sink => self.flush(),
            Source::Watch => self.read_watch(),
            Source::Einhorn => self.accept_einhorn(),
            Source::EinhornClient(number) => self.read_einhorn(number),
            Source::Count => self.read_count(),
            Source::Cluster => self.turn_cluster(),
            Source::Capture => self.turn_capture(),
            Source::Control => self.accept_operators(),
            Source::Http => self.accept_http(),
            Source::Client(number) => self.read_client(number),
            Source::Lanes => self.read_lanes(),
            Source::Relays => self.turn_relays(),
            Source::Ends => self.read_ends(),
            Source::Exec(id) => self.read_exec(id),
            Source::Notify(id) => self.read_notify(id),
            Source::ReadyPipe(id) => self.read_ready_pipe(id),
            Source::Output(id, stream) => self.read_output(id, stream),
        }
    }

    /// Tells the core what happened and does what it says, until it says no more.
    fn think(&mut self) {
        let now = Timestamp::from_origin(self.now);
        loop {
            self.tell_fleet();
            if !self.hooks.is_boot_held() {
                self.fleet.tick(now);
            }
            while let Some(action) = self.fleet.next_action() {
                self.obey(action);
            }
            self.hear_cluster();
            self.hear_capture();
            if self.facts.is_empty() {
                break;
            }
        }
        let fleet = &self.fleet;
        self.releases.retain(|generation, _| fleet.needs(*generation));
    }

    /// Tells the core what happened so far.
    fn tell_fleet(&mut self) {
        let now = Timestamp::from_origin(self.now);
        for event in std::mem::take(&mut self.facts) {
            self.fleet.handle(now, event);
        }
    }

    /// Tells the core at once, so that whoever is answered next in this turn sees it done.
    fn command(&mut self, command: Command) {
        self.facts.push(Event::Command(command));
        self.tell_fleet();
    }

    /// When something must be done though nothing happens.
    fn deadline(&self) -> Option<Duration> {
        let fleet = self.fleet.deadline().map(|at| at.since(Timestamp::ORIGIN));
        let own = [
            fleet.filter(|_| !self.hooks.is_boot_held()),
            self.readiness_deadline(),
            self.drain_deadline(),
            self.hooks.deadline(),
            self.capacity.deadline(),
            self.watch.as_ref().and_then(Watch::deadline),
            self.orphan_deadline(),
            self.cluster.as_ref().and_then(Cluster::deadline),
            self.listeners.capture.as_ref().and_then(Capture::deadline),
            self.operators.deadline(),
            self.rescue.deadline(),
            self.einhorn.as_ref().and_then(|einhorn| einhorn.shut_until),
        ];
        own.into_iter().flatten().min()
    }

    fn look_at_the_clock(&mut self) {
        self.look_at_readiness();
        self.look_at_drains();
        self.look_at_orphaned_groups();
        self.look_at_hooks();
        self.look_at_capacity();
        self.look_at_watch();
        self.look_at_einhorn();
        self.look_at_cluster();
        self.look_at_capture();
        self.look_at_lanes();
        self.look_at_operators();
    }

    /// Writes what readers of our output take now, and waits for those that are slow.
    fn flush(&mut self) {
        for sink in [&self.stdout, &self.stderr] {
            let is_waiting = with_sink(sink, crate::sys::sink::Sink::flush);
            let token = Source::Sink.token();
            with_sink(sink, |sink| {
                // A file can't be polled, and never makes us wait.
                let _ = if is_waiting {
                    self.poll.add(&*sink, token, Interest::Write)
                } else {
                    self.poll.remove(&*sink)
                };
            });
        }
    }

    fn report_drops(&mut self) {
        let waiting = [&self.stdout, &self.stderr]
            .into_iter()
            .any(|sink| with_sink(sink, |sink| sink.is_waiting()));
        if waiting {
            self.flush();
        }
        for (sink, stream) in [(&self.stdout, "stdout"), (&self.stderr, "stderr")] {
            let lines =
                with_sink(sink, |sink| if sink.is_waiting() { 0 } else { sink.take_dropped() });
            if lines > 0 {
                tracing::warn!(target: "output", stream, lines, "lines dropped: the reader was too slow");
            }
        }
    }

    fn leave(&mut self, outcome: Outcome) {
        self.hooks.abandon_all();
        self.exit = Some(match outcome {
            Outcome::Stopped => 0,
            Outcome::Forced | Outcome::TimedOut => EXIT_FORCED,
            Outcome::GaveUp => self.last_failure,
        });
    }
}
