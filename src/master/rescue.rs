//! Serves connections that wait in the lane of a worker that accepts nobody, or of nobody.
//!
//! ```text
//!  a connection waits ─▶ nobody accepted for STALL_TIMEOUT ─▶ lane steered off, a probe put in its queue
//!                                      │                                             │
//!                     those who wait: taken, carried to lanes           accepted: steered in again
//!                     that accept (at most 256 at a time)
//! ```
//!
//! While no connection comes there is nothing to do and no timer: the lanes are one set that wakes us
//! once, when the first connection waits, and not again before we have looked at all of them. Under
//! load that is two wake-ups in a quarter of `STALL_TIMEOUT`, however many connections and lanes.
//!
//! A worker that answers one request at a time is "deaf" during a long one, and those behind it are
//! better off with an idle worker. But where all are busy there is nothing to be gained: so clients
//! are taken only to lanes with an empty queue, at first one to each, and without such a lane nobody
//! is judged at all. The price is that the worker sees our address instead of the client's: never a
//! loopback one unless the client had come over loopback itself, as each is carried to the very
//! address that it had connected to.

mod probes;
mod relays;
mod wait;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use dutch_master::WorkerId;
use tracing::{debug, info, warn};

use self::{
    relays::{Relays, ends},
    wait::Wait,
};
use super::{
    Master,
    listeners::{Spot, View},
    source::Source,
};
use crate::sys::{Errno, connection, diag::Census, poll::Poll, relay};

/// How soon the next ones are taken after those before: time for a worker to accept.
const ROUND: Duration = Duration::from_millis(10);
/// How many are taken to each lane in one round at most, once it has shown that it keeps up.
const MOST_AT_ONCE: usize = 32;

/// How often a worker's deafness is worth a word.
const WORD: Duration = Duration::from_secs(60);
const PRICE: &str = "others serve those who wait, relayed: they see our address as the client's";

/// What is known of the lanes' queues.
#[derive(Debug)]
pub(crate) struct Rescue {
    /// How long nobody may be accepted; nothing is rescued without.
    limit: Option<Duration>,
    /// The lanes' sockets, as one descriptor that is ready when somebody waits.
    lanes: Poll,
    watched: BTreeSet<Spot>,
    /// Whether that descriptor wakes us.
    is_armed: bool,
    look_at: Option<Duration>,
    /// Since when somebody may have waited who is found at the next look.
    woken: Duration,
    waits: BTreeMap<Spot, Wait>,
    /// When the log last told of a lane's deafness, and whether it owes the end of it.
    told: BTreeMap<Spot, (Duration, bool)>,
    /// Whether there was no descriptor to take anybody with when last tried.
    is_short: bool,
    /// How many go to each lane in the next round.
    burst: usize,
    relays: Relays,
}

impl Rescue {
    pub(crate) fn new(limit: Option<Duration>) -> Result<Self, Errno> {
        Ok(Self {
            limit,
            lanes: Poll::new()?,
            watched: BTreeSet::new(),
            is_armed: false,
            look_at: None,
            woken: Duration::ZERO,
            waits: BTreeMap::new(),
            told: BTreeMap::new(),
            is_short: false,
            burst: 1,
            relays: Relays::new()?,
        })
    }

    /// Readable when a client that we carry has something to be done.
    pub(super) fn relays(&self) -> std::os::fd::BorrowedFd<'_> {
        self.relays.as_fd()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        [self.look_at, self.relays.deadline()].into_iter().flatten().min()
    }

    /// Clients that are carried now.
    pub(super) fn carried(&self) -> usize {
        self.relays.count()
    }

    /// Clients of a listener that have been carried so far.
    pub(super) fn total(&self, listener: usize) -> u64 {
        self.relays.total.get(&listener).copied().unwrap_or_default()
    }
}

