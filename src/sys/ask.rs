//! Looks at another process by a child of ours, which may hang in our stead.
//!
//! Some files of /proc take a lock of the process that they tell of: `cmdline` and `environ` the one of its
//! memory, which it holds while it maps a file of a file server that is gone; `environ` and `syscall` the
//! one of execve(2), held while it closes such files; an epoll set's `fdinfo` that set's own, held while
//! a descriptor is asked or events are written to memory that somebody else fills. Who waits there may
//! not even be killed. `stat`, `statm` and the links in `fd` and `ns` take none that is held meanwhile:
//! a link is looked up under a spinlock and printed under RCU. What is left is the lock of a directory of /proc,
//! which only who can stop page faults of the kernel keeps; against that nobody who reads /proc is safe.
//!
//! # Safety: why this file
//!
//! A child that sends no signal at its end is made and reaped by calls that only libc has.
#![allow(unsafe_code, reason = "clone without a signal, and wait for it")]

use std::{os::fd::AsFd, sync::Mutex, time::Duration};

use cap_std::fs::Dir;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io, pipe,
};

use super::{Pid, panic, signals, spawn};

/// How long we wait for an answer; nothing else is done meanwhile.
const PATIENCE: Duration = Duration::from_millis(50);
/// Children that may hang at any time.
const MOST_STUCK: usize = 8;
/// Processes that are remembered because an answer about them was late.
const MOST_LATE: usize = 64;
/// An answer is written at once or not at all (`PIPE_BUF`).
const LONGEST: usize = 4096;

/// What went wrong so far.
struct Record {
    stuck: usize,
    late: Vec<u32>,
}

static RECORD: Mutex<Record> = Mutex::new(Record { stuck: 0, late: Vec::new() });

/// What a look at this process finds in /proc, the only thing that is open there. Nothing when it takes too long, and from
/// then on: about each process
/// we wait in vain once.
pub(super) fn ask(about: u32, look: impl FnOnce(&Dir) -> Vec<u8>) -> Option<Vec<u8>> {
    sweep();
    let mut record = RECORD.lock().ok()?;
    if record.stuck >= MOST_STUCK || record.late.contains(&about) {
        return None;
    }
    let (ours, theirs) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC).ok()?;
    // No handler may run in the child, and none cuts our waiting short.
    let before = signals::Set::FULL.block();
    let child = fork(|| {
        spawn::let_go(&[theirs.as_fd()]);
        let_go_of_streams();
        let proc = Dir::open_ambient_dir("/proc", cap_std::ambient_authority());
        let answer = proc.map_or_else(|_| Vec::new(), |proc| look(&proc));
        if answer.len() <= LONGEST {
            let _ = io::write(&theirs, &answer);
        }
    });
    drop(theirs);
    let answer = child.and_then(|child| {
        let answer = await_answer(&ours);
        if answer.is_none() {
            let _ = signals::kill(child, signals::KILL);
            record.stuck = record.stuck.saturating_add(1);
            if record.late.len() >= MOST_LATE {
                record.late.remove(0);
            }
            record.late.push(about);
        } else {
            // It has nothing left to do or to close that could take time.
            reap(child.get(), 0);
        }
        answer
    });
    before.block();
    answer
}

/// Reaps those that did not answer and are dead by now. Nobody else sees any of them, not even a wait for all.
pub(super) fn sweep() {
    let Ok(mut record) = RECORD.lock() else { return };
    while record.stuck > 0 && reap(-1, libc::WNOHANG) {
        record.stuck = record.stuck.saturating_sub(1);
    }
}

fn await_answer(from: impl AsFd) -> Option<Vec<u8>> {
    let limit = Timespec::try_from(PATIENCE).ok()?;
    let mut fds = [PollFd::new(&from, PollFlags::IN)];
    if poll(&mut fds, Some(&limit)) != Ok(1) {
        return None;
    }
    let mut room = vec![0; LONGEST];
    let read = io::read(&from, &mut room).ok()?;
    room.truncate(read);
    Some(room)
}

fn reap(child: i32, how: i32) -> bool {
    // SAFETY: numbers, and no place for a status.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WCLONE | how) > 0 }
}

/// A stream may be a file of a server that is gone, which is found out by closing it: now, not after the answer.
fn let_go_of_streams() {
    // SAFETY: numbers, in a child that uses none of them.
    unsafe { libc::syscall(libc::SYS_close_range, 0, 2, 0) };
}

/// A child whose end is no signal, so that whoever reaps workers and orphans does not meet it.
fn fork(run: impl FnOnce()) -> Option<Pid> {
    // SAFETY: without flags it is fork(2). We have one thread, so that the child may do what we may;
    // it never returns.
    let child = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if child == 0 {
        run();
        panic::leave(0);
    }
    Pid::new(i32::try_from(child).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::sys::{reap, testing::alone};

    fn hang(_: &Dir) -> Vec<u8> {
        loop {
            #[expect(clippy::disallowed_methods, reason = "that is the point")]
            std::thread::sleep(Duration::from_secs(600));
        }
    }

    fn is_stuck() -> usize {
        sweep();
        RECORD.lock().unwrap().stuck
    }

    #[test]
    fn an_answer_comes_whole_and_the_child_leaves_nothing_behind() {
        alone("sys::ask::tests::an_answer_comes_whole_and_the_child_leaves_nothing_behind", || {
            for length in [0, 1, LONGEST] {
                assert_eq!(ask(1, |_| vec![7; length]), Some(vec![7; length]));
            }
            assert_eq!(ask(1, |_| vec![7; LONGEST + 1]), Some(vec![]));
            assert!(!reap(-1, libc::WNOHANG));
            let open = crate::sys::testing::open_descriptors();
            ask(1, |_| vec![]);
            assert_eq!(open, crate::sys::testing::open_descriptors());
        });
    }

    #[test]
    fn who_is_late_is_waited_for_once_and_others_are_asked_on() {
        alone("sys::ask::tests::who_is_late_is_waited_for_once_and_others_are_asked_on", || {
            #[expect(clippy::disallowed_methods, reason = "a test has no turns")]
            let begin = Instant::now();
            assert_eq!(ask(1, hang), None);
            assert!(begin.elapsed() >= PATIENCE);
            // It is no child that anybody waits for.
            assert_eq!((reap::reap(), reap::has_children()), (None, false));
            assert_eq!(ask(1, |_| panic!("is not asked again")), None);
            assert_eq!(ask(2, |_| vec![2]), Some(vec![2]));
            while is_stuck() > 0 {}
            assert_eq!(ask(1, |_| vec![1]), None);
        });
    }

    #[test]
    fn only_so_many_children_hang_and_only_so_many_names_are_kept() {
        alone(
            "sys::ask::tests::only_so_many_children_hang_and_only_so_many_names_are_kept",
            || {
                RECORD.lock().unwrap().stuck = MOST_STUCK - 1;
                assert_eq!(ask(1, |_| vec![1]), Some(vec![1]));
                RECORD.lock().unwrap().stuck = MOST_STUCK;
                assert_eq!(ask(1, |_| vec![1]), None);
                let mut record = RECORD.lock().unwrap();
                (record.stuck, record.late) = (0, (100..164).collect());
                drop(record);
                assert_eq!(ask(1, hang), None);
                assert_eq!(RECORD.lock().unwrap().late.len(), MOST_LATE);
                assert_eq!((ask(1, |_| vec![1]), ask(100, |_| vec![1])), (None, Some(vec![1])));
            },
        );
    }
}
