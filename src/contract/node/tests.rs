//! Real Node processes as workers, in both modes: the `node` on PATH.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

mod hostile;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CString, OsStr},
    io::{Read, Write},
    net::TcpStream,
    num::NonZeroUsize,
    os::fd::AsFd,
    os::unix::ffi::OsStrExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Signal, WaitOptions, kill_process, waitpid};

use super::*;
use crate::sys::{
    Pid, clock,
    limits::Limits,
    spawn::{Group, Launch, candidates, spawn},
};

/// Where the worker finds its end.
const CHANNEL: i32 = 3;

struct World {
    cluster: Cluster,
    app: CString,
    pids: BTreeMap<WorkerId, Pid>,
    next: u64,
    ready: BTreeSet<WorkerId>,
    gone: BTreeSet<WorkerId>,
    asked: Vec<WorkerId>,
    odd: Vec<String>,
    ports: Vec<u16>,
}

fn text(text: impl Into<Vec<u8>>) -> CString {
    CString::new(text).unwrap()
}

fn path() -> Option<std::ffi::OsString> {
    std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, path)| path)
}

fn need_node() {
    let found = std::process::Command::new("node").arg("--version").output();
    assert!(found.is_ok(), "no node on PATH: scripts/test host installs it");
}

impl World {
    fn new(program: &str, options: Options) -> Self {
        Self {
            cluster: Cluster::new(options, BTreeMap::new()).unwrap(),
            app: text(program),
            pids: BTreeMap::new(),
            next: 0,
            ready: BTreeSet::new(),
            gone: BTreeSet::new(),
            asked: vec![],
            odd: vec![],
            ports: vec![],
        }
    }

    fn start(&mut self, replaces: Option<WorkerId>) -> WorkerId {
        let worker = WorkerId::from_number(self.next);
        self.next += 1;
        let channel = self.cluster.join(clock::now(), worker, replaces).unwrap();
        let environment = variables(worker, CHANNEL).map(|(name, value)| format!("{name}={value}"));
        let launch = Launch {
            candidates: candidates(OsStr::new("node"), path().as_deref()),
            argv: vec![text("node"), self.app.clone()],
            env: Some(environment.into_iter().map(text).collect()),
            own_pid_env: false,
            cwd: None,
            fds: vec![(CHANNEL, channel.as_fd())],
            credentials: None,
            group: Group::Own,
            limits: Limits::default(),
            filter: None,
        };
        self.pids.insert(worker, spawn(&launch).unwrap().pid);
        self.listen_to_news();
        worker
    }

    fn signal(&self, worker: WorkerId, signal: Signal) {
        let pid = rustix::process::Pid::from_raw(self.pids[&worker].get()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let limit = clock::now() + Duration::from_secs(60);
        while !is_so(self) {
            assert!(clock::now() < limit, "{what} takes too long: {:?}", self.odd);
            self.turn();
        }
    }

    fn turn(&mut self) {
        let mut outer = Poll::new().unwrap();
        outer.add(self.cluster.as_fd(), 0, Interest::Read).unwrap();
        outer.wait(Some(Duration::from_millis(10))).unwrap();
        self.cluster.turn(clock::now());
        let running: Vec<(WorkerId, Pid)> = self.pids.clone().into_iter().collect();
        for (worker, pid) in running {
            let pid = rustix::process::Pid::from_raw(pid.get());
            if waitpid(pid, WaitOptions::NOHANG).unwrap().is_some() {
                self.pids.remove(&worker);
                self.ready.remove(&worker);
                self.gone.insert(worker);
                self.cluster.exited(clock::now(), worker);
            }
        }
        self.listen_to_news();
    }

    fn listen_to_news(&mut self) {
        for news in self.cluster.take_news() {
            match news {
                News::Event(worker, WorkerEvent::Ready) => drop(self.ready.insert(worker)),
                // With nothing left to do it may be gone before that is heard.
                News::Event(worker, WorkerEvent::Drained) if self.gone.contains(&worker) => {}
                News::Event(worker, WorkerEvent::Drained) => self.signal(worker, Signal::TERM),
                News::Event(worker, WorkerEvent::RestartRequested) => self.asked.push(worker),
                News::Opened(at) => {
                    self.ports.extend(at.rsplit(':').next().unwrap().parse::<u16>());
                }
                odd => self.odd.push(format!("{odd:?}")),
            }
        }
    }

    fn boot(&mut self) -> [WorkerId; 2] {
        let workers = [self.start(None), self.start(None)];
        self.until("boot", |world| workers.iter().all(|worker| world.ready.contains(worker)));
        workers
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for worker in self.pids.keys() {
            self.signal(*worker, Signal::KILL);
        }
        for pid in self.pids.values() {
            let _ = waitpid(rustix::process::Pid::from_raw(pid.get()), WaitOptions::empty());
        }
    }
}

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node_primary/app.js");

fn request(port: u16) -> Result<(), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    if answer.contains("xxx") { Ok(()) } else { Err(format!("{answer:?}")) }
}

