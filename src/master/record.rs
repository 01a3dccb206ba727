//! What has happened so far: a bounded history for `events`, and sums for the metrics.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, SystemTime},
};

use dutch_master::{
    Action, Generation, LeaveCause, Milestone, StartCause, WorkerId,
    wire::control::{Event, LastRoll, Millis},
};

use super::{
    Master,
    children::{Child, End, Told},
    journal,
    victims::Victims,
};
use crate::sys::cgroup;

/// Events that are kept: some hundred bytes each.
const MOST: usize = 512;
/// Bytes of crashed workers' last lines that are kept; as JSON they may be six times as many.
const MOST_BYTES: usize = 128 * 1024;
/// The signal that is either ours or the kernel's, and what a shell makes of it where it kills what
/// the shell has started.
const KILL: i32 = 9;
const SHELLS_KILL: u8 = 137;
/// How a worker failed that we lost patience with.
const LATE: &str = "not ready in time";

/// Upper bounds of the histogram of start times, in seconds; the last bucket has none.
pub(crate) const START_BOUNDS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// Times, sorted into buckets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// How many fell below each bound and above the one before.
    pub(crate) buckets: [u64; START_BOUNDS.len()],
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

impl Histogram {
    fn note(&mut self, time: Duration) {
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(time);
        let bucket = START_BOUNDS.iter().zip(&mut self.buckets);
        for (_, count) in bucket.filter(|(bound, _)| time.as_secs_f64() <= **bound).take(1) {
            *count = count.saturating_add(1);
        }
    }
}

/// A roll under way, as far as the core does not know it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Who asked for it.
    pub(crate) by: String,
    pub(crate) at: Duration,
}

/// The result of a request to roll: which generation it made, or why it made none.
pub(crate) type Snapshot = Result<Generation, String>;

/// What a worker got that explains its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Unknown,
    /// The stop signal.
    Stop(i32),
    /// SIGKILL from us.
    Killed,
    /// SIGKILL from the kernel, which was out of memory.
    OutOfMemory,
}

/// How a generation's roll ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Settled(Generation),
    Failed { from: Generation, to: Option<Generation>, why: String },
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Record {
    history: VecDeque<Event>,
    next: u64,
    /// Since when the master runs.
    pub(crate) started: Duration,
    /// Workers that we have sent SIGKILL.
    killed: BTreeSet<WorkerId>,
    /// Workers that did not become ready in time and are not gone yet.
    late: BTreeSet<WorkerId>,
    victims: Victims,
    pub(crate) exits: BTreeMap<&'static str, u64>,
    pub(crate) starts: BTreeMap<StartCause, u64>,
    pub(crate) rolls: [u64; 2],
    pub(crate) start_times: Histogram,
    pub(crate) roll_times: Histogram,
    pub(crate) orphans: u64,
    /// Workers started in each slot.
    pub(crate) seats: BTreeMap<u16, u64>,
    /// How the last worker of each slot ended.
    pub(crate) last_exits: BTreeMap<u16, String>,
    pub(crate) asked: Option<Asked>,
    /// Requests to roll that came to a snapshot or failed to, and the last one's result.
    pub(crate) snapshots: (u64, Option<Snapshot>),
    /// What has become of rolls in this turn.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) last_roll: Option<LastRoll>,
    /// How the last worker failed that nobody had told to go, by generation.
    failure: Option<(Generation, String)>,
}

/// Counts one more.
fn count<K: Ord>(of: &mut BTreeMap<K, u64>, key: K) {
    let sum = of.entry(key).or_default();
    *sum = sum.saturating_add(1);
}

/// Milliseconds since 1970: for people, who want to compare it with other clocks.
fn wall_clock() -> Millis {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().into()
}

/// An event about a worker.
fn about(what: &str, id: WorkerId, child: &Child) -> Event {
    Event {
        what: what.to_owned(),
        slot: Some(child.slot.get()),
        worker: Some(id.get()),
        pid: child.has_process().then(|| child.pid().number()),
        generation: Some(child.generation.get()),
        ..Event::default()
    }
}

