//! Looks at another process, or at files, by a child of ours, which may hang in our stead.
//!
//! Who opens a file of a file server that is gone may wait for ever.
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
/// The same for files, which may be far away; while the one who looks at them hangs, nobody else does.
pub(crate) const FILES_PATIENCE: Duration = Duration::from_secs(3);
/// Children that may hang at any time.
const MOST_STUCK: usize = 8;
/// Processes that are remembered because an answer about them was late.
const MOST_LATE: usize = 64;
/// How often in a row we wait in vain about one process: once may be a busy machine.
const TRIES: u32 = 5;
/// An answer is written at once or not at all (`PIPE_BUF`).
const LONGEST: usize = 4096;

/// A process about which an answer was late.
struct Doubt {
    about: u32,
    /// How often in a row.
    times: u32,
    /// Who was asked last, while it hangs.
    stuck: Option<Pid>,
}

/// What went wrong so far.
struct Record {
    late: Vec<Doubt>,
    /// Who looks at files and has not come back.
    scout: Option<Pid>,
}

static RECORD: Mutex<Record> = Mutex::new(Record { late: Vec::new(), scout: None });

impl Record {
    /// Whether somebody may be asked about a process. Whoever asks again while the last one hangs would
    /// hang as well.
    fn allows(&self, about: u32) -> bool {
        let is_hopeless = |one: &Doubt| one.stuck.is_some() || one.times >= TRIES;
        self.late.iter().filter(|one| one.stuck.is_some()).count() < MOST_STUCK
            && !self.late.iter().any(|one| one.about == about && is_hopeless(one))
    }

    fn note_late(&mut self, about: u32, child: Pid) {
        let known = self.late.iter().position(|one| one.about == about);
        let times = known.map_or(0, |at| self.late.remove(at).times).saturating_add(1);
        let oldest = self.late.iter().position(|one| one.stuck.is_none());
        if let Some(at) = oldest.filter(|_| self.late.len() >= MOST_LATE) {
            self.late.remove(at);
        }
        self.late.push(Doubt { about, times, stuck: Some(child) });
    }
}

/// Files did not answer within [`FILES_PATIENCE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Late;

/// What became of a question.
enum Outcome {
    Answer(Vec<u8>),
    /// It hangs, and has been killed as far as it can be.
    Hangs(Pid),
    /// There is no room for another process or pipe.
    Unasked,
}

/// What a look at this process finds in /proc, the only thing that is open there. Nothing when it takes
/// too long, nor while somebody hangs there, nor ever again after a few times in a row.
pub(super) fn ask(about: u32, look: impl FnOnce(&Dir) -> Vec<u8>) -> Option<Vec<u8>> {
    sweep();
    let mut record = RECORD.lock().ok()?;
    if !record.allows(about) {
        return None;
    }
    let outcome = send(PATIENCE, || {
        let proc = Dir::open_ambient_dir("/proc", cap_std::ambient_authority());
        proc.map_or_else(|_| Vec::new(), |proc| look(&proc))
    });
    match outcome {
        Outcome::Answer(answer) => {
            record.late.retain(|one| one.about != about);
            Some(answer)
        }
        Outcome::Unasked => None,
        Outcome::Hangs(child) => {
            record.note_late(about, child);
            None
        }
    }
}

/// What a look at files finds, 4 KiB at most. Where no child can be made we look ourselves.
///
/// # Errors
///
/// They take too long, or somebody still hangs there.
pub(crate) fn files(look: impl Fn() -> Vec<u8>) -> Result<Vec<u8>, Late> {
    sweep();
    let Ok(mut record) = RECORD.lock() else { return Ok(look()) };
    if record.scout.is_some() {
        return Err(Late);
    }
    match send(FILES_PATIENCE, &look) {
        Outcome::Answer(answer) => Ok(answer),
        Outcome::Hangs(scout) => {
            record.scout = Some(scout);
            Err(Late)
        }
        Outcome::Unasked => Ok(look()),
    }
}

fn send(patience: Duration, look: impl FnOnce() -> Vec<u8>) -> Outcome {
    let Ok((ours, theirs)) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC) else {
        return Outcome::Unasked;
    };
    // No handler may run in the child, and none cuts our waiting short.
    let before = signals::Set::FULL.block();
    let child = fork(|| {
        spawn::let_go(&[theirs.as_fd()]);
        let_go_of_streams();
        let answer = look();
        if answer.len() <= LONGEST {
            let _ = io::write(&theirs, &answer);
        }
    });
    drop(theirs);
    let outcome = child.map_or(Outcome::Unasked, |child| {
        if let Some(answer) = await_answer(&ours, patience) {
            // It has nothing left to do or to close that could take time.
            reap(child.get(), 0);
            return Outcome::Answer(answer);
        }
        let _ = signals::kill(child, signals::KILL);
        Outcome::Hangs(child)
    });
    before.block();
    outcome
}

