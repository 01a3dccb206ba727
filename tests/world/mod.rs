//! A world of made-up processes on a made-up clock, and everything that must hold in it.
//!
//! Processes have a [`Nature`]; the fleet's actions are obeyed as the kernel would; after every
//! event the world checks the rules a fleet may never break (`laws`).
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "shared by test binaries that each use a part"
)]

mod laws;
mod nature;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    time::Duration,
};

use dutch_master::{
    Action, Command, Event, Fleet, Generation, LeaveCause, Milestone, Outcome, Policy, Rules,
    SlotId, Timestamp, Urgency, WorkerEvent, WorkerId, WorkerState, WorkerView,
};
pub use nature::{Boot, Millis, Nature, ms, rules};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Drain(Millis),
    Term,
    Kill,
}

#[derive(Clone, Debug)]
struct Process {
    slot: SlotId,
    generation: Generation,
    nature: Nature,
    born: u64,
    started: Millis,
    ready_by: Option<Millis>,
    ready: Option<Millis>,
    heard: Millis,
    watchdog: Option<Millis>,
    asked: bool,
    proven: bool,
    left: Option<Millis>,
    told: Told,
    /// When it must be dead at the latest, once it has been told or has left.
    gone_by: Option<Millis>,
}

impl Process {
    fn serves(&self) -> bool {
        self.ready.is_some() && self.left.is_none() && self.told == Told::Nothing
    }

    fn starts(&self) -> bool {
        self.ready.is_none() && self.left.is_none() && self.told == Told::Nothing
    }

    fn leaves(&self) -> bool {
        self.left.is_some() || self.told != Told::Nothing
    }
}

/// A line of the story: what happened, and what the fleet made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Event(Millis, Option<Event>),
    Action(Action),
}

pub struct World {
    pub fleet: Fleet,
    pub now: Millis,
    pub target: u16,
    pub exit: Option<Outcome>,
    pub milestones: Vec<Milestone>,
    pub trace: Vec<Line>,
    pub natures: Vec<Nature>,
    rules: Rules,
    processes: BTreeMap<WorkerId, Process>,
    agenda: BTreeMap<(Millis, u64), (WorkerId, WorkerEvent)>,
    failures: BTreeSet<Generation>,
    given_up: BTreeSet<Generation>,
    kept: BTreeMap<SlotId, Generation>,
    /// When a slot, or a whole release on trial, last failed.
    failed: BTreeMap<(Option<SlotId>, Generation), Millis>,
    /// How many workers of a release have failed, or may yet, before any has lasted.
    charged: BTreeMap<Generation, usize>,
    proven: BTreeSet<Generation>,
    sung: BTreeSet<Generation>,
    /// Releases that were rolled out with something to go back to.
    careful: BTreeSet<Generation>,
    peak: u16,
    started: usize,
    clock: u64,
    last_restart: u64,
    excused: bool,
    stopped_at: Option<Millis>,
    is_forced: bool,
}

impl World {
    pub fn new(rules: Rules, workers: u16, natures: Vec<Nature>) -> Self {
        let policy = Policy::new(rules).expect("consistent rules");
        let mut world = Self {
            fleet: Fleet::new(policy, NonZeroU16::new(workers).unwrap()),
            now: 0,
            target: workers,
            exit: None,
            milestones: vec![],
            trace: vec![],
            natures,
            rules,
            processes: BTreeMap::new(),
            agenda: BTreeMap::new(),
            failures: BTreeSet::new(),
            given_up: BTreeSet::new(),
            kept: BTreeMap::new(),
            failed: BTreeMap::new(),
            charged: BTreeMap::new(),
            proven: BTreeSet::new(),
            sung: BTreeSet::new(),
            careful: BTreeSet::new(),
            peak: workers,
            started: 0,
            clock: 0,
            last_restart: 0,
            excused: false,
            stopped_at: None,
            is_forced: false,
        };
        world.turn(None);
        world
    }

    // What can be done to it.

    pub fn restart(&mut self) {
        self.clock += 1;
        (self.last_restart, self.excused) = (self.clock, false);
        if self.stopped_at.is_none() {
            self.failed.clear();
            self.kept.clear();
        }
        self.turn(Some(Event::Command(Command::Restart)));
    }

