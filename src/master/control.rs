//! Answers what operators ask, and tells those who wait how it went.

use std::num::NonZeroU16;

use dutch_master::{
    Command, Generation, Urgency,
    wire::control::{Progress, Reply, Request},
};
use tracing::info;

use super::{
    Master,
    client::{Client, Waits},
    record::Verdict,
};
use crate::sys::signals::{self, Received};

/// SIGSTOP of signal(7): as SIGKILL, nobody gets it from us by this way.
const NOBODY_TAKES: [i32; 2] = [signals::KILL, signals::STOP];

impl Master {
    /// Reads what a client says and answers it.
    pub(super) fn read_client(&mut self, number: u64) {
        let Some(mut client) = self.operators.take(number) else { return };
        client.flush(self.now);
        client.read();
        if client.is_http() {
            self.serve_http(&mut client);
        } else {
            match client.take_request() {
                None => {}
                Some(Ok(request)) => self.answer(&mut client, &request),
                Some(Err(problem)) => client.turn_away(problem, self.now),
            }
        }
        self.put_back(number, client);
    }

    fn answer(&mut self, client: &mut Client, request: &Request) {
        let reply = match request {
            Request::Live => done("the loop answers"),
            Request::Ready => match self.readiness_verdict() {
                (true, why) => done(why),
                (false, problem) => Reply::Refused { problem },
            },
            Request::Status => Reply::Status { status: Box::new(self.status()) },
            Request::Metrics => Reply::Text { text: self.metrics(false) },
            Request::Doctor => Reply::Findings { findings: self.check_up() },
            Request::Scale { to, by } => self.scale_asked(*to, *by),
            Request::Signal { number } => self.signal_asked(*number, &client.name),
            Request::Stop { wait } => {
                self.stop_asked(&client.name);
                if *wait {
                    client.waits = Waits::Stop;
                    return client.wait_patiently();
                }
                done("stopping")
            }
            Request::Reload { if_generation, wait } => {
                match self.reload_asked(*if_generation, &client.name) {
                    Ok(waits) if *wait => {
                        client.waits = waits;
                        return client.wait_patiently();
                    }
                    Ok(_) => done("roll requested"),
                    Err(problem) => Reply::Refused { problem },
                }
            }
            Request::Events { follow } => return self.events_asked(client, *follow),
        };
        client.reply(&reply, self.now);
    }

    fn scale_asked(&mut self, to: Option<u16>, by: Option<i16>) -> Reply {
        if self.fleet.is_stopping() {
            return refused("the fleet stops");
        }
        let before = self.fleet.target();
        let wanted = match (to, by) {
            (Some(to), None) => to,
            (None, Some(by)) => before.saturating_add_signed(by),
            _ => return refused("scale takes either to or by"),
        };
        let Some(wanted) = NonZeroU16::new(wanted) else {
            return refused("0 workers: must be at least 1; `stop` stops the fleet");
        };
        let after = self.within_bounds(wanted);
        self.scale_to(wanted, "operator");
        let note = if after == wanted { "" } else { ", the bound that WORKERS sets" };
        done(format!("{before} → {after} workers{note}"))
    }

    fn signal_asked(&mut self, number: i32, name: &str) -> Reply {
        if !(1..=signals::LAST).contains(&number) || NOBODY_TAKES.contains(&number) {
            return refused(format!("signal {number}: can't be had by this way"));
        }
        info!(target: "master", signal = number, by = name, "signal from an operator");
        self.on_signal(Received { signal: number, from: None, uid: None });
        done(format!("signal {number} taken"))
    }

    fn stop_asked(&mut self, by: &str) {
        if !self.fleet.is_stopping() {
            info!(target: "master", by, "stopping");
            self.record.remark("stopping", by);
            self.hurry_those_who_leave();
        }
        self.hooks.release_boot();
        self.command(Command::Stop(Urgency::Graceful));
    }

    fn reload_asked(&mut self, expected: Option<u32>, by: &str) -> Result<Waits, String> {
        let Some(wanted) = self.fleet.wanted() else {
            return Err("the fleet stops".to_owned());
        };
        if let Some(expected) = expected.filter(|expected| *expected != wanted.get()) {
            let now = wanted.get();
            return Err(format!("generation {now}, not {expected}: somebody has rolled meanwhile"));
        }
        let (requests, _) = self.record.snapshots;
        self.request_roll(&format!("reload by {by}"));
        Ok(Waits::Roll { requests, target: None, told: None })
    }

