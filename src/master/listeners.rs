//! The listening sockets: opened once, held for the master's whole life, lent to workers.
//!
//! With one queue for all, every worker gets the same socket. With slots, each worker gets a *lane*:
//! a socket of its own for every TCP listener, all on one port (`SO_REUSEPORT`), and the kernel is
//! told which lanes get new connections. Lanes are never closed, so what waits in one waits for the
//! next worker that sits there; there are as many as there ever were workers at the same time.

mod aim;
mod captured;
mod order;
mod spots;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use cap_std::fs::Dir;
use dutch_master::{
    WorkerId,
    wire::listen::{Kind, Passed},
};

use crate::{
    config::{self, Account},
    contract::capture::Capture,
    sys::{
        Errno,
        diag::{self, Census, DiagError, drain::Drain},
        sockets::{self, AcceptQueue, Address, Options, SocketError},
        steer::Guest,
        users::{self, UserError},
    },
};

use order::Order;
pub(crate) use spots::{Spot, View};

/// Descriptors 0 to 2 are the worker's standard streams; systemd's first is 3 (`sd_listen_fds(3)`).
pub(crate) const FIRST_FD: i32 = 3;

/// Why a listener can't be opened.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// The kernel refused.
    Socket(String, SocketError),
    /// The owner of a socket file is nobody.
    Owner(String, UserError),
    /// Nobody would hear of sockets that end.
    Unheard(Errno),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(name, error) => write!(f, "listener {name}: {error}"),
            Self::Owner(name, error) => write!(f, "listener {name}: {error}"),
            Self::Unheard(error) => write!(f, "listeners can't be watched: {error}"),
        }
    }
}

/// One entry of `LISTEN`.
#[derive(Debug)]
struct Listener {
    name: String,
    /// With the port that the kernel chose where none was asked for.
    address: Address,
    options: Options,
    /// What everybody gets, unless each lane has its own.
    common: Option<OwnedFd>,
    /// Whether an accept on it returns at once when there is nobody.
    is_nonblocking: bool,
}

/// One worker's own sockets, one for each listener that has no common one.
#[derive(Debug)]
struct Lane {
    sockets: Vec<Option<OwnedFd>>,
    holder: Option<WorkerId>,
    is_live: bool,
    /// Whether new connections come here: to those who live, else to who is to live next.
    is_aimed: bool,
    /// The listeners on which its holder accepts nobody.
    deaf: BTreeSet<usize>,
    tag: Option<diag::Tag>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Listeners {
    entries: Vec<Listener>,
    lanes: Vec<Lane>,
    order: Order,
    ports: Vec<diag::Port>,
    /// Those of unmodified servers, under the contract `capture`.
    pub(crate) capture: Option<Capture>,
    /// Connections of our own that go to a certain lane, by listener.
    guests: BTreeMap<usize, Vec<Guest>>,
}

impl Listeners {
    /// Opens every listener, or says of each one that can't be why. `root` is `/`.
    pub(crate) fn open(
        wanted: &[config::Listener],
        in_slots: bool,
        root: &Dir,
    ) -> Result<Self, Vec<ListenError>> {
        let (mut listeners, mut faults) = (Vec::new(), Vec::new());
        for entry in wanted {
            match Listener::open(entry, in_slots, root) {
                Ok(listener) => listeners.push(listener),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let ports = listeners.iter().filter_map(Listener::lane_port).collect();
        let guests = BTreeMap::new();
        let order =
            Order::new(listeners.len()).map_err(|errno| vec![ListenError::Unheard(errno)])?;
        let lanes = Vec::new();
        let mut all = Self { entries: listeners, lanes, order, ports, guests, capture: None };
        if all.lends_lanes() {
            // A port in use, or a right that is missing, must show now and not at the first worker.
            all.add_lane().map_err(|fault| vec![fault])?;
        }
        Ok(all)
    }

    /// Whether workers have sockets of their own.
    pub(crate) fn has_lanes(&self) -> bool {
        self.capture.as_ref().is_some_and(Capture::has_lanes) || self.lends_lanes()
    }

    fn lends_lanes(&self) -> bool {
        self.entries.iter().any(|listener| listener.common.is_none())
    }

    /// Name and address of each, for the log.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, String)> {
        self.entries.iter().map(|each| (each.name.as_str(), each.address.to_string()))
    }

    /// Gives a worker its sockets: the lane of one who left connections waiting, else any free one.
    pub(crate) fn seat(&mut self, worker: WorkerId) -> Result<(), ListenError> {
        if !self.lends_lanes() {
            return Ok(());
        }
        let free = self.lanes.iter().enumerate().filter(|(_, lane)| lane.holder.is_none());
        let fullest = free.max_by_key(|(_, lane)| (lane.is_aimed, lane.waiting()));
        let fullest = fullest.map(|(index, _)| index);
        let index = match fullest {
            Some(index) => index,
            None => self.add_lane()?,
        };
        self.renew(index)?;
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.holder = Some(worker);
        }
        self.aim_at_successor(index);
        Ok(())
    }

