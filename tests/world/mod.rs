//! A world of made-up processes on a made-up clock, and everything that must hold in it.
//!
//! Processes have a [`Nature`]; the fleet's actions are obeyed as the kernel would; after every
//! event the world checks the rules a fleet may never break.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "shared by test binaries that each use a part"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use dutch_master::{
    Action, Command, Event, Fleet, Generation, Milestone, Outcome, Policy, Rules, SlotId,
    Timestamp, Urgency, WorkerEvent, WorkerId, WorkerState,
};

pub type Millis = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    Ready(Millis),
    Dies(Millis),
    Hangs,
}

/// How a process behaves. `None` means it never does.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    pub boot: Boot,
    pub exits_on_drain: Option<Millis>,
    pub exits_on_term: Option<Millis>,
    pub dies: Option<Millis>,
    pub disconnects: Option<Millis>,
    pub asks: Option<Millis>,
}

impl Nature {
    pub const GOOD: Self = Self {
        boot: Boot::Ready(10),
        exits_on_drain: Some(10),
        exits_on_term: Some(5),
        dies: None,
        disconnects: None,
        asks: None,
    };
    /// Does only what the test says.
    pub const PUPPET: Self =
        Self { boot: Boot::Hangs, exits_on_drain: None, exits_on_term: None, ..Self::GOOD };
}

