//! Everything that a worker can do wrong, on demand.

use std::{
    hint,
    io::{Read, Seek, Write},
    mem,
    os::fd::{AsFd, OwnedFd},
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{signal, wait::waitpid},
    unistd::{ForkResult, Pid, fork},
};
use rustix::fs::{MemfdFlags, memfd_create};
use tools::{knobs::Knobs, notify};

use crate::Worker;

/// What happens before the worker is ready.
pub(crate) fn at_boot(knobs: &Knobs) {
    if let Some(seconds) = knobs.number("extend") {
        let longer = format!("EXTEND_TIMEOUT_USEC={seconds}000000");
        notify::send(&longer).expect("a notification");
    }
    if let Some(pause) = knobs.millis("boot") {
        thread::sleep(pause);
    }
    if knobs.is_on("boot-hang") {
        loop {
            thread::park();
        }
    }
    if let Some(signal) = knobs.number("boot-kill") {
        kill_self(signal);
    }
    if let Some(code) = knobs.number("boot-exit") {
        eprintln!("worker: this release is broken");
        process::exit(i32::try_from(code).unwrap_or(255));
    }
}

/// What happens from then on, each in a thread of its own.
pub(crate) fn when_ready(worker: &Arc<Worker>) {
    let knobs = &worker.knobs;
    if let Some(count) = knobs.number("orphans") {
        let living = knobs.millis("orphans-live").unwrap_or_default();
        thread::spawn(move || {
            orphans(count, living);
            println!("worker orphans={count}");
        });
    }
    if let Some(mebibytes) = knobs.number("leak") {
        thread::spawn(move || {
            loop {
                grow(mebibytes);
                thread::sleep(Duration::from_secs(1));
            }
        });
    }
    if let Some(kibibytes) = knobs.number("chatter") {
        thread::spawn(move || {
            let line = "chatter ".repeat(128);
            loop {
                (0..kibibytes).for_each(|_| println!("{}", line.trim_end()));
                thread::sleep(Duration::from_secs(1));
            }
        });
    }
    if let Some(pause) = knobs.millis("crash-after") {
        let code = knobs.number("exit-code").unwrap_or(1);
        thread::spawn(move || {
            thread::sleep(pause);
            process::exit(i32::try_from(code).unwrap_or(255));
        });
    }
    if let Some(pause) = knobs.millis("watchdog") {
        let end = knobs.millis("watchdog-for").map(|so_long| Instant::now() + so_long);
        thread::spawn(move || {
            while end.is_none_or(|end| Instant::now() < end) {
                notify::send("WATCHDOG=1").expect("a notification");
                thread::sleep(pause);
            }
        });
    }
}

/// Takes memory, touches it and never gives it back.
pub(crate) fn grow(mebibytes: u64) {
    for _ in 0..mebibytes {
        mem::forget(hint::black_box(vec![1_u8; 1024 * 1024]));
    }
}

/// Ends this process by a signal, as if from outside.
pub(crate) fn kill_self(number: u64) {
    let number = i32::try_from(number).unwrap_or(9);
    let signal = signal::Signal::try_from(number).expect("a signal");
    // SAFETY: the default action replaces whatever handler stood; nothing else depends on it.
    unsafe { signal::signal(signal, signal::SigHandler::SigDfl) }.ok();
    signal::kill(Pid::this(), signal).expect("a signal to ourselves");
    thread::park();
}

/// Leaves `count` grandchildren behind, whose parent is gone when they end.
pub(crate) fn orphans(count: u64, living: Duration) {
    for _ in 0..count {
        // SAFETY: the child only forks, sleeps and exits, all of which need no lock of ours.
        match unsafe { fork() } {
            Ok(ForkResult::Parent { child }) => drop(waitpid(child, None)),
            Ok(ForkResult::Child) => bear(living),
            Err(error) => println!("worker fork: {error}"),
        }
    }
}

fn bear(living: Duration) -> ! {
    // SAFETY: as above; neither process returns from here, and an orphan ends as any program does.
    unsafe {
        signal::signal(signal::Signal::SIGTERM, signal::SigHandler::SigDfl).ok();
        if matches!(fork(), Ok(ForkResult::Child)) && !living.is_zero() {
            thread::sleep(living);
        }
        nix::libc::_exit(0)
    }
}

/// Stores a descriptor with the master, for this slot's next worker.
pub(crate) fn store(worker: &Worker) {
    if !worker.knobs.is_on("fdstore") {
        return;
    }
    let fd = memfd_create("state", MemfdFlags::CLOEXEC).expect("a memfd");
    let mut file = std::fs::File::from(fd);
    write!(file, "{}", process::id()).expect("a state");
    notify::send("FDSTOREREMOVE=1\nFDNAME=state").expect("a notification");
    notify::send_with("FDSTORE=1\nFDNAME=state", Some(file.as_fd())).expect("a notification");
}

/// Reads what an earlier worker of this slot has stored.
pub(crate) fn restore(worker: &Worker, fd: OwnedFd) {
    let mut file = std::fs::File::from(fd);
    let mut text = String::new();
    file.rewind().expect("a state");
    file.read_to_string(&mut text).expect("a state");
    *worker.stored.lock().expect("the store") = text;
}
