//! The supervisor's signals: handlers that note who sent what and wake the loop.

use signal_hook::{
    iterator::backend::SignalDelivery, iterator::exfiltrator::WithOrigin,
    low_level::siginfo::Origin,
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    os::unix::net::UnixStream,
};

use super::{Errno, LAST, note_before_change};
use crate::sys::Pid;

/// Signals that accuse us of a defect (a handler that returns would loop on them), and the two that
/// nobody can take. And SIGPIPE, which stays ignored: a handler's own write into a pipe that is being
/// closed would bring the next one, for ever.
const NOT_TAKEN: &[i32] = &[
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSYS,
    libc::SIGTRAP,
    libc::SIGPIPE,
    libc::SIGKILL,
    libc::SIGSTOP,
];

/// A signal that has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    /// Its number.
    pub(crate) signal: i32,
    /// Who sent it; None when the kernel did, or someone outside our PID namespace.
    pub(crate) from: Option<Pid>,
    /// The sender's user id, where there is a sender.
    pub(crate) uid: Option<u32>,
}

/// The handlers, for as long as this value lives, and the descriptor that they wake.
#[derive(Debug)]
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
}

impl Signals {
    /// Puts a handler on every signal that can be taken; call it before anything is started.
    pub(crate) fn install() -> Result<Self, Errno> {
        let (read, write) = UnixStream::pair()?;
        let none: [i32; 0] = [];
        let delivery = SignalDelivery::with_pipe(read, write, WithOrigin::default(), none)?;
        let handle = delivery.handle();
        for signal in (1..=LAST).filter(|signal| !NOT_TAKEN.contains(signal)) {
            note_before_change(signal);
            match handle.add_signal(signal).map_err(Errno::from) {
                // libc keeps some of the real-time signals for itself: 32 and 33, musl 34 too.
                Err(Errno(libc::EINVAL)) if (32..=34).contains(&signal) => {}
                other => other?,
            }
        }
        Ok(Self { delivery })
    }

    /// Readable when a signal has arrived.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }

    /// Everything that has arrived since the last call, by number; never blocks.
    ///
    /// Of a signal that came many times at least one is kept, as the kernel itself does.
    pub(crate) fn drain(&mut self) -> Vec<Received> {
        self.delivery.pending().map(|origin| Received::of(&origin)).collect()
    }
}

impl Received {
    fn of(origin: &Origin) -> Self {
        let process = origin.process;
        Self {
            signal: origin.signal,
            from: process.and_then(|process| Pid::new(process.pid)),
            uid: process.map(|process| process.uid),
        }
    }
}
