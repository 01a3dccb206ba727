//! A captured server under test, and clients that count what goes wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::harness::{Master, Setup};

/// The server's program.
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/capture/server.py");
/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port that nobody has, nor the one above it, and that the kernel gives to nobody.
pub(crate) fn free_port() -> u16 {
    let seed = std::process::id().wrapping_mul(7919);
    for step in 0..1000_u32 {
        let offset = seed.wrapping_add(step.wrapping_mul(101)) % 11_000;
        let port = 18_000 + u16::try_from(offset).unwrap();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if claimed().lock().unwrap().insert(port) && is_free(port) && is_free(port + 1) {
            return port;
        }
    }
    panic!("no port is free");
}

/// Ports of other tests in this process.
fn claimed() -> &'static Mutex<BTreeSet<u16>> {
    static CLAIMED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    &CLAIMED
}

/// Where a server is.
pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A server in this mode, not started yet.
pub(crate) fn server(mode: &str, port: u16, workers: &str) -> Setup {
    serving(&[mode, &port.to_string()], workers)
}

/// The same with more words.
pub(crate) fn serving(words: &[&str], workers: &str) -> Setup {
    let command = [&["/usr/bin/python3", SERVER], words].concat();
    Setup::of(&command).set("CONTRACT", "capture").set("WORKERS", workers)
}

/// Starts it, and waits until all of it serves.
pub(crate) fn up(setup: Setup) -> Master {
    let master = setup.start();
    master.next("every worker ready");
    master
}

/// The same for a server that opens the port above its own as well: between two listens a busy machine
/// may take longer than is waited for the second one, where nothing is known yet.
#[track_caller]
pub(crate) fn up_with_both(setup: Setup, port: u16) -> Master {
    let master = up(setup);
    until(|| ask(at(port + 1), "hello").is_ok());
    master
}

/// Asks once. What went wrong is said in a word or two.
pub(crate) fn ask(to: SocketAddr, line: &str) -> Result<Vec<i64>, String> {
    let said = |step: &'static str| move |error: std::io::Error| format!("{step}: {error}");
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).map_err(said("connect"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(said("timeout"))?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(said("write"))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(said("read"))?;
    if text.is_empty() {
        return Err("cut: no answer".to_owned());
    }
    Ok(text.split_whitespace().map(|word| word.parse().unwrap()).collect())
}

/// Asks many times, each of whom must be answered. Returns who did how often.
#[track_caller]
pub(crate) fn crowd(to: SocketAddr, times: usize) -> BTreeMap<i64, usize> {
    let mut who = BTreeMap::new();
    for _ in 0..times {
        *who.entry(ask(to, "hello").unwrap()[0]).or_default() += 1;
    }
    who
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(is_so: impl Fn() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "it never is");
        thread::sleep(Duration::from_millis(50));
    }
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: usize,
    pub(crate) failed: BTreeMap<String, usize>,
}

impl Tally {
    pub(crate) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    #[track_caller]
    pub(crate) fn nothing_was_lost(&self) {
        assert!(self.failed.is_empty() && self.answered > 50, "{self:?}");
    }
}

/// Clients that ask all the time, a connection for each request.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(to: SocketAddr, clients: usize, line: &'static str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let tally = Arc::<Mutex<Tally>>::default();
        let client = |_| {
            let (over, tally) = (Arc::clone(&over), Arc::clone(&tally));
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let outcome = ask(to, line);
                    let mut tally = tally.lock().unwrap();
                    match outcome {
                        Ok(_) => tally.answered += 1,
                        Err(problem) => *tally.failed.entry(problem).or_default() += 1,
                    }
                }
            })
        };
        let threads = (0..clients).map(client).collect();
        Self { over, tally, threads }
    }

    /// Waits until so many more have been answered.
    #[track_caller]
    pub(crate) fn proceeds(&self, by: usize) {
        let answered = || self.tally.lock().unwrap().answered;
        let goal = answered() + by;
        let end = std::time::Instant::now() + crate::harness::PATIENCE;
        while answered() < goal {
            assert!(std::time::Instant::now() < end, "stuck: {:?}", self.tally.lock().unwrap());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn finish(self) -> Tally {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut self.tally.lock().unwrap())
    }
}

/// How many descriptors a process has.
pub(crate) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Waits until a process has no more descriptors than these: what is left of a worker goes a moment
/// after its exit is told.
#[track_caller]
pub(crate) fn settles(pid: u32, most: usize) {
    let end = std::time::Instant::now() + PATIENCE;
    while descriptors(pid) > most {
        let count = descriptors(pid);
        assert!(std::time::Instant::now() < end, "{count} descriptors, {most} at most expected");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a process sleeps and has not been woken for a while: on a busy machine it may have had
/// something left to do. Returns how often it was woken so far.
#[track_caller]
pub(crate) fn rests(pid: u32) -> u64 {
    until(|| {
        let before = wakes(pid);
        thread::sleep(Duration::from_millis(500));
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.contains("\nState:\tS") && wakes(pid) == before
    });
    wakes(pid)
}

/// How often a process has slept and was woken, or did not get to sleep at all.
pub(crate) fn wakes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let switches = text.lines().filter(|line| line.contains("ctxt_switches"));
    switches.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

/// How long a process has run, in ticks of a hundredth of a second.
pub(crate) fn ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = text.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}
