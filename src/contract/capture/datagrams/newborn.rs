//! A UDP socket that has no address yet, and whether it has got one.
//!
//! A bind that was let go on is done by the kernel, unseen by us. Its thread has to wake up first, which
//! takes long on a busy machine and can be told; then it takes microseconds, unless it never comes.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use dutch_master::WorkerId;

use crate::sys::sockets::born;

/// When we look whether a bind has been done, after it was let go on.
const LOOKS: [Duration; 7] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    UNBOUND,
];
/// For so long after its thread has woken up, others wait for it, which may have had to wait for a
/// processor once more; after so long, it has failed.
const ALONE: Duration = Duration::from_millis(40);
const FAILED: Duration = Duration::from_millis(200);
/// Who has not called bind by then is a client.
const UNBOUND: Duration = Duration::from_secs(2);

/// One of them.
#[derive(Debug)]
pub(super) struct Newborn {
    pub(super) worker: WorkerId,
    /// The worker's name for it.
    pub(super) number: i32,
    /// Who asked for it.
    pub(super) thread: u32,
    pub(super) socket: OwnedFd,
    /// When it was made, or its bind let go on.
    pub(super) since: Duration,
    bind: Option<Bind>,
}

/// A bind that was let go on.
#[derive(Debug)]
struct Bind {
    /// The kernel's name for the call.
    call: u64,
    /// How often we have looked since.
    looks: usize,
    /// When its thread was first seen awake.
    awake: Option<Duration>,
    /// Whether others wait for it.
    holds_up: bool,
}

impl Newborn {
    pub(super) const fn new(
        worker: WorkerId,
        number: i32,
        thread: u32,
        socket: OwnedFd,
        since: Duration,
    ) -> Self {
        Self { worker, number, thread, socket, since, bind: None }
    }

    /// Its bind is about to be let go on: lets it share its port.
    pub(super) fn binds(&mut self, call: u64, now: Duration) {
        let _ = born::share(self.socket.as_fd());
        self.since = now;
        self.bind = Some(Bind { call, looks: 0, awake: None, holds_up: true });
    }

    /// When to look again.
    pub(super) fn look_at(&self) -> Duration {
        let looks = self.bind.as_ref().and_then(|bind| LOOKS.get(bind.looks));
        self.since.saturating_add(looks.copied().unwrap_or(UNBOUND))
    }

    /// Whether no other bind may be let go on, for the kernel's order would not be known.
    pub(super) fn holds_up(&self) -> bool {
        self.bind.as_ref().is_some_and(|bind| bind.holds_up)
    }

    /// Whether a bind that was let go on has been done.
    pub(super) fn is_bound(&self) -> bool {
        self.bind.is_some() && born::datagram_place(self.socket.as_fd()).is_some()
    }

    /// Looks whether its bind has failed, as it has not been done. `is_asleep`: whether the call's thread is.
    pub(super) fn look(&mut self, now: Duration, is_asleep: impl FnOnce(u64) -> bool) {
        let Some(bind) = &mut self.bind else { return };
        let passed = |wait: &&Duration| self.since.saturating_add(**wait) <= now;
        let looks = LOOKS.iter().filter(passed).count();
        if looks == bind.looks {
            return;
        }
        bind.looks = looks;
        if bind.awake.is_none() && !is_asleep(bind.call) {
            bind.awake = Some(now);
        }
        let awake = bind.awake.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let is_over = looks >= LOOKS.len();
        bind.holds_up = awake < ALONE && !is_over;
        if awake >= FAILED || is_over {
            // A client's, perhaps, which may get a port of the kernel's yet, of which it must be the only one.
            let _ = born::unshare(self.socket.as_fd());
            self.bind = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newborn() -> Newborn {
        let socket = born::make_for_datagrams(false, false).unwrap();
        Newborn::new(WorkerId::from_number(1), 3, 100, socket, Duration::ZERO)
    }

    fn shares(it: &Newborn) -> bool {
        rustix::net::sockopt::socket_reuseport(&it.socket).unwrap()
    }

    #[test]
    fn others_wait_for_a_bind_until_it_must_have_failed() {
        let mut it = newborn();
        assert_eq!(it.look_at(), UNBOUND);
        let start = Duration::from_secs(1);
        it.binds(7, start);
        assert!(it.holds_up() && shares(&it));
        for (millis, holds_up) in [(0, true), (1, true), (10, true), (50, false)] {
            it.look(start + Duration::from_millis(millis), |_| false);
            assert_eq!(it.holds_up(), holds_up, "{millis} ms");
        }
        assert!(shares(&it), "it may be done yet");
        it.look(start + Duration::from_millis(250), |_| false);
        assert!(!shares(&it));
        assert_eq!(it.look_at(), start + UNBOUND);
    }

    #[test]
    fn a_thread_that_has_not_run_yet_is_waited_for() {
        let mut it = newborn();
        it.binds(7, Duration::ZERO);
        for millis in [50, 250, 1000, 1999] {
            it.look(Duration::from_millis(millis), |call| call == 7);
            assert!(it.holds_up() && shares(&it), "{millis} ms");
        }
        it.look(UNBOUND, |_| true);
        assert!(!it.holds_up() && !shares(&it));
    }

    #[test]
    fn a_bind_that_is_done_is_seen() {
        let mut it = newborn();
        assert!(!it.is_bound());
        it.binds(7, Duration::ZERO);
        let at: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        rustix::net::bind(&it.socket, &at).unwrap();
        assert!(it.is_bound());
    }
}
