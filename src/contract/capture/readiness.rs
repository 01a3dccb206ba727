//! When a captured worker is ready: it listens wherever the one before it in its slot does.
//!
//! Workers of one release may listen in different places, `8000 + slot` say, so that nothing is
//! concluded from another slot. The same release must listen where it did in this slot; another one
//! wherever its predecessor does, but a release that comes back can't be asked for what it never had.
//! Where nobody has been before, nobody knows how many listens there will be: then a moment without
//! one is taken for the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dutch_master::{Generation, SlotId, WorkerEvent, WorkerId};

use super::{
    Capture, Newcomer, News,
    member::{Member, Standing},
    place::Lane,
};
use crate::sys::sockets::born::Place;

/// How long after a listen no other one comes, if it was the last.
const SETTLE: Duration = Duration::from_millis(250);
/// How long a program of which nothing is known may take before it is taken for one without servers.
const QUIET: Duration = Duration::from_secs(10);
/// The same, once one like it was.
const KNOWN_QUIET: Duration = Duration::from_secs(1);
/// For how long after it was ready a worker still opens what it always opens. Later it does so on
/// demand: a debugger's port, or one for a single transfer.
const OPENING: Duration = Duration::from_secs(10);
/// How many generations are remembered in a slot.
const GENERATIONS: usize = 4;

/// Where a live worker of a slot listened.
#[derive(Debug)]
struct Memory {
    generation: Generation,
    places: BTreeSet<Place>,
}

/// What live workers had.
#[derive(Debug)]
pub(super) struct Knowledge {
    must_listen: bool,
    /// Where a worker was ready without having listened, and none has since.
    silent: BTreeSet<SlotId>,
    /// By slot, the latest last.
    of: BTreeMap<SlotId, Vec<Memory>>,
    /// In which slots there was a listen at all, if only one that is none of ours, and how long it took.
    took: BTreeMap<SlotId, Duration>,
}

impl Knowledge {
    pub(super) fn new(must_listen: bool) -> Self {
        Self { must_listen, silent: BTreeSet::new(), of: BTreeMap::new(), took: BTreeMap::new() }
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
        let patience = match self.took.get(&member.newcomer.slot) {
            Some(took) => took.saturating_mul(2).max(QUIET),
            None if self.is_silent(member.newcomer.slot) => KNOWN_QUIET,
            None => QUIET,
        };
        let given_up = member.since.saturating_add(patience);
        settled.or_else(|| (!self.must_listen).then_some(given_up))
    }

    /// Notes how long a worker took that has listened.
    fn time(&mut self, member: &Member) {
        let Some(listened) = member.listened else { return };
        let took = listened.saturating_sub(member.since);
        // Later ones do not tell when it was ready.
        self.heard(member.newcomer.slot, took, member.standing == Standing::Waits);
    }

    /// Somebody listens in this slot, after so long.
    fn heard(&mut self, slot: SlotId, took: Duration, is_latest: bool) {
        self.silent.remove(&slot);
        let known = self.took.entry(slot).or_insert(took);
        if is_latest {
            *known = took;
        }
    }

    /// Whether no listen is to be expected here: there was none, nor anywhere if nobody was here.
    fn is_silent(&self, slot: SlotId) -> bool {
        self.silent.contains(&slot) || (self.took.is_empty() && !self.silent.is_empty())
    }

    fn learn(&mut self, slot: SlotId, memory: Memory) {
        let memories = self.of.entry(slot).or_default();
        memories.retain(|other| other.generation != memory.generation);
        if memories.len() >= GENERATIONS {
            memories.remove(0);
        }
        memories.push(memory);
    }

    fn in_slot(&self, slot: SlotId) -> impl DoubleEndedIterator<Item = &Memory> {
        self.of.get(&slot).into_iter().flatten()
    }

    /// Whether a release listened in this place, in whichever slot.
    fn has_had(&self, generation: Generation, place: &Place) -> bool {
        let mut same = self.of.values().flatten().filter(|memory| memory.generation == generation);
        same.any(|memory| memory.places.contains(place))
    }
}

impl Member {
    /// Whether what it opens now is no part of its start.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.lives_since.is_some_and(|since| now.saturating_sub(since) > OPENING)
    }
}

