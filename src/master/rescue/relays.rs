//! Every relay and every probe under way, and what the kernel must know of them.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use super::part;
use crate::{
    master::listeners::Spot,
    sys::{
        Errno, diag,
        poll::{Interest, Poll},
        relay::{self, CHUNK, Relay},
        steer::Guest,
    },
};

/// How many clients are carried at the same time: 512 descriptors and 8 MiB, if all of them stall both
/// ways. Beyond it a client waits for a place, or for its worker.
const MOST: usize = 256;
/// A client that sends no more and is not answered for so long has gone: its own kernel forgets a
/// closed connection after a minute, too (`net.ipv4.tcp_fin_timeout`).
const SILENCE: Duration = Duration::from_secs(60);

/// A client on its way to another lane.
#[derive(Debug)]
struct Passage {
    relay: Relay,
    to: Spot,
    port: u16,
    /// Since when its client has ended, and what it had been answered by then.
    silent: Option<(Duration, u64)>,
}

/// A connection of ours in a deaf worker's queue: once it is gone from there, the worker hears again.
#[derive(Debug)]
pub(crate) struct Probe {
    fd: OwnedFd,
    pub(crate) port: u16,
    pub(crate) sent: Duration,
    is_connected: bool,
    /// Closed by the worker.
    pub(crate) is_answered: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Relays {
    poll: Poll,
    passages: BTreeMap<u64, Passage>,
    pub(crate) probes: BTreeMap<Spot, Probe>,
    next: u64,
    scratch: Vec<u8>,
    look_at: Duration,
    /// Clients carried so far, by listener.
    pub(crate) total: BTreeMap<usize, u64>,
}

/// The token of all probes; relays have numbers from 1.
const PROBES: u64 = 0;

impl Relays {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            poll: Poll::new()?,
            passages: BTreeMap::new(),
            probes: BTreeMap::new(),
            next: 1,
            scratch: Vec::new(),
            look_at: Duration::ZERO,
            total: BTreeMap::new(),
        })
    }

    /// Readable when any of them has something to do.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.as_fd()
    }

    /// For how many more there is room.
    pub(crate) fn room(&self) -> usize {
        MOST.saturating_sub(self.passages.len())
    }

    /// How many are carried now.
    pub(crate) fn count(&self) -> usize {
        self.passages.len()
    }

    /// Takes a client to another lane. It connects when [`Relays::turn`] is called next; until then the
    /// kernel must be told of [`Relays::guests`].
    pub(crate) fn begin(&mut self, client: OwnedFd, leg: (OwnedFd, u16), to: Spot) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let total = self.total.entry(to.listener).or_default();
        *total = total.saturating_add(1);
        let (leg, port) = leg;
        let relay = Relay::new(client, leg);
        self.passages.insert(number, Passage { relay, to, port, silent: None });
        number
    }

    /// Connects a client's leg.
    pub(crate) fn connect(&mut self, number: u64, to: std::net::SocketAddr) {
        let Some(passage) = self.passages.get_mut(&number) else { return };
        if relay::connect(passage.relay.leg(), to).is_ok() {
            self.carry(number);
        } else {
            self.passages.remove(&number);
        }
    }

    /// Sends a probe to a deaf worker; the kernel must have been told of its port.
    pub(crate) fn probe(
        &mut self,
        spot: Spot,
        (fd, port): (OwnedFd, u16),
        now: Duration,
    ) -> Result<(), Errno> {
        self.poll.add(&fd, PROBES, Interest::Write)?;
        let (is_connected, is_answered) = (false, false);
        self.probes.insert(spot, Probe { fd, port, sent: now, is_connected, is_answered });
        Ok(())
    }

    /// Connects a spot's probe.
    pub(crate) fn connect_probe(&mut self, spot: Spot, to: std::net::SocketAddr) {
        let Some(probe) = self.probes.get(&spot) else { return };
        if relay::connect(probe.fd.as_fd(), to).is_err() {
            self.probes.remove(&spot);
        }
        self.turn_probes();
    }

    /// Who must be led to a certain lane of a listener now: all who have not arrived.
    pub(crate) fn guests(&self, listener: usize) -> Vec<Guest> {
        let on_their_way = self.passages.values().filter(|one| !one.relay.is_connected());
        let legs = on_their_way.map(|one| (one.to, one.port));
        let probes = self.probes.iter().filter(|(_, probe)| !probe.is_connected);
        let probes = probes.map(|(spot, probe)| (*spot, probe.port));
        legs.chain(probes)
            .filter(|(to, _)| to.listener == listener)
            .map(|(to, port)| Guest { port, lane: to.short() })
            .collect()
    }

    /// Carries what there is to carry.
    pub(crate) fn turn(&mut self) {
        for ready in self.poll.wait(Some(Duration::ZERO)).unwrap_or_default() {
            match ready.token {
                PROBES => self.turn_probes(),
                number => self.carry(number),
            }
        }
    }

    fn carry(&mut self, number: u64) {
        self.scratch.resize(CHUNK, 0);
        let Some(passage) = self.passages.get_mut(&number) else { return };
        if !passage.relay.turn(&mut self.scratch, &self.poll, number) {
            self.passages.remove(&number);
        }
        if self.passages.is_empty() {
            self.scratch = Vec::new();
        }
    }

    fn turn_probes(&mut self) {
        for probe in self.probes.values_mut().filter(|probe| !probe.is_answered) {
            match (probe.is_connected, relay::is_connected(probe.fd.as_fd())) {
                (false, Ok(true)) => {
                    probe.is_connected = true;
                    relay::end(probe.fd.as_fd());
                    let _ = self.poll.modify(&probe.fd, PROBES, Interest::Read);
                }
                (false, Ok(false)) => {}
                (_, Err(_)) => probe.is_answered = true,
                (true, Ok(_)) => probe.is_answered = relay::has_answer(probe.fd.as_fd()),
            }
            if probe.is_answered {
                let _ = self.poll.remove(&probe.fd);
            }
        }
    }

    /// Gives up those whose client has gone without a word.
    fn give_up(&mut self, now: Duration) {
        self.passages.retain(|_, passage| {
            if !passage.relay.is_half_closed() {
                return true;
            }
            let answered = passage.relay.answered();
            let (since, _) =
                passage.silent.filter(|(_, before)| *before == answered).unwrap_or((now, answered));
            passage.silent = Some((since, answered));
            now.saturating_sub(since) < SILENCE
        });
    }

    /// When to look after those who are carried.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        (self.count() > 0).then_some(self.look_at)
    }

    /// Looks after them, if it is time.
    pub(crate) fn look(&mut self, now: Duration) {
        if self.look_at <= now {
            self.give_up(now);
            self.look_at = now.saturating_add(part(SILENCE, 2));
        }
    }
}

/// Where a client had connected to, and where it came from.
pub(crate) fn ends(client: BorrowedFd<'_>) -> Option<(std::net::SocketAddr, std::net::SocketAddr)> {
    // What the master carries must not count as the deaf worker's.
    let _ = diag::untag(client);
    relay::ends(client).ok()
}
