//! When a captured worker is ready: it listens wherever its like does.
//!
//! The same release listens in the same places, so what one worker of a generation had when it was
//! ready, the others must have. The first of a generation must have what its predecessor has. Where
//! nobody has been before, nobody knows how many listens there will be: then a moment without one is
//! taken for the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dutch_master::{Generation, WorkerEvent, WorkerId};

use super::{
    Capture, News,
    member::{Member, Standing},
};
use crate::sys::sockets::born::Place;

/// How long after a listen no other one comes, if it was the last.
const SETTLE: Duration = Duration::from_millis(250);
/// How long a program of which nothing is known may take before it is taken for one without servers.
const QUIET: Duration = Duration::from_secs(10);
/// The same, once one like it was.
const KNOWN_QUIET: Duration = Duration::from_secs(1);
/// How many generations are remembered.
const GENERATIONS: usize = 8;

/// What ready workers had.
#[derive(Debug)]
pub(super) struct Knowledge {
    must_listen: bool,
    /// Some worker was ready without having listened.
    is_silent: bool,
    of: BTreeMap<Generation, BTreeSet<Place>>,
}

impl Knowledge {
    pub(super) fn new(must_listen: bool) -> Self {
        Self { must_listen, is_silent: false, of: BTreeMap::new() }
    }

    /// When a worker is ready that listens in these places and must in those.
    fn ready_at(
        &self,
        member: &Member,
        has: &BTreeSet<Place>,
        must: &BTreeSet<Place>,
    ) -> Option<Duration> {
        let settled = member.listened.map(|at| at.saturating_add(SETTLE));
        if !must.is_empty() {
            return member.listened.filter(|_| must.is_subset(has));
        }
        let patience = if self.is_silent { KNOWN_QUIET } else { QUIET };
        let given_up = member.since.saturating_add(patience);
        settled.or_else(|| (!self.must_listen).then_some(given_up))
    }
}

impl Capture {
    /// When to look again who is ready.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.waiting().filter_map(|member| self.ready_at(member)).min()
    }

    /// Says who has become ready.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        let is_due = |member: &&Member| self.ready_at(member).is_some_and(|at| at <= now);
        let due: Vec<(WorkerId, bool)> = self
            .waiting()
            .filter(is_due)
            .map(|member| (member.newcomer.worker, member.listened.is_none()))
            .collect();
        for (worker, is_silent) in due {
            if let Some(member) = self.members.get_mut(&worker.get()) {
                member.standing = Standing::Told;
            }
            if is_silent && !std::mem::replace(&mut self.knowledge.is_silent, true) {
                self.news.push(News::Remark(
                    worker,
                    "it has not listened anywhere, so it is taken for a program that does not",
                ));
            }
            self.news.push(News::Event(worker, WorkerEvent::Ready));
        }
    }

    /// Remembers what a ready worker has.
    pub(super) fn learn(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get(&worker.get()) else { return };
        let generation = member.newcomer.generation;
        let places = self.places(worker);
        self.knowledge.of.insert(generation, places);
        while self.knowledge.of.len() > GENERATIONS {
            self.knowledge.of.pop_first();
        }
    }

    /// Where a worker does not listen that should, for who asks why it is not ready.
    pub(crate) fn missing(&self, worker: WorkerId) -> Vec<String> {
        let Some(member) = self.members.get(&worker.get()) else { return Vec::new() };
        let has = self.places(worker);
        self.required(member).difference(&has).map(ToString::to_string).collect()
    }

    /// Whether a worker listens anywhere.
    pub(crate) fn has_listened(&self, worker: WorkerId) -> bool {
        self.members.get(&worker.get()).is_some_and(|member| member.listened.is_some())
    }

    fn waiting(&self) -> impl Iterator<Item = &Member> {
        self.members
            .values()
            .filter(|member| member.standing == Standing::Waits && !member.is_reaped)
    }

    fn ready_at(&self, member: &Member) -> Option<Duration> {
        let has = self.places(member.newcomer.worker);
        self.knowledge.ready_at(member, &has, &self.required(member))
    }

    /// The lasting places where a worker listens.
    fn places(&self, worker: WorkerId) -> BTreeSet<Place> {
        let has = |lane: &super::Lane| lane.holder == Some(worker);
        let groups = self.groups.iter().filter(|group| group.is_lasting);
        groups.filter(|group| group.lanes.iter().any(has)).map(|group| group.place).collect()
    }

    /// The places where a worker must listen, as far as anybody knows.
    fn required(&self, member: &Member) -> BTreeSet<Place> {
        let known = &self.knowledge.of;
        if let Some(same) = known.get(&member.newcomer.generation) {
            return same.clone();
        }
        match member.newcomer.incumbent {
            Some(incumbent) => self.places(incumbent),
            None => known.last_key_value().map(|(_, places)| places.clone()).unwrap_or_default(),
        }
    }
}