impl Master {
    /// Somebody waits. Most likely not for long: whether too long is seen at the next look.
    pub(super) fn read_lanes(&mut self) {
        self.arm(false);
        let Some(limit) = self.rescue.limit else { return };
        self.rescue.woken = self.now;
        let at = self.now.saturating_add(part(limit, 4));
        self.rescue.look_at = Some(self.rescue.look_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn turn_relays(&mut self) {
        self.rescue.relays.turn();
        self.tell_guests();
        if self.rescue.relays.probes.values().any(|probe| probe.is_answered) {
            self.rescue.look_at = Some(self.now);
        }
    }

    fn tell_guests(&mut self) {
        let listeners: BTreeSet<usize> =
            self.listeners.spots().map(|(spot, _)| spot.listener).collect();
        for listener in listeners {
            let guests = self.rescue.relays.guests(listener);
            self.steered(|all| all.set_guests(listener, guests));
        }
    }

    pub(super) fn look_at_lanes(&mut self) {
        let now = self.now;
        self.rescue.relays.look(now);
        let Some(limit) = self.rescue.limit else { return };
        if self.rescue.look_at.is_none_or(|at| at > now) {
            return;
        }
        self.rescue.look_at = None;
        let views = self.listeners.views();
        self.revive(&views, limit);
        self.note_waits(&views);
        let has_rescued = self.rescue_waiting(&views, limit);
        let has_deaf = self.renew_probes();
        self.watch_spots();
        let is_anybody_left = !self.rescue.waits.is_empty();
        let soon = if has_rescued { ROUND } else { part(limit, 4) };
        self.rescue.burst =
            if has_rescued { self.rescue.burst.saturating_mul(2).min(MOST_AT_ONCE) } else { 1 };
        if is_anybody_left {
            self.rescue.look_at = Some(now.saturating_add(soon));
        } else {
            self.rescue.look_at = has_deaf.then(|| now.saturating_add(limit));
            self.arm(true);
        }
    }

    /// Notes who waits where, but for our own probes.
    fn note_waits(&mut self, views: &[View]) {
        let rescue = &mut self.rescue;
        for view in views {
            let own = u32::from(rescue.relays.probes.contains_key(&view.spot));
            match view.waiting.saturating_sub(own) {
                0 => drop(rescue.waits.remove(&view.spot)),
                length => {
                    let since = rescue.woken;
                    let wait = rescue.waits.entry(view.spot);
                    wait.or_insert_with(|| Wait::new(since, length)).update(self.now, length);
                }
            }
        }
    }

    /// Takes those who have waited too long to lanes that accept. Whether there were any such.
    fn rescue_waiting(&mut self, views: &[View], limit: Duration) -> bool {
        let now = self.now;
        let waits = &self.rescue.waits;
        let suspects: Vec<&View> = views
            .iter()
            .filter(|view| {
                let wait = waits.get(&view.spot);
                wait.is_some_and(|wait| view.is_deaf || wait.is_suspect(now, limit))
            })
            .filter(|view| views.iter().any(|other| other.is_open(view.spot)))
            .collect();
        if suspects.is_empty() {
            return false;
        }
        // Without the kernel's list nothing is proven, and nobody is judged.
        let Ok(census) = self.listeners.census() else { return false };
        let mut has_rescued = false;
        for view in suspects {
            if self.is_deaf(view, limit, &census) {
                self.silence(view);
                has_rescued |= self.rescue_from(view, views, &census);
            }
        }
        has_rescued
    }

    /// Whether nobody accepts in a lane: known, proven, or a matter of course where nobody sits.
    fn is_deaf(&mut self, view: &View, limit: Duration, census: &Census) -> bool {
        let now = self.now;
        let port = self.listeners.near_address(view.spot.listener).map(|at| at.port());
        let Some(wait) = self.rescue.waits.get_mut(&view.spot) else { return false };
        match (view.holder, view.tag) {
            _ if view.is_deaf => true,
            (None, _) => wait.lasts(now) >= limit,
            (Some(_), Some(tag)) => wait.is_proven(now, limit, (tag, port), census),
            (Some(_), None) => false,
        }
    }

    /// Takes waiting clients out of a lane and to the lanes that accept.
    fn rescue_from(&mut self, view: &View, views: &[View], census: &Census) -> bool {
        let mut open: Vec<&View> = views.iter().filter(|other| other.is_open(view.spot)).collect();
        // Who has the fewest connections is the likeliest to be idle.
        open.sort_by_key(|other| {
            other.tag.map_or(0, |tag| census.load(tag, Duration::ZERO).connections)
        });
        let most = open.len().saturating_mul(self.rescue.burst).min(self.rescue.relays.room());
        // Without our own probe, which must stay.
        let waiting = self.rescue.waits.get(&view.spot).map_or(0, Wait::length);
        let Some(socket) = self.listeners.socket(view.spot) else { return false };
        // Once taken, a client for whose second leg there is no descriptor would be lost.
        let wanted = most.min(waiting);
        let spares = connection::reserve(socket, wanted);
        let is_short = spares.is_empty() && wanted > 0;
        let taken = match connection::accept_waiting(socket, spares.len()) {
            Ok(taken) => taken,
            Err(error) => {
                warn!(target: "listener", %error, "waiting connections can't be taken over");
                return false;
            }
        };
        if !std::mem::replace(&mut self.rescue.is_short, is_short) && is_short {
            let problem = "no descriptor is left";
            warn!(target: "listener", problem, "waiting connections can't be taken over");
        }
        let count = taken.len();
        if let Some(wait) = self.rescue.waits.get_mut(&view.spot) {
            wait.take(u32::try_from(count).unwrap_or(u32::MAX));
        }
        self.carry(view.spot, taken.into_iter().zip(spares).collect(), &open);
        count > 0
    }

    fn carry(&mut self, from: Spot, clients: Vec<(OwnedFd, OwnedFd)>, open: &[&View]) {
        let mut begun = Vec::new();
        for ((client, spare), to) in clients.into_iter().zip(open.iter().cycle()) {
            let Some((near, far)) = ends(client.as_fd()) else { continue };
            let relays = &mut self.rescue.relays;
            if relays.probes.get(&from).is_some_and(|probe| probe.port == far.port()) {
                // Clients came after it: another is sent, and this one's end is no answer.
                relays.probes.remove(&from);
                continue;
            }
            if relay::has_left(client.as_fd()) {
                continue;
            }
            drop(spare);
            match relay::bind(near.ip()) {
                Ok(leg) => begun.push((relays.begin(client, leg, to.spot), near)),
                Err(error) => {
                    warn!(target: "listener", client = %far, %error, "connection lost: it can't be relayed");
                }
            }
        }
        self.tell_guests();
        for (number, to) in &begun {
            self.rescue.relays.connect(*number, *to);
        }
        self.tell_guests();
        debug!(target: "listener", lane = from.lane, connections = begun.len(), "connections relayed");
    }

    /// A worker that is busy for long again and again is worth a word a minute.
    fn tell_of_deafness(&mut self, view: &View, is_deaf: bool) {
        let listener = self.listeners.name_of(view.spot.listener);
        let Some(child) = view.holder.and_then(|id| self.children.get(id)) else { return };
        let (slot, pid) = (child.slot.get(), child.pid().number());
        let (worker, generation) = (view.holder.map(WorkerId::get), child.generation.get());
        let told = self.rescue.told.get(&view.spot).copied();
        let is_news = match told {
            Some((at, _)) if is_deaf => self.now.saturating_sub(at) >= WORD,
            Some((_, is_owed)) => is_owed,
            None => is_deaf,
        };
        let at = if is_deaf && is_news { self.now } else { told.map_or(self.now, |(at, _)| at) };
        self.rescue.told.insert(view.spot, (at, is_deaf && is_news));
        match (is_news, is_deaf) {
            (true, true) => {
                warn!(target: "worker", slot, worker, pid, generation, listener, remark = PRICE, "worker accepts nobody");
            }
            (true, false) => {
                info!(target: "worker", slot, worker, pid, generation, listener, "worker accepts again");
            }
            (false, _) => {
                debug!(target: "worker", slot, worker, pid, listener, is_deaf, "worker's hearing");
            }
        }
    }

    /// Whether a worker accepts nobody on one of its listeners.
    pub(super) fn accepts_nobody(&self, id: WorkerId) -> bool {
        self.listeners.is_deaf(id)
    }
}

/// A part of a time.
fn part(of: Duration, parts: u32) -> Duration {
    of.checked_div(parts).unwrap_or_default()
}

impl View {
    /// Whether those who wait at another spot may be taken here.
    fn is_open(&self, other: Spot) -> bool {
        self.spot.listener == other.listener
            && self.spot != other
            && self.is_live
            && !self.is_deaf
            && self.waiting == 0
    }
}
