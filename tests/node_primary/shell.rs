//! Hands for the primary: real channels, real sockets, real Node processes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{ErrorKind, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dutch_master::{
    Timestamp,
    wire::node::{
        SockName, Target,
        primary::{Attachment, Effect, Event, Options, Primary},
    },
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, FdFlags, fcntl_setfd},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};

/// A message under way: its bytes, how many are sent, and what goes with the first.
type Unsent = (Vec<u8>, usize, Option<OwnedFd>);

struct Worker {
    child: Child,
    channel: Option<OwnedFd>,
    unsent: VecDeque<Unsent>,
    descriptors: VecDeque<OwnedFd>,
}

pub(crate) struct Shell {
    primary: Primary,
    start: Instant,
    node: String,
    app: String,
    workers: BTreeMap<u64, Worker>,
    next_worker: u64,
    listeners: BTreeMap<u64, TcpListener>,
    watched: BTreeSet<u64>,
    connections: BTreeMap<u64, OwnedFd>,
    next_connection: u64,
    pub(crate) ready: BTreeSet<u64>,
    pub(crate) gone: BTreeSet<u64>,
    /// What was neither a message nor a matter of course.
    pub(crate) odd: Vec<Effect>,
    pub(crate) rescued: usize,
}

impl Shell {
    pub(crate) fn new(node: &str, app: &str, options: Options) -> Self {
        Self {
            primary: Primary::new(options),
            start: now(),
            node: node.into(),
            app: app.into(),
            workers: BTreeMap::new(),
            next_worker: 1,
            listeners: BTreeMap::new(),
            watched: BTreeSet::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            ready: BTreeSet::new(),
            gone: BTreeSet::new(),
            odd: vec![],
            rescued: 0,
        }
    }

    pub(crate) fn start(&mut self, replaces: Option<u64>) -> u64 {
        let number = self.next_worker;
        self.next_worker += 1;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        rustix::io::ioctl_fionbio(&ours, true).unwrap();
        fcntl_setfd(&theirs, FdFlags::empty()).unwrap();
        let child = Command::new(&self.node)
            .args([&self.app])
            .env("NODE_CHANNEL_FD", theirs.as_raw_fd().to_string())
            .env("NODE_UNIQUE_ID", number.to_string())
            .env_remove("NODE_CHANNEL_SERIALIZATION_MODE")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (unsent, descriptors) = (VecDeque::new(), VecDeque::new());
        self.workers.insert(number, Worker { child, channel: Some(ours), unsent, descriptors });
        self.event(Event::Joined { member: number, replaces });
        number
    }

    pub(crate) fn port(&self) -> u16 {
        self.listeners.values().next().unwrap().local_addr().unwrap().port()
    }

    pub(crate) fn drain(&mut self, member: u64) {
        self.event(Event::Drain { member });
    }

    pub(crate) fn settled(&mut self) {
        self.event(Event::Settled);
    }

    pub(crate) fn kill(&mut self, member: u64) {
        self.workers.get_mut(&member).unwrap().child.kill().unwrap();
    }

