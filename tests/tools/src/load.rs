//! Load: so many clients of each kind, each sending one request after the other, until told to stop.

use std::{
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    attempt::{Class, Kept, Outcome, Request, keep_alive, one_shot},
    report::{Kind, Report},
    stream::Idle,
};

/// What is sent.
#[derive(Clone, Debug)]
pub struct Load {
    /// The request.
    pub request: Request,
    /// How many clients open a connection for every request.
    pub one_shot: usize,
    /// How many clients keep their connection.
    pub keep_alive: usize,
    /// How long a client rests between two requests.
    pub pause: Duration,
    /// How many requests a client sends; without it as many as there is time for.
    pub count: Option<u64>,
    /// Answers are counted by the value of this header, or of `name=value` in the body.
    pub by: Option<String>,
}

struct Shared {
    load: Load,
    stop: Arc<AtomicBool>,
    next: AtomicU64,
    first: Once,
    report: Mutex<Report>,
}

/// Runs until `stop` is set and every request that was begun has ended; returns the report.
pub fn run(load: Load, stop: Arc<AtomicBool>) -> Value {
    let clients = [(Kind::OneShot, load.one_shot), (Kind::KeepAlive, load.keep_alive)];
    let report = Mutex::new(Report::new(Instant::now()));
    let shared = Shared { load, stop, next: AtomicU64::new(1), first: Once::new(), report };
    thread::scope(|scope| {
        let shared = &shared;
        for (kind, count) in clients {
            for _ in 0..count {
                scope.spawn(move || shared.client(kind));
            }
        }
    });
    shared.report.into_inner().unwrap_or_else(PoisonError::into_inner).finish(Instant::now())
}

impl Shared {
    fn client(&self, kind: Kind) {
        let mut kept: Option<Kept> = None;
        let mut left = self.load.count.unwrap_or(u64::MAX);
        while left > 0 && !self.stop.load(Ordering::Relaxed) {
            left -= 1;
            if kept.as_ref().is_some_and(|connection| connection.idle() != Idle::Open) {
                kept = None;
                self.with_report(Report::note_idle_closed);
            }
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            let outcome = match kind {
                Kind::OneShot => one_shot(&self.load.request, id),
                Kind::KeepAlive => {
                    let (outcome, connection) = keep_alive(&self.load.request, id, kept.take());
                    kept = connection;
                    outcome
                }
            };
            self.note(kind, &outcome, began);
            thread::sleep(self.load.pause);
        }
        if left > 0 {
            self.with_report(|report| report.note_stop(Instant::now()));
        }
    }

    fn note(&self, kind: Kind, outcome: &Outcome, began: Instant) {
        if outcome.class == Class::Ok {
            self.first.call_once(|| eprintln!("strict-client: answered"));
        }
        let who = self.load.by.as_ref().and_then(|name| who(outcome, name));
        self.with_report(|report| {
            report.note(kind, outcome.class, began, Instant::now());
            if let Some(who) = who {
                report.note_by(who);
            }
        });
    }

    fn with_report(&self, note: impl FnOnce(&mut Report)) {
        note(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn who(outcome: &Outcome, name: &str) -> Option<String> {
    let (head, body) = outcome.answer.as_ref()?;
    if let Some(value) = head.header(&name.to_ascii_lowercase()) {
        return Some(value.to_owned());
    }
    let pairs = body.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.filter(|(have, _)| *have == name).map(|(_, value)| value.to_owned()).next()
}