impl Capture {
    /// When to look again who is ready.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let ready = self.waiting().filter_map(|member| self.ready_at(member));
        ready.chain(self.datagrams.deadline(self.now, self.is_forking())).min()
    }

    /// Says who has become ready.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        for member in self.members.values() {
            self.knowledge.time(member);
        }
        let is_due = |member: &&Member| self.ready_at(member).is_some_and(|at| at <= now);
        let due: Vec<WorkerId> =
            self.waiting().filter(is_due).map(|member| member.newcomer.worker).collect();
        for worker in due {
            self.tell_ready(worker);
        }
    }

    fn tell_ready(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get_mut(&worker.get()) else { return };
        member.standing = Standing::Told;
        if member.listened.is_none() {
            self.knowledge.took.remove(&member.newcomer.slot);
            let is_first = self.knowledge.silent.is_empty();
            self.knowledge.silent.insert(member.newcomer.slot);
            if is_first {
                self.news.push(News::Remark(
                    worker,
                    "it has not listened anywhere, so it is taken for a program that does not",
                ));
            }
        }
        self.news.push(News::Event(worker, WorkerEvent::Ready));
    }

    /// A worker has ended. If it did well, where nobody ever listened, it was none that does, and needs
    /// no more patience to be believed: it was ready.
    pub(crate) fn ended(&mut self, now: Duration, worker: WorkerId, is_well: bool) {
        self.now = now;
        // What it called last may have been a listen.
        self.read_door(worker.get());
        let Some(member) = self.members.get(&worker.get()) else { return };
        let is_new = member.standing == Standing::Waits && member.listened.is_none();
        let has_lived = now.saturating_sub(member.since) >= KNOWN_QUIET;
        let may_be_silent = !self.knowledge.must_listen
            && !self.knowledge.took.contains_key(&member.newcomer.slot)
            && self.required(member).is_empty();
        if is_well && is_new && has_lived && may_be_silent {
            self.tell_ready(worker);
        }
    }

    /// Whether a worker opens this place on demand. What it, or others of its release, opened at
    /// their start, it only opens again.
    pub(super) fn opens_late(&self, worker: WorkerId, place: &Place) -> bool {
        self.members.get(&worker.get()).is_some_and(|member| {
            member.is_late(self.now) && !self.knowledge.has_had(member.newcomer.generation, place)
        })
    }

    /// Remembers what a ready worker has.
    pub(super) fn learn(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get(&worker.get()) else { return };
        let Newcomer { slot, generation, .. } = member.newcomer;
        let places = self.opened_at_start(worker);
        self.knowledge.learn(slot, Memory { generation, places });
    }

    /// These slots are no more: whoever comes there some day is new.
    pub(crate) fn forget_slots(&mut self, from: u16) {
        self.knowledge.of.retain(|slot, _| slot.get() < from);
        self.knowledge.took.retain(|slot, _| slot.get() < from);
        self.knowledge.silent.retain(|slot| slot.get() < from);
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
        let mut places = self.places_by(|lane| lane.holder == Some(worker));
        places.extend(self.datagrams.places(worker));
        places
    }

    /// Those of them that it opened as it started, and not on demand.
    fn opened_at_start(&self, worker: WorkerId) -> BTreeSet<Place> {
        let mut places = self.places_by(|lane| lane.holder == Some(worker) && !lane.is_late);
        places.extend(self.datagrams.opened_at_start(worker));
        places
    }

    fn places_by(&self, has: impl Fn(&Lane) -> bool) -> BTreeSet<Place> {
        let groups = self.groups.iter().filter(|group| group.is_lasting);
        let places = groups.filter(|group| group.lanes.iter().any(&has)).map(|group| group.place);
        // One by one, as a set that is collected takes a sort, and that 5 KiB.
        let mut set = BTreeSet::new();
        set.extend(places);
        set
    }

    /// The places where a worker must listen, as far as anybody knows.
    fn required(&self, member: &Member) -> BTreeSet<Place> {
        let Newcomer { slot, generation, incumbent, .. } = member.newcomer;
        let mut known = self.knowledge.in_slot(slot);
        if let Some(same) = known.find(|memory| memory.generation == generation) {
            return same.places.clone();
        }
        let incumbent = incumbent.and_then(|worker| self.members.get(&worker.get()));
        let incumbent =
            incumbent.map(|it| (it.newcomer.generation, self.opened_at_start(it.newcomer.worker)));
        let last = || {
            let last = self.knowledge.in_slot(slot).next_back()?;
            Some((last.generation, last.places.clone()))
        };
        let Some((before, mut places)) = incumbent.or_else(last) else { return BTreeSet::new() };
        if generation < before {
            places.retain(|place| self.knowledge.has_had(generation, place));
        }
        places
    }
}

#[cfg(test)]
mod tests;