    /// How many connections are held: none, when nothing is going on.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections.len()
    }

    /// Works until something is so; panics with what was seen when it takes too long.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let limit = now() + Duration::from_secs(120);
        while !is_so(self) {
            assert!(now() < limit, "{what} takes too long: {:?} {:?}", self.odd, self.gone);
            self.turn(Duration::from_millis(20));
        }
    }

    /// One turn of the loop.
    pub(crate) fn turn(&mut self, longest: Duration) {
        for (member, readable, writable) in self.ready_channels(longest) {
            if writable {
                self.flush(member);
            }
            if readable {
                self.read(member);
            }
        }
        for listener in self.watched.clone() {
            while self.primary.wants_connection(listener) && self.accept(listener) {}
        }
        self.reap();
        self.primary.tick(self.stamp());
        self.obey();
    }

    fn ready_channels(&self, longest: Duration) -> Vec<(u64, bool, bool)> {
        let mut members = vec![];
        let mut fds = vec![];
        for (number, worker) in &self.workers {
            let Some(channel) = &worker.channel else { continue };
            let write = if worker.unsent.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            fds.push(PollFd::new(channel, PollFlags::IN | write));
            members.push(*number);
        }
        for listener in &self.watched {
            fds.push(PollFd::new(&self.listeners[listener], PollFlags::IN));
        }
        let longest = Timespec::try_from(longest).unwrap();
        poll(&mut fds, Some(&longest)).unwrap();
        let over = PollFlags::HUP | PollFlags::ERR;
        let ready = members.into_iter().zip(&fds).map(|(member, fd)| {
            let flags = fd.revents();
            (member, flags.intersects(PollFlags::IN | over), flags.contains(PollFlags::OUT))
        });
        ready.collect()
    }

    fn read(&mut self, member: u64) {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let Some(worker) = self.workers.get_mut(&member) else { return };
            let Some(channel) = &worker.channel else { return };
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let slices = &mut [IoSliceMut::new(&mut bytes)];
            let length = match recvmsg(channel, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) => message.bytes,
                Err(Errno::AGAIN) => return,
                Err(_) => 0,
            };
            let before = worker.descriptors.len();
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    worker.descriptors.extend(fds);
                }
            }
            let descriptors = worker.descriptors.len() - before;
            if length == 0 {
                worker.channel = None;
                return self.event(Event::Closed { member });
            }
            self.event(Event::Received { member, bytes: &bytes[..length], descriptors });
        }
    }

    fn accept(&mut self, listener: u64) -> bool {
        let fd = match self.listeners[&listener].accept() {
            Ok((stream, _)) => OwnedFd::from(stream),
            Err(fault) => {
                assert_eq!(fault.kind(), ErrorKind::WouldBlock);
                return false;
            }
        };
        rustix::io::ioctl_fionbio(&fd, true).unwrap();
        let connection = self.next_connection;
        self.next_connection += 1;
        self.connections.insert(connection, fd);
        self.event(Event::Accepted { listener, connection });
        true
    }

    fn reap(&mut self) {
        let numbers: Vec<u64> = self.workers.keys().copied().collect();
        for member in numbers {
            if self.workers.get_mut(&member).unwrap().child.try_wait().unwrap().is_none() {
                continue;
            }
            self.read(member);
            self.workers.remove(&member);
            self.ready.remove(&member);
            self.gone.insert(member);
            self.event(Event::Exited { member });
        }
    }

    fn event(&mut self, event: Event<'_>) {
        self.primary.handle(self.stamp(), event);
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(effect) = self.primary.next_effect() {
            match effect {
                Effect::Send { member, line, with } => self.send(member, line, with),
                Effect::Open { listener, target, .. } => self.open(listener, &target),
                Effect::CloseListener(listener) => drop(self.listeners.remove(&listener)),
                Effect::Watch { listener, on: true } => drop(self.watched.insert(listener)),
                Effect::Watch { listener, on: false } => drop(self.watched.remove(&listener)),
                Effect::Inspect(connection) => {
                    let untouched = is_untouched(&self.connections[&connection]);
                    self.rescued += usize::from(untouched);
                    self.primary.handle(self.stamp(), Event::Inspected { connection, untouched });
                }
                Effect::CloseConnection(connection) => drop(self.connections.remove(&connection)),
                Effect::CloseDescriptors { member, count } => {
                    let worker = self.workers.get_mut(&member).unwrap();
                    drop(worker.descriptors.drain(..count));
                }
                Effect::Ready(member) => drop(self.ready.insert(member)),
                Effect::Drained(member) => self.terminate(member),
                odd => self.odd.push(odd),
            }
        }
    }

    fn terminate(&mut self, member: u64) {
        if let Some(worker) = self.workers.get(&member) {
            let pid = rustix::process::Pid::from_child(&worker.child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    fn open(&mut self, listener: u64, target: &Target) {
        let outcome = match target {
            Target::Tcp { host: None, port, .. } => TcpListener::bind(("::", *port)),
            Target::Tcp { host: Some(host), port, .. } => TcpListener::bind((&**host, *port)),
            _ => Err(ErrorKind::Unsupported.into()),
        };
        let outcome = outcome.map_err(|fault| -fault.raw_os_error().unwrap_or(22)).map(|socket| {
            socket.set_nonblocking(true).unwrap();
            let at = socket.local_addr().unwrap();
            self.listeners.insert(listener, socket);
            Some(SockName { address: at.ip().to_string(), port: at.port(), v6: at.is_ipv6() })
        });
        self.primary.handle(self.stamp(), Event::Opened { listener, outcome });
    }

    fn send(&mut self, member: u64, line: Vec<u8>, with: Option<Attachment>) {
        let fd = with.map(|attachment| match attachment {
            Attachment::Listener(listener) => {
                OwnedFd::from(self.listeners[&listener].try_clone().unwrap())
            }
            Attachment::Connection(connection) => {
                self.connections[&connection].try_clone().unwrap()
            }
        });
        if let Some(worker) = self.workers.get_mut(&member) {
            worker.unsent.push_back((line, 0, fd));
        }
        self.flush(member);
    }

    fn flush(&mut self, member: u64) {
        let Some(worker) = self.workers.get_mut(&member) else { return };
        let Some(channel) = &worker.channel else { return };
        while let Some((line, sent, fd)) = worker.unsent.front_mut() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let fds = fd.as_ref().map(AsFd::as_fd);
            if let Some(fd) = &fds {
                ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
            }
            let slices = [IoSlice::new(&line[*sent..])];
            match sendmsg(channel, &slices, &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(length) => *sent += length,
                // The reading side will tell.
                Err(_) => return,
            }
            *fd = None;
            if *sent == line.len() {
                worker.unsent.pop_front();
            }
        }
    }

    fn stamp(&self) -> Timestamp {
        Timestamp::from_origin(self.start.elapsed())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for worker in self.workers.values_mut() {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no turn to read the clock in")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whether all that was received still waits to be read, and nothing but the handshake was sent.
fn is_untouched(connection: &OwnedFd) -> bool {
    let mut info = [0_u8; 136];
    let mut length = libc::socklen_t::try_from(info.len()).unwrap();
    // SAFETY: the kernel writes at most `length` bytes into `info`, which is that long.
    let result = unsafe {
        libc::getsockopt(
            connection.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0);
    // tcpi_bytes_acked and tcpi_bytes_received in struct tcp_info (linux/tcp.h).
    let number = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().unwrap());
    let (acked, received) = (number(120), number(128));
    let waiting = rustix::io::ioctl_fionread(connection).unwrap();
    let is_connected = info[0] == 1;
    acked <= 1 && is_connected && (received == waiting || received == waiting + 1)
}