impl Record {
    pub(crate) fn new(started: Duration, oom_kills: Option<u64>) -> Self {
        Self { started, victims: Victims::since(oom_kills), ..Self::default() }
    }

    /// What is still known of what happened from number `from` on.
    pub(crate) fn since(&self, from: u64) -> impl Iterator<Item = &Event> {
        self.history.iter().filter(move |event| event.number >= from)
    }

    /// The number of the next event.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn note(&mut self, event: Event) {
        let size = |event: &Event| event.lines.iter().map(String::len).sum::<usize>();
        let mut bytes = self.history.iter().map(size).fold(size(&event), usize::saturating_add);
        while self.history.len() >= MOST || bytes > MOST_BYTES {
            let Some(oldest) = self.history.pop_front() else { break };
            bytes = bytes.saturating_sub(size(&oldest));
        }
        self.history.push_back(Event { number: self.next, at: wall_clock(), ..event });
        self.next = self.next.saturating_add(1);
    }

    /// Something about the master itself.
    pub(crate) fn remark(&mut self, what: &str, why: &str) {
        self.note(Event { what: what.to_owned(), why: Some(why.to_owned()), ..Event::default() });
    }

    /// Who wants a roll.
    pub(crate) fn roll_asked(&mut self, by: &str, at: Duration) {
        self.asked = Some(Asked { by: by.to_owned(), at });
        self.remark("roll requested", by);
    }

    /// What a request to roll came to.
    pub(crate) fn snapshot_taken(&mut self, snapshot: Snapshot) {
        if let Err(problem) = &snapshot {
            self.remark("roll refused", problem);
        }
        let (taken, _) = self.snapshots;
        self.snapshots = (taken.saturating_add(1), Some(snapshot));
    }

    /// A decision of the core.
    pub(crate) fn decided(&mut self, action: Action, child: Option<&Child>, now: Duration) {
        match action {
            Action::Start { worker, slot, generation, cause } => {
                count(&mut self.starts, cause);
                count(&mut self.seats, slot.get());
                self.note(Event {
                    what: "worker starting".to_owned(),
                    slot: Some(slot.get()),
                    worker: Some(worker.get()),
                    generation: Some(generation.get()),
                    why: Some(journal::why_started(cause).to_owned()),
                    ..Event::default()
                });
            }
            Action::Drain { worker, cause } => self.leaves("worker draining", worker, cause, child),
            // The end follows at once.
            Action::Terminate { cause: LeaveCause::Drained, .. } | Action::Exit(_) => {}
            Action::Terminate { worker, cause } => {
                if cause == LeaveCause::Late {
                    self.late.insert(worker);
                }
                self.leaves("worker terminating", worker, cause, child);
            }
            Action::Kill { worker, cause } => {
                self.killed.insert(worker);
                self.leaves("worker killed", worker, cause, child);
            }
            Action::Announce(milestone) => self.announced(milestone, now),
        }
    }

    fn leaves(&mut self, what: &str, id: WorkerId, cause: LeaveCause, child: Option<&Child>) {
        let Some(child) = child else { return };
        let why = Some(journal::why_left(cause).to_owned());
        self.note(Event { why, ..about(what, id, child) });
    }

    fn announced(&mut self, milestone: Milestone, now: Duration) {
        let (what, generation, why) = match milestone {
            Milestone::RollStarted { to, .. } => ("roll started", to, None),
            Milestone::CanaryReady(generation) => ("canary ready", generation, None),
            Milestone::AllReady(generation) => ("every worker ready", generation, None),
            Milestone::Settled(generation) => {
                self.verdicts.push(Verdict::Settled(generation));
                self.roll_over(generation, None, now);
                ("roll complete", generation, None)
            }
            Milestone::RollFailed { from, to } => {
                let why = self.why_failed(from);
                self.verdicts.push(Verdict::Failed { from, to, why: why.clone() });
                self.roll_over(from, Some(why.clone()), now);
                ("roll failed", from, Some(why))
            }
        };
        self.note(Event {
            what: what.to_owned(),
            generation: Some(generation.get()),
            why,
            ..Event::default()
        });
    }

    pub(super) fn why_failed(&self, generation: Generation) -> String {
        match &self.failure {
            Some((of, why)) if *of == generation => why.clone(),
            _ => "no worker of it became ready and stayed".to_owned(),
        }
    }

    fn roll_over(&mut self, generation: Generation, problem: Option<String>, now: Duration) {
        // Going back to the last good generation settles it anew; nobody asked for that.
        let Some(asked) = self.asked.take() else { return };
        let took = now.saturating_sub(asked.at);
        let is_complete = problem.is_none();
        let [complete, failed] = &mut self.rolls;
        let sum = if is_complete { complete } else { failed };
        *sum = sum.saturating_add(1);
        self.roll_times.note(took);
        self.last_roll = Some(LastRoll {
            generation: generation.get(),
            is_complete,
            problem,
            asked_by: asked.by,
            took: took.into(),
        });
    }

    /// A worker serves.
    pub(crate) fn ready(&mut self, id: WorkerId, child: &Child, after: Duration) {
        self.start_times.note(after);
        let why = Some(format!("after {} ms", Millis::from(after).0));
        self.note(Event { why, ..about("worker ready", id, child) });
    }

    /// Whether only a look at the cgroup tells who killed it.
    pub(crate) fn is_puzzling(&self, id: WorkerId, end: &End) -> bool {
        matches!(end, End::Exited(status) if status.shell_code() == SHELLS_KILL)
            && !self.killed.contains(&id)
    }

    /// A worker is gone.
    pub(crate) fn ended(&mut self, id: WorkerId, child: &Child, end: &End, fate: Fate) {
        let is_ours = self.killed.remove(&id);
        let fate = if is_ours && fate == Fate::Unknown { Fate::Killed } else { fate };
        let (reason, why) = reason(end, fate);
        count(&mut self.exits, reason);
        self.last_exits.insert(child.slot.get(), why.clone());
        let mut event = about("worker exited", id, child);
        if !child.is_leaving {
            let is_late = self.late.remove(&id);
            let why = if is_late { LATE } else { &why };
            self.failure = Some((child.generation, format!("worker {}: {why}", id.get())));
            event.lines = child.recent.iter().cloned().collect();
        }
        self.note(Event { why: Some(why), ..event });
    }
}