/// Lets a client ask without pause while something happens, and until it was answered a few times more.
/// What failed.
fn under_load(world: &mut World, act: impl FnOnce(&mut World)) -> Vec<String> {
    let must_stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let (port, client_stops, answers) = (world.ports[0], must_stop.clone(), answered.clone());
    let client = thread::spawn(move || {
        let mut failures = vec![];
        while !client_stops.load(Ordering::Relaxed) {
            match request(port) {
                Ok(()) => drop(answers.fetch_add(1, Ordering::Relaxed)),
                Err(failure) => failures.push(failure),
            }
        }
        failures
    });
    act(world);
    let most = answered.load(Ordering::Relaxed) + 10;
    world.until("ten answers more", |_| answered.load(Ordering::Relaxed) >= most);
    must_stop.store(true, Ordering::Relaxed);
    while !client.is_finished() {
        world.turn();
    }
    client.join().unwrap()
}

fn rolls_without_loss(options: Options) {
    need_node();
    let mut world = World::new(SERVER, options);
    let old = world.boot();
    let failures = under_load(&mut world, |world| {
        let new = old.map(|worker| world.start(Some(worker)));
        world.until("a roll", |world| new.iter().all(|worker| world.ready.contains(worker)));
        for worker in old {
            world.cluster.drain(clock::now(), worker);
        }
        world.until("a drain", |world| old.iter().all(|worker| world.gone.contains(worker)));
        world.cluster.settled(clock::now());
    });
    assert!(failures.is_empty(), "{failures:?}");
    world.until("the last answer", |world| world.cluster.connections.is_empty());
    assert_eq!((world.odd.len(), world.cluster.peers.len()), (0, 2), "{:?}", world.odd);
}

#[test]
fn a_roll_of_real_node_in_round_robin_loses_nothing() {
    rolls_without_loss(Options { in_flight: NonZeroUsize::MIN, ..Options::default() });
}

#[test]
fn a_roll_of_real_node_with_shared_sockets_loses_nothing() {
    rolls_without_loss(Options { shared: true, ..Options::default() });
}

#[test]
fn real_node_gets_every_kind_of_server_and_error() {
    need_node();
    let folder = std::env::temp_dir().join(format!("dutch-master-node-{}", Pid::own()));
    std::fs::create_dir_all(&folder).unwrap();
    let app = folder.join("app.js");
    std::fs::write(&app, EVERYTHING).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    std::fs::write(folder.join("port"), port.to_string()).unwrap();
    let mut world =
        World::new(std::str::from_utf8(app.as_os_str().as_bytes()).unwrap(), Options::default());
    let worker = world.start(None);
    world.until("every server", |world| !world.asked.is_empty());
    assert_eq!(world.asked, [worker], "its program saw what it should");
    let odd = world.odd.join(" ");
    assert!(odd.contains("-98") && odd.contains("-99") && odd.contains("-9 "), "{odd}");
    let mut through_path =
        std::os::unix::net::UnixStream::connect(folder.join("app.sock")).unwrap();
    let reader = thread::spawn(move || {
        let mut answer = String::new();
        through_path.read_to_string(&mut answer).unwrap();
        answer
    });
    while !reader.is_finished() {
        world.turn();
    }
    assert_eq!(reader.join().unwrap(), "by path");
    world.signal(worker, Signal::KILL);
    world.until("the end", |world| world.gone.contains(&worker));
    world.cluster.settled(clock::now());
    assert!(!folder.join("app.sock").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Opens one server of each kind and tries what must fail; asks for its restart when all is well.
const EVERYTHING: &str = r"
const net = require('net'), dgram = require('dgram'), fs = require('fs'), path = require('path');
const port = +fs.readFileSync(path.join(__dirname, 'port'), 'utf8');
const listening = (server, ...at) => new Promise((yes, no) => server.on('error', no).listen(...at, () => yes(server)));
const failing = (code, ...at) => listening(net.createServer(), ...at).then(
  () => { throw new Error('no ' + code); },
  (error) => { if (error.code !== code) throw error; });
(async () => {
  await listening(net.createServer((c) => c.end('by path')), path.join(__dirname, 'app.sock'));
  const four = await listening(net.createServer(), 0, '127.0.0.1');
  if (four.address().port === 0) throw new Error('no port');
  await listening(net.createServer(), { port: 0, host: '::1', ipv6Only: true });
  await new Promise((yes) => dgram.createSocket('udp4').bind(0, '127.0.0.1', yes));
  await failing('EADDRINUSE', port, '127.0.0.1');
  await failing('EADDRNOTAVAIL', 0, '192.0.2.1');
  await failing('EBADF', { fd: 0 });
  process.send({ event: 'request-restart' });
})().catch((error) => { console.error(error); process.exit(1); });
";
