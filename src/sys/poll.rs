//! Waits until a descriptor has something to say or a time is over: epoll, level-triggered.
//!
//! A descriptor is added with a token of the caller's choice, and the token is what comes back.

use rustix::{
    buffer::spare_capacity,
    event::Timespec,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    io::Errno as Raw,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use super::Errno;

/// What to wait for on one descriptor. An error or a hang-up is always reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interest {
    /// Something to read.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
    /// Only hang-up and error.
    Hangup,
    /// Once after it was added, and then whenever something changes.
    Change,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN | EventFlags::RDHUP,
            Self::Write => EventFlags::OUT,
            Self::Both => EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT,
            Self::Hangup => EventFlags::empty(),
            Self::Change => EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT | EventFlags::ET,
        }
    }
}

/// What one descriptor is ready for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Readiness {
    /// The token it was added with.
    pub(crate) token: u64,
    /// A read will not block: bytes, a connection, the end, or an error to collect.
    pub(crate) readable: bool,
    /// A write will not block.
    pub(crate) writable: bool,
    /// The other side has gone, at least for writing; what it sent may still be there to read.
    pub(crate) hangup: bool,
}

impl Readiness {
    fn of(event: Event) -> Self {
        let Event { flags, data, .. } = event;
        let over = EventFlags::HUP | EventFlags::ERR;
        Self {
            token: data.u64(),
            readable: flags.intersects(EventFlags::IN | over),
            writable: flags.intersects(EventFlags::OUT | EventFlags::ERR),
            hangup: flags.intersects(EventFlags::RDHUP | over),
        }
    }
}

/// The set of descriptors waited for.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    /// How many descriptors one wait reports; the rest come with the next, as the trigger is the level.
    pub(crate) const BATCH: usize = 256;

    /// An empty set.
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(Self::BATCH) })
    }

    /// Waits for `fd` from now on; EEXIST if it is in the set already.
    ///
    /// Closing the last copy of a descriptor removes it. A copy that a child inherited keeps it
    /// alive, so remove first what a child may hold.
    pub(crate) fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<(), Errno> {
        let data = EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, fd, data, interest.flags())?)
    }

    /// Changes what is waited for on `fd`, and its token.
    pub(crate) fn modify(
        &self,
        fd: impl AsFd,
        token: u64,
        interest: Interest,
    ) -> Result<(), Errno> {
        let data = EventData::new_u64(token);
        Ok(epoll::modify(&self.epoll, fd, data, interest.flags())?)
    }

    /// No longer waits for `fd`.
    pub(crate) fn remove(&self, fd: impl AsFd) -> Result<(), Errno> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// The set itself as a descriptor: readable when any member is ready.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Sleeps until something is ready or `timeout` is over (None: for ever; zero: does not sleep).
    ///
    /// Comes back with nothing when the time is over or a signal handler ran. Never early because of
    /// rounding: a wait for 1 ns takes a millisecond, so that a loop does not spin before a deadline.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<Vec<Readiness>, Errno> {
        let timeout = timeout.map(rounded_up);
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) => Ok(self.events.iter().copied().map(Readiness::of).collect()),
            Err(Raw::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The longest wait that `epoll_wait(2)` can express is about 24 days; waking up once a day costs nothing.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn rounded_up(timeout: Duration) -> Timespec {
    let nanos = timeout.min(LONGEST).as_nanos();
    let millis = i64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(i64::MAX);
    Timespec {
        tv_sec: millis.wrapping_div(1000),
        tv_nsec: millis.wrapping_rem(1000).saturating_mul(1_000_000),
    }
}

impl std::fmt::Debug for Poll {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Poll").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock;
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn a_wait_is_never_shorter_than_asked_however_small() {
        let mut poll = Poll::new().unwrap();
        for asked in [1, 999_999, 1_000_001, 2_500_000].map(Duration::from_nanos) {
            let start = clock::now();
            assert_eq!(poll.wait(Some(asked)).unwrap(), []);
            assert!(clock::now() >= start + asked);
        }
    }

    #[test]
    fn timeouts_are_rounded_up_to_milliseconds_and_bounded() {
        let millis = |time: Timespec| time.tv_sec * 1000 + time.tv_nsec / 1_000_000;
        let rounded = |nanos| millis(rounded_up(Duration::from_nanos(nanos)));
        assert_eq!([0, 1, 1_000_000, 1_000_001].map(rounded), [0, 1, 1, 2]);
        assert_eq!(millis(rounded_up(Duration::MAX)), 86_400_000);
    }

    #[test]
    fn what_is_not_read_is_reported_again() {
        let mut poll = Poll::new().unwrap();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        poll.add(&near, 42, Interest::Read).unwrap();
        assert_eq!(poll.wait(NOW).unwrap(), []);
        far.write_all(b"x").unwrap();
        let ready = Readiness { token: 42, readable: true, writable: false, hangup: false };
        assert_eq!(poll.wait(None).unwrap(), [ready]);
        assert_eq!(poll.wait(None).unwrap(), [ready]);
        near.read_exact(&mut [0]).unwrap();
        assert_eq!(poll.wait(NOW).unwrap(), []);
        drop(far);
        assert_eq!(poll.wait(None).unwrap(), [Readiness { hangup: true, ..ready }]);
    }

    #[test]
    fn interest_can_be_changed_and_taken_back() {
        let mut poll = Poll::new().unwrap();
        let (near, _far) = UnixStream::pair().unwrap();
        poll.add(&near, 1, Interest::Read).unwrap();
        assert_eq!(poll.add(&near, 1, Interest::Read), Err(Errno(libc::EEXIST)));
        poll.modify(&near, 2, Interest::Both).unwrap();
        let found = poll.wait(None).unwrap();
        assert_eq!((found[0].token, found[0].writable, found[0].readable), (2, true, false));
        poll.remove(&near).unwrap();
        assert_eq!(poll.wait(NOW).unwrap(), []);
        assert_eq!(poll.remove(&near), Err(Errno(libc::ENOENT)));
    }

    #[test]
    fn more_than_one_batch_of_descriptors_all_get_their_turn() {
        let mut poll = Poll::new().unwrap();
        let pairs: Vec<_> = (0..300).map(|_| UnixStream::pair().unwrap()).collect();
        for ((near, _), token) in pairs.iter().zip(0..) {
            poll.add(near, token, Interest::Write).unwrap();
        }
        let mut seen: Vec<u64> = vec![];
        for _ in 0..3 {
            seen.extend(poll.wait(None).unwrap().iter().map(|ready| ready.token));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 300);
    }
}