    /// A worker's sockets and what it is to know of them.
    pub(crate) fn passed(&self, worker: WorkerId) -> Vec<(Passed, BorrowedFd<'_>)> {
        let lane = self.lane_of(worker);
        (FIRST_FD..)
            .zip(self.entries.iter().enumerate())
            .filter_map(|(fd, (index, listener))| {
                let own = || lane?.sockets.get(index)?.as_ref();
                let socket = listener.common.as_ref().or_else(own)?;
                Some((listener.passed(fd), socket.as_fd()))
            })
            .collect()
    }

    /// Copies of the stream sockets that all workers share, by their number in a worker. No call on
    /// them waits any more, here or there: a worker that waits for a connection is deaf to us.
    pub(crate) fn lent(&self) -> BTreeMap<i32, OwnedFd> {
        (FIRST_FD..)
            .zip(&self.entries)
            .filter(|(_, listener)| !matches!(listener.address, Address::Udp(_)))
            .filter_map(|(fd, listener)| {
                let copy = listener.common.as_ref()?.try_clone().ok()?;
                sockets::set_nonblocking(copy.as_fd(), true).ok()?;
                Some((fd, copy))
            })
            .collect()
    }

    /// Everybody who is connected, if the kernel tells.
    pub(crate) fn census(&self) -> Result<Census, DiagError> {
        diag::census(&self.every_port())
    }

    /// Begins to wait for the connections of a worker that was steered off.
    pub(crate) fn begin_drain(&self, worker: WorkerId, now: Duration) -> Option<Drain> {
        let tag = self.tag_of(worker)?;
        let captured = self.capture.as_ref().map_or(0, |capture| capture.bearers(tag));
        let lanes = self.lanes.iter().filter(|lane| lane.tag == Some(tag)).count();
        // Without an answer of the kernel's, what is young counts, too.
        let is_alone = captured.saturating_add(lanes) <= 1;
        let census = if is_alone { None } else { self.census().ok() };
        Some(Drain::begin(tag, now, census.as_ref()))
    }

    /// Whether no connection waits to be accepted by a worker.
    pub(crate) fn has_empty_queue(&self, worker: WorkerId) -> bool {
        self.lane_of(worker).is_none_or(|lane| lane.waiting() == 0)
            && self.captured_queue_is_empty(worker)
    }

    /// How many connections a worker holds, where it has sockets of its own.
    pub(crate) fn connections(&self, worker: WorkerId, census: &Census) -> Option<usize> {
        let tag = self.tag_of(worker)?;
        Some(census.load(tag, Duration::ZERO).connections)
    }

    /// Name, address and accept queue of each, the queue summed up over all lanes.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&str, String, Option<AcceptQueue>)> {
        self.entries.iter().enumerate().map(|(index, listener)| {
            let own = self.lanes.iter().filter_map(move |lane| lane.sockets.get(index)?.as_ref());
            let queues = listener.common.iter().chain(own);
            let queues = queues.filter_map(|socket| sockets::accept_queue(socket.as_fd()).ok());
            let sum = queues.reduce(|sum, queue| AcceptQueue {
                length: sum.length.saturating_add(queue.length),
                limit: sum.limit.saturating_add(queue.limit),
            });
            (listener.name.as_str(), listener.address.to_string(), sum)
        })
    }

    fn lane_of(&self, worker: WorkerId) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.holder == Some(worker))
    }

    fn add_lane(&mut self) -> Result<usize, ListenError> {
        let index = self.lanes.len();
        // Lanes may share a tag: a drain knows its own connections from younger ones.
        let number = index.checked_rem(diag::Tag::usable().into()).unwrap_or_default();
        let tag = u8::try_from(number.saturating_add(1)).ok().and_then(diag::Tag::new);
        let mut sockets = Vec::new();
        for listener in &mut self.entries {
            sockets.push(listener.open_own(tag, index == 0)?);
        }
        self.ports = self.entries.iter().filter_map(Listener::lane_port).collect();
        let deaf = BTreeSet::new();
        let (holder, is_live, is_aimed) = (None, false, false);
        for (listener, socket) in sockets.iter().enumerate() {
            if let Some(socket) = socket {
                self.order.join(Spot { listener, lane: index }, socket.as_fd());
            }
        }
        self.lanes.push(Lane { sockets, holder, is_live, is_aimed, deaf, tag });
        Ok(index)
    }

    /// Opens again what the lane's worker before has shut.
    fn renew(&mut self, index: usize) -> Result<(), ListenError> {
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        let places = self.entries.iter_mut().zip(&mut lane.sockets).enumerate();
        for (listener, (entry, place)) in places {
            let spot = Spot { listener, lane: index };
            if place.is_none() || self.order.has(spot) {
                continue;
            }
            *place = entry.open_own(lane.tag, false)?;
            if let Some(socket) = place {
                self.order.join(spot, socket.as_fd());
            }
        }
        Ok(())
    }
}

