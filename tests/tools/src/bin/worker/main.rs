//! A small HTTP server that takes its sockets from the environment and misbehaves as it is told.
//!
//! Every knob is a `name=value` word (see [`tools::knobs`]): `boot` (ms before it is ready),
//! `boot-exit`, `boot-kill`, `boot-hang`, `extend` (s more to boot), `ready=off`, `crash-after` (ms), `exit-code`,
//! `ignore-term`, `term-exit`, `delay` (ms a request), `linger` (ms that idle connections outlive
//! the stop signal), `version`, `listen` (an address of its own), `watchdog` (ms between two signs
//! of life), `watchdog-for` (ms until they end), `fdstore`, `orphans`, `leak` (MiB a second),
//! `chatter` (KiB of output a second).

mod pages;
mod serve;
mod trouble;

use std::{
    env,
    process::{self, ExitCode},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};
use signal_hook::iterator::Signals;
use tools::{knobs::Knobs, notify};

/// What all threads of the worker see.
pub(crate) struct Worker {
    pub(crate) knobs: Knobs,
    pub(crate) who: String,
    pub(crate) stored: Mutex<String>,
    pub(crate) draining: Mutex<Option<Instant>>,
    pub(crate) busy: AtomicUsize,
    is_up: AtomicBool,
    pub(crate) wake: std::os::fd::OwnedFd,
}

impl Worker {
    fn new(knobs: Knobs) -> Self {
        let own = |name: &str| env::var(name).unwrap_or_default();
        let version = knobs.text("version").unwrap_or("none").to_owned();
        let who = format!(
            "pid={} worker={} slot={} generation={} version={version}",
            process::id(),
            own("DUTCH_MASTER_WORKER_ID"),
            own("DUTCH_MASTER_SLOT"),
            own("DUTCH_MASTER_GENERATION"),
        );
        Self {
            knobs,
            who,
            stored: Mutex::new("none".to_owned()),
            draining: Mutex::new(None),
            busy: AtomicUsize::new(0),
            is_up: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("an eventfd"),
        }
    }

    /// Stops accepting; what is in flight is finished.
    pub(crate) fn drain(&self) {
        let mut draining = self.draining.lock().expect("a drain");
        if draining.is_none() {
            *draining = Some(Instant::now());
            rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).expect("a wake-up");
        }
    }

    /// How long ago the drain began.
    pub(crate) fn drained_for(&self) -> Option<Duration> {
        self.draining.lock().expect("a drain").map(|since| since.elapsed())
    }
}

fn main() -> ExitCode {
    let knobs = Knobs::here();
    let worker = Arc::new(Worker::new(knobs));
    println!("worker up {}", worker.who);
    listen_to_signals(Arc::clone(&worker));
    trouble::at_boot(&worker.knobs);
    worker.is_up.store(true, Ordering::Release);
    let listeners = serve::listeners(&worker);
    trouble::store(&worker);
    if worker.knobs.text("ready") != Some("off") {
        notify::send(&format!("READY=1\nSTATUS=serving {}", worker.who)).expect("a notification");
    }
    trouble::when_ready(&worker);
    serve::until_drained(&worker, &listeners);
    println!("worker down {}", worker.who);
    ExitCode::from(u8::try_from(worker.knobs.number("term-exit").unwrap_or(0)).unwrap_or(255))
}

/// Says which signals come; a stop signal begins the drain unless it is to be ignored.
fn listen_to_signals(worker: Arc<Worker>) {
    let all = (1..=64).filter(|signal| {
        // 32 and 33 belong to the C library; the rest can't be caught, or accuse ourselves.
        ![4, 8, 9, 11, 17, 19, 32, 33].contains(signal)
    });
    let mut signals = Signals::new(all).expect("signal handlers");
    thread::spawn(move || {
        for signal in &mut signals {
            println!("worker signal={signal} {}", worker.who);
            let stops = matches!(signal, 2 | 3 | 15);
            if stops && !worker.knobs.is_on("ignore-term") {
                if !worker.is_up.load(Ordering::Acquire) {
                    trouble::kill_self(15);
                }
                worker.drain();
            }
        }
    });
}