    pub fn scale(&mut self, workers: u16) {
        self.target = workers;
        self.peak = self.peak.max(workers);
        // A slot that is given up takes its history with it.
        self.failed.retain(|(slot, _), _| slot.is_none());
        self.turn(Some(Event::Command(Command::Scale(NonZeroU16::new(workers).unwrap()))));
    }

    pub fn stop(&mut self, urgency: Urgency) {
        self.stopped_at = self.stopped_at.or(Some(self.now));
        self.turn(Some(Event::Command(Command::Stop(urgency))));
    }

    /// Makes a process do something now.
    pub fn does(&mut self, id: WorkerId, event: WorkerEvent) {
        let (now, rules) = (self.now, self.rules);
        self.prove();
        let Some(process) = self.processes.get_mut(&id) else { return };
        let in_place = process.told == Told::Nothing && process.left.is_none();
        let fails = in_place && !process.proven && !process.asked;
        let (slot, of, proven) = (process.slot, process.generation, process.proven);
        match event {
            WorkerEvent::Ready if process.ready.is_some() || process.left.is_some() => return,
            WorkerEvent::Ready => (process.ready, process.heard) = (Some(now), now),
            WorkerEvent::Disconnected if in_place => {
                process.left = Some(now);
                process.gone_by = Some(now + ms(rules.kill_timeout));
            }
            WorkerEvent::RestartRequested
            | WorkerEvent::Recycle(_)
            | WorkerEvent::WatchdogFailed => process.asked |= in_place,
            WorkerEvent::Alive => process.heard = now,
            WorkerEvent::WatchdogInterval(interval) => {
                process.heard = now;
                process.watchdog = Some(ms(interval)).filter(|&interval| interval > 0);
            }
            WorkerEvent::StartTimeoutExtended(by) if process.starts() => {
                process.ready_by = process.ready_by.map(|at| at.max(now + ms(by)));
            }
            _ => {}
        }
        self.consequences(id, event);
        match event {
            WorkerEvent::Disconnected | WorkerEvent::Exited if in_place && proven => {
                self.failed.retain(|&(place, _), _| place != Some(slot));
            }
            WorkerEvent::Disconnected
            | WorkerEvent::Exited
            | WorkerEvent::RestartRequested
            | WorkerEvent::Recycle(_)
            | WorkerEvent::WatchdogFailed
                if fails =>
            {
                self.note_failure(slot, of);
            }
            _ => {}
        }
        if event == WorkerEvent::Exited {
            self.processes.remove(&id);
        }
        self.turn(Some(Event::Worker(id, event)));
    }

    /// What a process plans to do because it has done something.
    fn consequences(&mut self, id: WorkerId, event: WorkerEvent) {
        let process = &self.processes[&id];
        let nature = process.nature;
        match event {
            WorkerEvent::Ready => {
                let later = |at: Option<Millis>, event| at.map(|at| (at, event));
                let speaks = nature.falls_silent != Some(0);
                let sign = process.watchdog.filter(|_| speaks).map(|every| every / 2);
                let plans = [
                    later(nature.dies, WorkerEvent::Exited),
                    later(nature.disconnects, WorkerEvent::Disconnected),
                    later(nature.asks, WorkerEvent::RestartRequested),
                    later(nature.swells, WorkerEvent::Recycle(dutch_master::Recycle::Memory)),
                    later(nature.trips, WorkerEvent::WatchdogFailed),
                    later(sign, WorkerEvent::Alive),
                ];
                for (at, event) in plans.into_iter().flatten() {
                    self.plan(at, id, event);
                }
            }
            WorkerEvent::Alive => {
                let age = self.now - process.ready.unwrap_or(self.now);
                let quiet = nature.falls_silent.is_some_and(|at| age >= at);
                if let Some(every) = process.watchdog.filter(|_| !quiet) {
                    self.plan((every / 2).max(1), id, WorkerEvent::Alive);
                }
            }
            _ => {}
        }
    }

    pub fn ids(&self) -> Vec<WorkerId> {
        self.processes.keys().copied().collect()
    }

    pub fn states(&self) -> Vec<WorkerState> {
        self.fleet.workers().map(|view| view.state).collect()
    }

    pub fn generations(&self) -> Vec<Generation> {
        self.fleet.workers().map(|view| view.generation).collect()
    }

    pub fn serving(&self) -> usize {
        self.processes.values().filter(|process| process.serves()).count()
    }