/// Reaps those that did not answer and are dead by now. Nobody else sees any of them, not even a wait for all.
pub(super) fn sweep() {
    let Ok(mut record) = RECORD.lock() else { return };
    record.scout = record.scout.filter(|scout| is_running(*scout));
    for one in &mut record.late {
        one.stuck = one.stuck.filter(|child| is_running(*child));
    }
}

fn await_answer(from: impl AsFd, patience: Duration) -> Option<Vec<u8>> {
    let limit = Timespec::try_from(patience).ok()?;
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

/// Whether such a child has not ended; reaps it if it has.
fn is_running(child: Pid) -> bool {
    // SAFETY: numbers, and no place for a status.
    unsafe { libc::waitpid(child.get(), std::ptr::null_mut(), libc::__WCLONE | libc::WNOHANG) == 0 }
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
        hang_for_ever()
    }

    fn hang_for_ever() -> Vec<u8> {
        loop {
            #[expect(clippy::disallowed_methods, reason = "that is the point")]
            std::thread::sleep(Duration::from_secs(600));
        }
    }

    fn is_stuck() -> bool {
        sweep();
        RECORD.lock().unwrap().late.iter().any(|one| one.stuck.is_some())
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
    fn files_that_do_not_answer_are_asked_again_when_the_one_who_hung_there_is_gone() {
        alone(
            "sys::ask::tests::files_that_do_not_answer_are_asked_again_when_the_one_who_hung_there_is_gone",
            || {
                assert_eq!(files(|| vec![7; LONGEST]), Ok(vec![7; LONGEST]));
                #[expect(clippy::disallowed_methods, reason = "a test has no turns")]
                let begin = Instant::now();
                let hang =
                    || hang(&Dir::open_ambient_dir("/", cap_std::ambient_authority()).unwrap());
                assert_eq!(files(hang), Err(Late));
                assert!(begin.elapsed() >= FILES_PATIENCE);
                // Processes are asked on, and who hung is nobody's child.
                assert_eq!(ask(1, |_| vec![1]), Some(vec![1]));
                assert_eq!((reap::reap(), reap::has_children()), (None, false));
                // It was killed, which takes a moment.
                while files(|| vec![2]) != Ok(vec![2]) {
                    std::thread::yield_now();
                }
                assert!(RECORD.lock().unwrap().scout.is_none());
            },
        );
    }

    #[test]
    fn who_is_late_a_few_times_is_waited_for_no_more_and_others_are_asked_on() {
        alone(
            "sys::ask::tests::who_is_late_a_few_times_is_waited_for_no_more_and_others_are_asked_on",
            || {
                for _ in 0..TRIES {
                    #[expect(clippy::disallowed_methods, reason = "a test has no turns")]
                    let begin = Instant::now();
                    assert_eq!(ask(1, hang), None);
                    assert!(begin.elapsed() >= PATIENCE);
                    // It is no child that anybody waits for.
                    assert_eq!((reap::reap(), reap::has_children()), (None, false));
                    assert_eq!(ask(2, |_| vec![2]), Some(vec![2]));
                    while is_stuck() {}
                }
                assert_eq!(ask(1, |_| panic!("is not asked again")), None);
            },
        );
    }

    #[test]
    fn who_was_late_once_is_asked_again_unless_somebody_hangs_there() {
        alone(
            "sys::ask::tests::who_was_late_once_is_asked_again_unless_somebody_hangs_there",
            || {
                for _ in 0..TRIES {
                    assert_eq!(ask(1, hang), None);
                    while is_stuck() {}
                    assert_eq!(ask(1, |_| vec![1]), Some(vec![1]), "an answer ends the row");
                }
                let child = fork(|| drop(hang_for_ever())).unwrap();
                RECORD.lock().unwrap().note_late(1, child);
                assert_eq!(ask(1, |_| panic!("would hang as well")), None);
                signals::kill(child, signals::KILL).unwrap();
                while is_stuck() {}
                assert_eq!(ask(1, |_| vec![1]), Some(vec![1]));
            },
        );
    }

    #[test]
    fn only_so_many_children_hang_and_only_so_many_names_are_kept() {
        alone(
            "sys::ask::tests::only_so_many_children_hang_and_only_so_many_names_are_kept",
            || {
                let child = fork(|| drop(hang_for_ever())).unwrap();
                let note = |about| RECORD.lock().unwrap().note_late(about, child);
                (1..8).for_each(note);
                assert_eq!(ask(99, |_| vec![1]), Some(vec![1]));
                note(8);
                assert_eq!(ask(99, |_| vec![1]), None);
                signals::kill(child, signals::KILL).unwrap();
                while is_stuck() {}
                (100..164).for_each(|about| {
                    RECORD.lock().unwrap().note_late(about, child);
                    sweep();
                });
                assert_eq!(RECORD.lock().unwrap().late.len(), MOST_LATE);
                assert!(RECORD.lock().unwrap().late.iter().all(|one| one.about >= 100));
            },
        );
    }
}
