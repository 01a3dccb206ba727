//! The sockets that workers' servers listen on: opened as they ask, held for everybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use dutch_master::wire::node::{SockName, Target};

use crate::sys::{
    diag::{self, Port},
    sockets::{self, AcceptQueue, Address, Fault, Options, SocketFile},
};

/// libuv's numbers for what a program is told when a server can't be opened.
const EACCES: i32 = -13;
const EBADF: i32 = -9;
const EINVAL: i32 = -22;
const ENAMETOOLONG: i32 = -36;
const EAFNOSUPPORT: i32 = -97;
const EADDRINUSE: i32 = -98;
const EADDRNOTAVAIL: i32 = -99;

/// libuv's flags for UDP sockets that take a port which others hold.
const UDP_REUSE_ADDRESS: u32 = 4;
const UDP_REUSE_PORT: u32 = 8;

/// How many servers are shown and counted: a worker can open many, and metrics are asked for often.
const SHOWN: usize = 32;

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    address: Address,
    /// What was asked for: another address only where the port was left to the kernel.
    asked: Option<String>,
    /// Its file, which goes with it; nothing for those of `LISTEN`, whose file stays.
    file: Option<SocketFile>,
}

/// Every socket, by its number.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    sockets: BTreeMap<u64, Socket>,
    /// Those from which nothing could be accepted for want of descriptors.
    deaf: BTreeSet<u64>,
    /// The sockets of `LISTEN`, by the number that each has in a worker.
    lent: BTreeMap<i32, OwnedFd>,
}

impl Listeners {
    /// None yet but those that programs may ask for with `listen({fd})`.
    pub(super) fn new(lent: BTreeMap<i32, OwnedFd>) -> Self {
        Self { lent, ..Self::default() }
    }

    pub(super) fn get(&self, number: u64) -> Option<BorrowedFd<'_>> {
        self.sockets.get(&number).map(|socket| socket.fd.as_fd())
    }

    /// Whether it is one of `LISTEN`, which workers hold as well.
    pub(super) fn is_lent(&self, number: u64) -> bool {
        self.sockets.get(&number).is_some_and(|socket| socket.asked.is_none())
    }

    /// How people call it.
    pub(super) fn name(&self, number: u64) -> String {
        self.sockets.get(&number).map_or_else(String::new, |socket| socket.address.to_string())
    }

    /// Every socket that a program has opened, as it was asked for, and its accept queue where it has
    /// one. Those of one name, such as any port of an address, are one.
    pub(super) fn queues(&self) -> impl Iterator<Item = (String, Option<AcceptQueue>)> {
        let mut queues: BTreeMap<&str, Option<AcceptQueue>> = BTreeMap::new();
        for socket in self.sockets.values() {
            let Some(name) = socket.asked.as_deref() else { continue };
            if queues.len() >= SHOWN && !queues.contains_key(name) {
                continue;
            }
            let (one, sum) =
                (sockets::accept_queue(socket.fd.as_fd()).ok(), queues.entry(name).or_default());
            *sum = match (*sum, one) {
                (Some(sum), Some(one)) => Some(AcceptQueue {
                    length: sum.length.saturating_add(one.length),
                    limit: sum.limit.saturating_add(one.limit),
                }),
                (sum, one) => sum.or(one),
            };
        }
        let queues: Vec<_> =
            queues.into_iter().map(|(name, queue)| (name.to_owned(), queue)).collect();
        queues.into_iter()
    }

    /// The ports of TCP, each once.
    pub(super) fn ports(&self) -> Vec<Port> {
        let ports = self.sockets.values().filter_map(|socket| match &socket.address {
            Address::Tcp(at) => Some((*at).into()),
            _ => None,
        });
        ports.collect::<BTreeSet<Port>>().into_iter().take(SHOWN).collect()
    }

    /// Opens a socket. What comes back is its TCP address, or libuv's errno.
    pub(super) fn open(
        &mut self,
        number: u64,
        target: &Target,
        backlog: Option<u32>,
    ) -> Result<Option<SockName>, i32> {
        let socket = match target {
            Target::Fd(fd) => self.borrow(*fd)?,
            _ => open(target, backlog)?,
        };
        let name = match &socket.address {
            Address::Tcp(at) => {
                Some(SockName { address: at.ip().to_string(), port: at.port(), v6: at.is_ipv6() })
            }
            _ => None,
        };
        if name.is_some() {
            // Without tags nobody knows how many connections a worker has.
            let _ = diag::clear_tag(socket.fd.as_fd());
        }
        self.sockets.insert(number, socket);
        Ok(name)
    }

    /// A socket of `LISTEN`; of our other descriptors, none is for them.
    fn borrow(&self, fd: i32) -> Result<Socket, i32> {
        let of_ours = self.lent.get(&fd).and_then(|lent| lent.try_clone().ok()).ok_or(EBADF)?;
        let address = sockets::local_address(of_ours.as_fd()).map_err(|_| EINVAL)?;
        Ok(Socket { fd: of_ours, address, asked: None, file: None })
    }

    /// Closes a socket, and removes its file.
    pub(super) fn close(&mut self, number: u64) {
        self.deaf.remove(&number);
        if let Some(Socket { file: Some(file), .. }) = self.sockets.remove(&number) {
            file.remove();
        }
    }

    pub(super) fn note_deaf(&mut self, number: u64) {
        self.deaf.insert(number);
    }

    pub(super) fn take_deaf(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.deaf)
    }
}