impl Lane {
    /// Connections that wait to be accepted.
    fn waiting(&self) -> u32 {
        let queues = self.sockets.iter().flatten();
        queues
            .filter_map(|socket| sockets::accept_queue(socket.as_fd()).ok())
            .map(|queue| queue.length)
            .sum()
    }
}

impl Listener {
    fn open(entry: &config::Listener, in_slots: bool, root: &Dir) -> Result<Self, ListenError> {
        let owner = |error| ListenError::Owner(entry.name.clone(), error);
        let is_lane = in_slots && matches!(entry.address, config::Address::Tcp(_));
        let options = Options {
            backlog: entry.backlog,
            v6only: entry.v6only,
            reuse_port: entry.reuseport || is_lane,
            reuse_address: false,
            mode: entry.mode,
            uid: entry.user.as_ref().map(|who| uid(root, who)).transpose().map_err(owner)?,
            gid: entry.group.as_ref().map(|who| gid(root, who)).transpose().map_err(owner)?,
        };
        let address = match &entry.address {
            config::Address::Tcp(inet) => Address::Tcp(inet.address),
            config::Address::Udp(inet) => Address::Udp(inet.address),
            config::Address::Unix(path) => Address::Unix(path.clone()),
            config::Address::Abstract(name) => Address::Abstract(name.clone()),
        };
        // As systemd passes them: who wants it otherwise sets it, and blocking loops exist.
        let is_nonblocking = entry.nonblock.unwrap_or_default();
        let name = entry.name.clone();
        let mut listener = Self { name, address, options, common: None, is_nonblocking };
        if !is_lane {
            listener.common = Some(listener.open_one()?);
        }
        Ok(listener)
    }

    /// Opens a socket, and remembers the port that the kernel chose.
    fn open_one(&mut self) -> Result<OwnedFd, ListenError> {
        let told = |error| ListenError::Socket(self.name.clone(), error);
        let socket = sockets::listen(&self.address, &self.options).map_err(told)?;
        self.adopt(&socket);
        Ok(socket)
    }

    /// Opens the first lane of a port, which must be nobody else's.
    fn claim(&mut self) -> Result<OwnedFd, ListenError> {
        let told = |error| ListenError::Socket(self.name.clone(), error);
        let mut lanes = sockets::lanes(&self.address, &self.options, 1).map_err(told)?;
        let Some(socket) = lanes.pop() else { return self.open_one() };
        self.adopt(&socket);
        Ok(socket)
    }

    fn adopt(&mut self, socket: &OwnedFd) {
        let _ = sockets::set_nonblocking(socket.as_fd(), self.is_nonblocking);
        if let Ok(address @ (Address::Tcp(_) | Address::Udp(_))) =
            sockets::local_address(socket.as_fd())
        {
            self.address = address;
        }
    }

    fn open_own(
        &mut self,
        tag: Option<diag::Tag>,
        is_first: bool,
    ) -> Result<Option<OwnedFd>, ListenError> {
        if self.common.is_some() {
            return Ok(None);
        }
        let socket = if is_first { self.claim()? } else { self.open_one()? };
        if let Some(tag) = tag {
            // Without tags a drain waits for a while and no longer.
            let _ = diag::set_tag(socket.as_fd(), tag);
        }
        Ok(Some(socket))
    }

    fn lane_port(&self) -> Option<diag::Port> {
        match self.address {
            Address::Tcp(address) if self.common.is_none() => Some(address.into()),
            _ => None,
        }
    }

    fn passed(&self, fd: i32) -> Passed {
        let kind = match self.address {
            Address::Tcp(_) => Kind::Tcp,
            Address::Udp(_) => Kind::Udp,
            Address::Unix(_) | Address::Abstract(_) => Kind::Unix,
        };
        Passed { name: self.name.clone(), fd, kind, address: self.address.to_string() }
    }
}

fn uid(root: &Dir, account: &Account) -> Result<u32, UserError> {
    match account {
        Account::Id(id) => Ok(*id),
        Account::Name(name) => users::user(root, name),
    }
}

fn gid(root: &Dir, account: &Account) -> Result<u32, UserError> {
    match account {
        Account::Id(id) => Ok(*id),
        Account::Name(name) => users::group(root, name),
    }
}