impl Master {
    /// Notes a worker's end, after a look at the cgroup where the kernel may have killed it.
    pub(super) fn record_end(&mut self, id: WorkerId, end: &End) {
        let mut fate = Fate::Unknown;
        if self.record.is_puzzling(id, end) {
            let counted = cgroup::facts(self.capacity.root()).oom_kills;
            if self.record.victims.claim(counted, self.now) {
                fate = Fate::OutOfMemory;
            }
        } else if self.children.get(id).is_some_and(|child| child.told != Told::Nobody) {
            fate = Fate::Stop(self.config.stop_signal.number());
        }
        if let Some(child) = self.children.get(id) {
            self.record.ended(id, child, end, fate);
        }
    }
}

/// The kind of an end, of which there are few, and the end in words.
fn reason(end: &End, fate: Fate) -> (&'static str, String) {
    match end {
        End::NotExecuted(problem) => ("not_executed", format!("not executed: {problem}")),
        End::NotStarted(problem) => ("not_started", format!("not started: {problem}")),
        End::Exited(_) if fate == Fate::OutOfMemory => ("oom", "out of memory".to_owned()),
        End::Exited(status) => match (status.code(), status.signal()) {
            (Some(0), _) => ("clean", "exit code 0".to_owned()),
            (Some(code), _) => ("code", format!("exit code {code}")),
            (None, Some(KILL)) if fate == Fate::Killed => {
                ("killed", "killed by us, it took too long".to_owned())
            }
            (None, Some(signal)) if fate == Fate::Stop(signal) => {
                ("clean", format!("stopped by signal {signal}"))
            }
            (None, Some(signal)) => ("signal", format!("signal {signal}")),
            (None, None) => ("signal", "a signal".to_owned()),
        },
    }
}