fn open(target: &Target, backlog: Option<u32>) -> Result<Socket, i32> {
    let (address, options) = wish(target)?;
    let options = Options { backlog, ..options };
    let file = match &address {
        Address::Unix(path) => SocketFile::at(path),
        _ => None,
    };
    let fd = sockets::listen(&address, &options).map_err(|error| errno(error.fault))?;
    let asked = Some(address.to_string());
    let address = sockets::local_address(fd.as_fd()).unwrap_or(address);
    Ok(Socket { fd, address, asked, file })
}

/// Where a server wants to listen, in the words of [`sockets`].
fn wish(target: &Target) -> Result<(Address, Options), i32> {
    let at = |host: &Option<String>, port| {
        let host = host.as_deref().map_or(Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), str::parse);
        host.map(|host| SocketAddr::new(host, port)).map_err(|_| EINVAL)
    };
    Ok(match target {
        Target::Tcp { host, port, v6only, .. } => {
            let options = Options { v6only: v6only.then_some(true), ..Options::default() };
            (Address::Tcp(at(host, *port)?), options)
        }
        Target::Udp { host, port, v6, flags } => {
            let host = host.clone().or_else(|| (!v6).then(|| "0.0.0.0".to_owned()));
            let options = Options {
                v6only: (flags & 1 == 1).then_some(true),
                reuse_port: flags & UDP_REUSE_PORT != 0,
                reuse_address: flags & UDP_REUSE_ADDRESS != 0,
                ..Options::default()
            };
            (Address::Udp(at(&host, *port)?), options)
        }
        Target::Path { path, readable_all, writable_all } => {
            path_wish(path, *readable_all, *writable_all)
        }
        Target::Fd(_) => return Err(EBADF),
    })
}

/// Node puts its working directory before a name that begins with a NUL, so the name is what follows
/// it.
fn path_wish(path: &str, readable_all: bool, writable_all: bool) -> (Address, Options) {
    if let Some((_, name)) = path.split_once('\0') {
        return (Address::Abstract(name.as_bytes().to_vec()), Options::default());
    }
    let open = (if readable_all { 0o444 } else { 0 }) | (if writable_all { 0o222 } else { 0 });
    let mode = (open != 0).then_some(0o755 | open);
    (Address::Unix(PathBuf::from(path)), Options { mode, ..Options::default() })
}

/// What libuv would say. A directory that is not there, it calls a lack of rights.
fn errno(fault: Fault) -> i32 {
    match fault {
        Fault::InUse | Fault::NotASocket => EADDRINUSE,
        Fault::Privileged | Fault::Denied | Fault::NoDirectory => EACCES,
        Fault::NoSuchAddress => EADDRNOTAVAIL,
        Fault::NoSuchFamily => EAFNOSUPPORT,
        Fault::NoName => EINVAL,
        Fault::TooLong => ENAMETOOLONG,
        Fault::Owner(errno) | Fault::Other(errno) => errno.0.saturating_neg(),
    }
}