    fn events_asked(&mut self, client: &mut Client, follow: bool) {
        for event in self.record.since(0) {
            client.reply(&Reply::Event { event: event.clone() }, self.now);
        }
        if follow {
            client.waits = Waits::Events(self.record.next());
            client.wait_patiently();
        } else {
            client.reply(&done(""), self.now);
        }
    }

    /// Tells those who wait what has happened in this turn.
    pub(super) fn tell_operators(&mut self) {
        let verdicts = std::mem::take(&mut self.record.verdicts);
        for number in self.operators.numbers() {
            let Some(mut client) = self.operators.take(number) else { continue };
            match client.waits.clone() {
                Waits::Asking | Waits::Nothing => {}
                Waits::Stop => self.tell_of_stop(&mut client),
                Waits::Events(from) => {
                    for event in self.record.since(from) {
                        client.reply(&Reply::Event { event: event.clone() }, self.now);
                    }
                    client.waits = Waits::Events(self.record.next());
                }
                Waits::Roll { requests, target, told } => {
                    let waits = Waits::Roll { requests, target, told };
                    client.waits = self.tell_of_roll(&mut client, waits, &verdicts);
                }
            }
            self.put_back(number, client);
        }
    }

    fn tell_of_stop(&self, client: &mut Client) {
        if let Some(code) = self.exit {
            let reply = match code {
                0 => done("stopped"),
                _ => refused(format!("stopped with exit code {code}: a worker had to be killed")),
            };
            client.reply(&reply, self.now);
        }
    }

    /// Tells one client how its roll goes. Returns what it waits for then.
    fn tell_of_roll(&self, client: &mut Client, waits: Waits, verdicts: &[Verdict]) -> Waits {
        let Waits::Roll { requests, target, mut told } = waits else { return waits };
        let (taken, last) = &self.record.snapshots;
        let target = target.map(Ok).or_else(|| last.clone().filter(|_| *taken > requests));
        let end = match &target {
            Some(Err(problem)) => Some(refused(problem.clone())),
            _ if self.fleet.is_stopping() => Some(refused("the fleet stops")),
            Some(Ok(target)) => verdicts.iter().find_map(|each| self.roll_end(*target, each)),
            None => None,
        };
        if let Some(end) = end {
            client.reply(&end, self.now);
            return Waits::Asking;
        }
        let progress = self.progress();
        if target.is_some() && progress != told {
            told = progress;
            if let Some(progress) = progress {
                client.reply(&Reply::Progress(progress), self.now);
            }
        }
        Waits::Roll { requests, target: target.and_then(Result::ok), told }
    }

    /// What a verdict means to who waits for this generation, or a younger one in its place.
    fn roll_end(&self, target: Generation, verdict: &Verdict) -> Option<Reply> {
        let (ready, of) = (self.fleet.ready_count(), self.fleet.target());
        let state = format!("{ready} of {of} workers ready");
        match verdict {
            Verdict::Settled(generation) if *generation >= target => {
                Some(done(format!("generation {} serves, {state}", generation.get())))
            }
            Verdict::Failed { from, to, why } if *from >= target => {
                let after = match to {
                    Some(to) => format!("back to generation {}", to.get()),
                    None => "what was replaced stays".to_owned(),
                };
                let from = from.get();
                Some(refused(format!("generation {from} failed: {why}; {after}, {state}")))
            }
            Verdict::Settled(_) | Verdict::Failed { .. } => None,
        }
    }

    /// How far the roll under way is.
    pub(super) fn progress(&self) -> Option<Progress> {
        let progress = self.fleet.progress()?;
        Some(Progress {
            from: progress.from.map(Generation::get),
            to: progress.to.get(),
            done: progress.done,
            of: progress.of,
            is_revert: progress.is_revert,
        })
    }
}

fn done(message: impl Into<String>) -> Reply {
    Reply::Done { message: message.into() }
}

fn refused(problem: impl Into<String>) -> Reply {
    Reply::Refused { problem: problem.into() }
}
