//! What a run of the strict client adds up to.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::attempt::Class;

/// The two ways to use connections, which fail differently and are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection for every request.
    OneShot,
    /// Many requests on a connection.
    KeepAlive,
}

/// The counts of one kind of client.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    classes: BTreeMap<Class, u64>,
    idle_closed: u64,
    latencies: Vec<u32>,
}

/// Everything that is counted during a run.
#[derive(Debug)]
pub struct Report {
    began: Instant,
    last_success: Instant,
    gap: Duration,
    all_ask: bool,
    one_shot: Counts,
    keep_alive: Counts,
    by: BTreeMap<String, u64>,
    failures: Vec<Value>,
}

/// How many failures are told one by one.
const TOLD: usize = 20;

impl Report {
    /// An empty report of a run that begins now.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            last_success: now,
            gap: Duration::ZERO,
            all_ask: true,
            one_shot: Counts::default(),
            keep_alive: Counts::default(),
            by: BTreeMap::new(),
            failures: vec![],
        }
    }

    /// Counts one request that was begun at `began` and ended at `now`.
    pub fn note(&mut self, kind: Kind, class: Class, began: Instant, now: Instant) {
        let counts = self.counts(kind);
        *counts.classes.entry(class).or_default() += 1;
        if class == Class::Ok {
            let took = now.duration_since(began).as_micros();
            counts.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
            self.note_success(now);
        } else if self.failures.len() < TOLD {
            let at = now.duration_since(self.began).as_secs_f64();
            self.failures.push(json!({
                "at": at,
                "kind": if kind == Kind::OneShot { "one_shot" } else { "keep_alive" },
                "class": class.name(),
                "after_ms": now.duration_since(began).as_secs_f64() * 1000.0,
            }));
        }
    }

    /// Counts an idle connection that the server closed before a request was written to it.
    pub fn note_idle_closed(&mut self) {
        self.keep_alive.idle_closed += 1;
    }

    /// Counts who answered.
    pub fn note_by(&mut self, who: String) {
        *self.by.entry(who).or_default() += 1;
    }

    /// A client was told to stop. From now on few may be left to be answered, so that silence says
    /// nothing of the server.
    pub fn note_stop(&mut self, now: Instant) {
        self.note_silence(now);
        self.all_ask = false;
    }

    fn note_success(&mut self, now: Instant) {
        self.note_silence(now);
        self.last_success = self.last_success.max(now);
    }

    fn note_silence(&mut self, now: Instant) {
        if self.all_ask {
            self.gap = self.gap.max(now.saturating_duration_since(self.last_success));
        }
    }

    fn counts(&mut self, kind: Kind) -> &mut Counts {
        match kind {
            Kind::OneShot => &mut self.one_shot,
            Kind::KeepAlive => &mut self.keep_alive,
        }
    }

    /// The report of a run that ended now, as one JSON object.
    pub fn finish(mut self, now: Instant) -> Value {
        self.note_silence(now);
        let mut latencies = self.one_shot.latencies.clone();
        latencies.extend(&self.keep_alive.latencies);
        latencies.sort_unstable();
        json!({
            "seconds": now.duration_since(self.began).as_secs_f64(),
            "requests": self.one_shot.requests() + self.keep_alive.requests(),
            "ok": self.one_shot.of(Class::Ok) + self.keep_alive.of(Class::Ok),
            "failed": self.one_shot.failed() + self.keep_alive.failed(),
            "one_shot": self.one_shot.to_json(),
            "keep_alive": self.keep_alive.to_json(),
            "gap_ms": self.gap.as_secs_f64() * 1000.0,
            "latency_us": {
                "p50": percentile(&latencies, 500),
                "p99": percentile(&latencies, 990),
                "p999": percentile(&latencies, 999),
                "max": latencies.last(),
            },
            "by": self.by,
            "failures": self.failures,
        })
    }
}

impl Counts {
    fn of(&self, class: Class) -> u64 {
        self.classes.get(&class).copied().unwrap_or(0)
    }

    fn requests(&self) -> u64 {
        self.classes.values().sum()
    }

    /// Everything but answers; a reused connection that was closed under a request is told apart
    /// and is a failure as well: somebody's request has no answer.
    fn failed(&self) -> u64 {
        self.requests() - self.of(Class::Ok)
    }

    fn to_json(&self) -> Value {
        let classes: serde_json::Map<String, Value> =
            Class::ALL.iter().map(|class| (class.name().into(), self.of(*class).into())).collect();
        json!({
            "requests": self.requests(),
            "failed": self.failed(),
            "idle_closed": self.idle_closed,
            "classes": classes,
        })
    }
}

fn percentile(sorted: &[u32], per_mille: usize) -> Option<u32> {
    let at = (sorted.len() * per_mille / 1000).min(sorted.len().checked_sub(1)?);
    sorted.get(at).copied()
}