    pub fn count(&self) -> usize {
        self.processes.len()
    }

    /// How often something has been done.
    pub fn told(&self, what: &str) -> usize {
        let is_it = |line: &&Line| matches!(line, Line::Action(action) if format!("{action:?}").contains(what));
        self.trace.iter().filter(is_it).count()
    }

    /// Lets time pass.
    pub fn wait(&mut self, millis: Millis) {
        let until = self.now + millis;
        while let Some(next) = self.next_moment().filter(|&next| next <= until) {
            self.advance(next);
        }
        self.now = until;
        let told = self.trace.len();
        self.turn(None);
        assert_eq!(self.trace.len(), told + 1, "something is done that no deadline was set for");
    }

    /// Lets time pass until something happens. Returns whether anything ever will.
    pub fn step(&mut self) -> bool {
        self.next_moment().map(|next| self.advance(next)).is_some()
    }

    fn next_moment(&self) -> Option<Millis> {
        let alarm = self.fleet.deadline().map(|at| ceil(at.since(Timestamp::ORIGIN)));
        alarm.into_iter().chain(self.agenda.keys().next().map(|&(at, _)| at)).min()
    }

    fn advance(&mut self, to: Millis) {
        self.now = self.now.max(to);
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now)
        {
            let (id, event) = entry.remove();
            self.does(id, event);
        }
        self.turn(None);
    }

    fn plan(&mut self, after: Millis, id: WorkerId, event: WorkerEvent) {
        self.clock += 1;
        self.agenda.insert((self.now + after, self.clock), (id, event));
    }

    // One turn of the fleet.

    fn turn(&mut self, event: Option<Event>) {
        self.prove();
        let newly_ready = matches!(event, Some(Event::Worker(_, WorkerEvent::Ready)));
        let before = self.serving() - usize::from(newly_ready && self.is_serving(event));
        let now = Timestamp::from_origin(Duration::from_millis(self.now));
        self.trace.push(Line::Event(self.now, event));
        match event {
            Some(event) => self.fleet.handle(now, event),
            None => self.fleet.tick(now),
        }
        while let Some(action) = self.fleet.next_action() {
            self.trace.push(Line::Action(action));
            self.obey(action);
        }
        self.check(before);
        self.fleet.tick(now);
        assert_eq!(self.fleet.next_action(), None, "a second tick had more to say");
    }

    fn is_serving(&self, event: Option<Event>) -> bool {
        match event {
            Some(Event::Worker(id, _)) => self.processes.get(&id).is_some_and(Process::serves),
            _ => false,
        }
    }

    fn obey(&mut self, action: Action) {
        assert_eq!(self.exit, None, "an action after the exit");
        match action {
            Action::Start { worker, slot, generation, .. } => self.spawn(worker, slot, generation),
            Action::Drain { worker, cause } => self.drain(worker, cause),
            Action::Terminate { worker, cause } => self.terminate(worker, cause),
            Action::Kill { worker, cause } => self.kill(worker, cause),
            Action::Announce(milestone) => self.hear(milestone),
            Action::Exit(outcome) => self.exit = Some(outcome),
        }
    }

    fn drain(&mut self, id: WorkerId, cause: LeaveCause) {
        let gone_by = self.patience(cause);
        let process = self.processes.get_mut(&id).expect("drains a live process");
        assert!(process.serves(), "drains one that does not serve");
        if cause == LeaveCause::Stop {
            let delay = ms(self.rules.shutdown_delay);
            assert!(self.now >= self.stopped_at.unwrap() + delay, "drains before the delay");
        }
        process.told = Told::Drain(self.now);
        process.gone_by = Some(gone_by);
        let (nature, of) = (process.nature, process.generation);
        if cause == LeaveCause::Surplus && !process.proven && !process.asked {
            *self.charged.entry(of).or_default() -= 1;
        }
        for (after, event) in [
            (nature.exits_on_drain, WorkerEvent::Exited),
            (nature.is_drained, WorkerEvent::Drained),
        ] {
            if let Some(after) = after {
                self.plan(after, id, event);
            }
        }
    }

    fn terminate(&mut self, id: WorkerId, cause: LeaveCause) {
        let gone_by = self.patience(cause);
        let process = self.processes.get_mut(&id).expect("terminates a live process");
        assert!(matches!(process.told, Told::Nothing | Told::Drain(_)), "firmer only");
        process.gone_by = process.gone_by.or(Some(gone_by));
        process.told = Told::Term;
        let (nature, slot, of, asked) =
            (process.nature, process.slot, process.generation, process.asked);
        if let Some(after) = nature.exits_on_term {
            self.plan(after, id, WorkerEvent::Exited);
        }
        match cause {
            LeaveCause::Late if !asked => self.note_failure(slot, of),
            LeaveCause::Surplus | LeaveCause::Withdrawn if !asked => {
                *self.charged.entry(of).or_default() -= 1;
            }
            _ => {}
        }
    }

    fn kill(&mut self, id: WorkerId, cause: LeaveCause) {
        let process = self.processes.get_mut(&id).expect("kills a live process");
        if cause != LeaveCause::Immediate {
            assert_eq!(process.told, Told::Term, "the stop signal comes first");
            let in_time = process.gone_by.is_some_and(|at| self.now >= at);
            assert!(in_time || self.fleet.is_stopping(), "killed before its time");
        }
        assert_ne!(process.told, Told::Kill, "killed twice");
        process.told = Told::Kill;
        self.is_forced |= self.stopped_at.is_some();
        self.plan(1, id, WorkerEvent::Exited);
    }

    fn patience(&self, cause: LeaveCause) -> Millis {
        let is_stop = cause == LeaveCause::Stop;
        let time = if is_stop { self.rules.stop_timeout } else { self.rules.kill_timeout };
        self.now + ms(time)
    }

    fn hear(&mut self, milestone: Milestone) {
        match milestone {
            Milestone::RollFailed { from, to } => {
                self.failures.insert(from);
                self.failed.remove(&(None, from));
                self.given_up.extend(to.map(|_| from));
                self.excused = true;
                if to.is_none() {
                    let stays = |view: &WorkerView| {
                        matches!(view.state, WorkerState::Ready | WorkerState::Retiring)
                            && view.reason.is_none()
                            && Some(view.generation) != self.fleet.wanted()
                    };
                    let stays = self.fleet.workers().filter(stays);
                    self.kept = stays.map(|view| (view.slot, view.generation)).collect();
                }
            }
            Milestone::CanaryReady(of) => assert!(self.sung.insert(of), "sang twice"),
            Milestone::AllReady(of) => {
                let again = self.milestones.contains(&Milestone::AllReady(of));
                assert!(!again, "all ready twice");
            }
            Milestone::RollStarted { from: Some(_), to } => drop(self.careful.insert(to)),
            Milestone::Settled(of) => drop(self.failed.remove(&(None, of))),
            Milestone::RollStarted { .. } => {}
        }
        self.milestones.push(milestone);
    }

    fn spawn(&mut self, id: WorkerId, slot: SlotId, generation: Generation) {
        let nature = self.natures[self.started % self.natures.len()];
        self.started += 1;
        self.clock += 1;
        let process = Process {
            slot,
            generation,
            nature,
            born: self.clock,
            started: self.now,
            ready_by: self.rules.start_timeout.map(|time| self.now + ms(time)),
            ready: None,
            heard: self.now,
            watchdog: self.rules.watchdog.map(ms),
            asked: false,
            proven: false,
            left: None,
            told: Told::Nothing,
            gone_by: None,
        };
        *self.charged.entry(generation).or_default() += 1;
        assert!(self.processes.insert(id, process).is_none(), "a name used twice");
        self.check_start(slot, generation);
        if let Some(by) = nature.extends {
            self.plan(1, id, WorkerEvent::StartTimeoutExtended(Duration::from_millis(by)));
        }
        match nature.boot {
            Boot::Ready(after) => self.plan(after, id, WorkerEvent::Ready),
            Boot::Dies(after) => self.plan(after, id, WorkerEvent::Exited),
            Boot::Hangs if self.rules.start_timeout.is_none() => {
                self.plan(500, id, WorkerEvent::Exited);
            }
            Boot::Hangs => {}
        }
    }
}

impl Drop for World {
    /// What led to a failed assertion.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.trace.iter().for_each(|line| println!("{line:?}"));
        }
    }
}

fn ceil(duration: Duration) -> Millis {
    duration.as_micros().div_ceil(1000).try_into().unwrap()
}