pub fn rules() -> Rules {
    let ms = Duration::from_millis;
    Rules {
        surge: NonZeroU16::MIN,
        start_timeout: ms(1_000),
        drain_timeout: ms(500),
        term_timeout: ms(200),
        stop_timeout: ms(1_000),
        min_uptime: ms(100),
        backoff_base: ms(50),
        backoff_cap: ms(400),
        failure_limit: NonZeroU32::new(3).unwrap(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Drain(Millis),
    Term(Millis),
    Kill,
}

#[derive(Clone, Debug)]
struct Process {
    slot: SlotId,
    nature: Nature,
    born: u64,
    started: Millis,
    ready: Option<Millis>,
    left: Option<Millis>,
    told: Told,
}

impl Process {
    fn serves(&self) -> bool {
        self.ready.is_some() && self.left.is_none() && self.told == Told::Nothing
    }
}

pub struct World {
    pub fleet: Fleet,
    pub now: Millis,
    pub target: u16,
    pub exit: Option<Outcome>,
    pub milestones: Vec<Milestone>,
    pub trace: Vec<String>,
    pub natures: Vec<Nature>,
    rules: Rules,
    processes: BTreeMap<WorkerId, Process>,
    agenda: BTreeMap<(Millis, u64), (WorkerId, WorkerEvent)>,
    asked: BTreeSet<WorkerId>,
    given_up: BTreeSet<Generation>,
    failed: BTreeMap<SlotId, Millis>,
    started: usize,
    clock: u64,
    last_restart: u64,
    excused: bool,
    stopping: bool,
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
            asked: BTreeSet::new(),
            given_up: BTreeSet::new(),
            failed: BTreeMap::new(),
            started: 0,
            clock: 0,
            last_restart: 0,
            excused: false,
            stopping: false,
        };
        world.turn(None);
        world
    }

    // What can be done to it.

    pub fn restart(&mut self) {
        self.clock += 1;
        (self.last_restart, self.excused) = (self.clock, false);
        self.failed.clear();
        self.turn(Some(Event::Command(Command::Restart)));
    }

    pub fn scale(&mut self, workers: u16) {
        self.target = workers;
        self.failed.clear();
        self.turn(Some(Event::Command(Command::Scale(NonZeroU16::new(workers).unwrap()))));
    }

    pub fn stop(&mut self, urgency: Urgency) {
        self.stopping = true;
        self.turn(Some(Event::Command(Command::Stop(urgency))));
    }

    /// Makes a process do something now.
    pub fn does(&mut self, id: WorkerId, event: WorkerEvent) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        let unproven = process.ready.is_none_or(|at| at + ms(self.rules.min_uptime) > self.now);
        let fails = process.told == Told::Nothing && process.left.is_none() && unproven;
        match event {
            WorkerEvent::Ready if process.ready.is_some() || process.left.is_some() => return,
            WorkerEvent::Ready => process.ready = Some(self.now),
            WorkerEvent::Disconnected => process.left = process.left.or(Some(self.now)),
            WorkerEvent::RestartRequested => {
                if process.told == Told::Nothing && process.left.is_none() {
                    self.asked.insert(id);
                }
            }
            WorkerEvent::Exited => {}
        }
        if fails && matches!(event, WorkerEvent::Disconnected | WorkerEvent::Exited) {
            self.failed.insert(process.slot, self.now);
        }
        if event == WorkerEvent::Exited {
            self.processes.remove(&id);
        }
        self.turn(Some(Event::Worker(id, event)));
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

    /// Lets time pass.
    pub fn wait(&mut self, millis: Millis) {
        let until = self.now + millis;
        while let Some(next) = self.next_moment().filter(|&next| next <= until) {
            self.advance(next);
        }
        self.now = until;
        self.turn(None);
    }

    /// Lets time pass until something happens. Returns whether anything ever will.
    pub fn step(&mut self) -> bool {
        self.next_moment().map(|next| self.advance(next)).is_some()
    }

    fn next_moment(&self) -> Option<Millis> {
        let alarm = self.fleet.deadline().map(|at| ms(at.since(Timestamp::ORIGIN)));
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
        let newly_ready = matches!(event, Some(Event::Worker(_, WorkerEvent::Ready)));
        let before = self.serving() - usize::from(newly_ready && self.is_serving(event));
        let now = Timestamp::from_origin(Duration::from_millis(self.now));
        self.trace.push(format!("{:>6} {event:?}", self.now));
        match event {
            Some(event) => self.fleet.handle(now, event),
            None => self.fleet.tick(now),
        }
        while let Some(action) = self.fleet.next_action() {
            self.trace.push(format!("       -> {action:?}"));
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
            Action::Start { worker, slot, generation } => self.spawn(worker, slot, generation),
            Action::Drain(id) => {
                let process = self.processes.get_mut(&id).expect("drains a live process");
                assert!(process.serves(), "drains one that does not serve");
                process.told = Told::Drain(self.now);
                if let Some(after) = process.nature.exits_on_drain {
                    self.plan(after, id, WorkerEvent::Exited);
                }
            }
            Action::Terminate(id) => {
                let process = self.processes.get_mut(&id).expect("terminates a live process");
                assert!(matches!(process.told, Told::Nothing | Told::Drain(_)), "firmer only");
                if process.ready.is_none()
                    && self.now >= process.started + ms(self.rules.start_timeout)
                {
                    self.failed.insert(process.slot, self.now);
                }
                process.told = Told::Term(self.now);
                if let Some(after) = process.nature.exits_on_term {
                    self.plan(after, id, WorkerEvent::Exited);
                }
            }
            Action::Kill(id) => {
                let process = self.processes.get_mut(&id).expect("kills a live process");
                assert!(matches!(process.told, Told::Term(_)), "SIGTERM comes first");
                process.told = Told::Kill;
                self.plan(1, id, WorkerEvent::Exited);
            }
            Action::Announce(milestone) => {
                if let Milestone::RollFailed { from, .. } = milestone {
                    self.given_up.insert(from);
                    self.excused = true;
                    self.failed.clear();
                }
                self.milestones.push(milestone);
            }
            Action::Exit(outcome) => self.exit = Some(outcome),
        }
    }

    fn spawn(&mut self, id: WorkerId, slot: SlotId, generation: Generation) {
        assert!(!self.stopping, "starts a worker while stopping");
        assert_eq!(Some(generation), self.fleet.wanted(), "starts what is not wanted");
        let nature = self.natures[self.started % self.natures.len()];
        self.started += 1;
        self.clock += 1;
        let process = Process {
            slot,
            nature,
            born: self.clock,
            started: self.now,
            ready: None,
            left: None,
            told: Told::Nothing,
        };
        assert!(self.processes.insert(id, process).is_none(), "a name used twice");
        let here = |process: &&Process| process.slot == slot;
        let starting =
            |p: &Process| p.ready.is_none() && p.left.is_none() && p.told == Told::Nothing;
        let rivals = self.processes.values().filter(here).filter(|p| starting(p)).count();
        assert_eq!(rivals, 1, "two starting in one slot");
        if self.processes.values().filter(here).any(Process::serves) {
            let lingering = self.processes.values().filter(|p| p.told != Told::Kill).count();
            let most = usize::from(self.target) + usize::from(self.rules.surge.get());
            assert!(lingering <= most, "a handover with {lingering} processes, {most} allowed");
        }
        if let Some(failed) = self.failed.remove(&slot) {
            let waited = self.now - failed;
            assert!(waited >= ms(self.rules.backoff_base), "restarted after only {waited} ms");
        }
        match nature.boot {
            Boot::Ready(after) => {
                self.plan(after, id, WorkerEvent::Ready);
                let later = |at: Option<Millis>| at.map(|at| at + after);
                for (at, event) in [
                    (later(nature.dies), WorkerEvent::Exited),
                    (later(nature.disconnects), WorkerEvent::Disconnected),
                    (later(nature.asks), WorkerEvent::RestartRequested),
                ] {
                    if let Some(at) = at {
                        self.plan(at, id, event);
                    }
                }
            }
            Boot::Dies(after) => self.plan(after, id, WorkerEvent::Exited),
            Boot::Hangs => {}
        }
    }

    // What must hold.

    /// Safety: after every turn.
    fn check(&self, serving_before: usize) {
        let known: BTreeSet<_> = self.fleet.workers().map(|view| view.worker).collect();
        let alive: BTreeSet<_> = self.processes.keys().copied().collect();
        if self.exit.is_none() {
            assert_eq!(known, alive, "every process is known once, and every known one is real");
        }
        assert_eq!(known.len(), self.fleet.workers().count(), "a worker in two places");
        for view in self.fleet.workers() {
            let serves = matches!(view.state, WorkerState::Ready | WorkerState::Retiring);
            assert_eq!(serves, self.processes[&view.worker].serves(), "{view:?}");
            let hopeful = view.state == WorkerState::Starting;
            assert!(!hopeful || !self.given_up.contains(&view.generation), "{view:?} given up on");
        }
        if !self.stopping && self.exit.is_none() {
            let least = serving_before.min(self.target.into());
            let serving = self.serving();
            assert!(serving >= least, "we took {serving_before} serving workers to {serving}");
        }
        for (id, process) in &self.processes {
            let (since, patience) = match (process.told, process.left) {
                (Told::Drain(since), _) | (Told::Nothing, Some(since))
                    if process.ready.is_some() =>
                {
                    (since, self.rules.drain_timeout)
                }
                (Told::Term(since), _) => (since, self.rules.term_timeout),
                (Told::Nothing, None) if process.ready.is_none() => {
                    (process.started, self.rules.start_timeout)
                }
                _ => continue,
            };
            assert!(self.now < since + ms(patience) || self.exit.is_some(), "{id:?} overstays");
        }
        if let Some(at) = self.fleet.deadline() {
            assert!(ms(at.since(Timestamp::ORIGIN)) > self.now, "a deadline that has passed");
        }
        match self.exit {
            None => {}
            Some(Outcome::Stopped) => assert!(self.stopping && self.processes.is_empty()),
            Some(Outcome::GaveUp) => assert!(self.processes.is_empty()),
            Some(Outcome::TimedOut) => {
                assert!(self.processes.values().all(|process| process.told == Told::Kill));
            }
        }
    }

    /// Liveness: once the world behaves, the fleet comes to rest where it was told to.
    pub fn settle(&mut self) {
        self.natures = vec![Nature::GOOD];
        let round = self.rules.start_timeout
            + self.rules.drain_timeout
            + self.rules.term_timeout
            + self.rules.backoff_cap
            + self.rules.min_uptime;
        let bound = self.now + 20_000 + 40 * ms(round) + self.agenda_end();
        while self.step() {
            assert!(self.now <= bound, "never comes to rest");
        }
        if self.exit.is_some() {
            return assert!(self.processes.is_empty());
        }
        assert!(self.fleet.is_settled(), "at rest but not settled");
        assert_eq!(self.states(), vec![WorkerState::Ready; self.target.into()]);
        assert!(self.generations().iter().all(|&of| Some(of) == self.fleet.wanted()));
        assert!(self.ids().iter().all(|id| !self.asked.contains(id)), "a worker asked in vain");
        assert!(
            self.excused || self.processes.values().all(|p| p.born > self.last_restart),
            "a restart was lost"
        );
    }

    fn agenda_end(&self) -> Millis {
        self.agenda.keys().last().map_or(0, |&(at, _)| at)
    }

    /// Liveness: told to stop, it exits in time, with nobody left behind.
    pub fn stop_and_wait(&mut self, urgency: Urgency) {
        self.stop(urgency);
        let until = self.now + ms(self.rules.stop_timeout);
        while self.exit.is_none() && self.step() {}
        assert!(matches!(self.exit, Some(Outcome::Stopped | Outcome::GaveUp)), "{:?}", self.exit);
        assert!(self.now <= until && self.processes.is_empty());
    }
}

fn ms(duration: Duration) -> Millis {
    duration.as_millis().try_into().unwrap()
}
