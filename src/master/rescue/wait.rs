//! The evidence that a worker is deaf: connections wait, and nobody has accepted any of them for a while.
//!
//! A queue's length proves little, as arrivals hide what is accepted. So a queue that has not become
//! shorter makes its lane a suspect, and then the kernel is asked by name who waits there, twice: if
//! all that waited the first time still do the second, nobody was accepted in between.

use std::{collections::BTreeSet, time::Duration};

use super::part;
use crate::sys::diag::{Census, Tag};

/// Those who waited, at one moment.
#[derive(Clone, Debug)]
struct Witnesses {
    at: Duration,
    cookies: BTreeSet<u64>,
    /// How long the queue was just before; others with the same tag may be among the cookies.
    length: usize,
}

/// A queue that was seen not to be empty.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    /// Since when nobody is known to have been accepted.
    since: Duration,
    length: u32,
    witnesses: Option<Witnesses>,
    is_proven: bool,
}

impl Wait {
    /// A queue of this length, where somebody has waited since then at most.
    pub(crate) const fn new(since: Duration, length: u32) -> Self {
        Self { since, length, witnesses: None, is_proven: false }
    }

    /// Looks at the queue again.
    pub(crate) fn update(&mut self, now: Duration, length: u32) {
        if length < self.length {
            *self = Self::new(now, length);
        }
        self.length = length;
    }

    /// How many wait.
    pub(crate) fn length(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// We have taken so many ourselves, which shows nothing of the worker.
    pub(crate) fn take(&mut self, count: u32) {
        self.length = self.length.saturating_sub(count);
    }

    /// For how long nobody has been seen to be accepted.
    pub(crate) fn lasts(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    /// Whether the kernel is worth asking, half of the limit before the end.
    pub(crate) fn is_suspect(&self, now: Duration, limit: Duration) -> bool {
        self.is_proven || self.lasts(now) >= part(limit, 2)
    }

    /// Whether it is proven that nobody was accepted for half of the limit, and likely for all of it.
    pub(crate) fn is_proven(
        &mut self,
        now: Duration,
        limit: Duration,
        (tag, port): (Tag, Option<u16>),
        census: &Census,
    ) -> bool {
        if self.is_proven {
            return true;
        }
        // All of a worker's listeners share its tag.
        let of_tag = census.connections.iter().filter(|one| {
            one.is_waiting && one.tag == Some(tag) && port.is_none_or(|port| one.port == port)
        });
        let waiting: BTreeSet<u64> = of_tag.map(|one| one.cookie).collect();
        let Some(before) = &self.witnesses else {
            let length = self.length();
            self.witnesses = Some(Witnesses { at: now, cookies: waiting, length });
            return false;
        };
        if now.saturating_sub(before.at) < part(limit, 2) {
            return false;
        }
        // Who was reset in the queue is counted there and not shown; of another lane with the same
        // tag, whoever waited has most likely been accepted meanwhile.
        let least = before.length.min(before.cookies.len());
        let still = before.cookies.intersection(&waiting).count();
        if still > 0 && still >= least {
            self.is_proven = true;
        } else {
            *self = Self::new(now, self.length);
        }
        self.is_proven
    }
}

#[cfg(test)]
mod tests {
    use crate::sys::diag::{Connection, Name};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(400);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn tag(number: u8) -> Tag {
        Tag::new(number).unwrap()
    }

    fn census(waiting: &[(u8, u64)]) -> Census {
        let connection = |&(number, cookie): &(u8, u64)| Connection {
            name: Name::default(),
            tag: Some(tag(number)),
            port: 80,
            cookie,
            is_waiting: true,
            unread: 0,
            unsent: 0,
            received: Duration::ZERO,
            sent: Duration::ZERO,
            has_asked: true,
            has_answered: false,
        };
        let connections = waiting.iter().map(connection).collect();
        Census { connections, listeners: vec![], half_open: vec![] }
    }

    /// Whether two looks, 200 ms apart, prove that a queue of this length stands still.
    fn is_proven(length: u32, first: &[(u8, u64)], second: &[(u8, u64)]) -> bool {
        let mut wait = Wait::new(at(0), length);
        assert!(wait.is_suspect(at(200), LIMIT));
        assert!(!wait.is_proven(at(200), LIMIT, (tag(1), Some(80)), &census(first)));
        assert!(!wait.is_proven(at(399), LIMIT, (tag(1), Some(80)), &census(first)), "too early");
        wait.is_proven(at(400), LIMIT, (tag(1), Some(80)), &census(second))
    }

    #[test]
    fn who_all_still_wait_prove_it() {
        assert!(is_proven(2, &[(1, 5), (1, 6)], &[(1, 5), (1, 6), (1, 7), (2, 8)]));
    }

    #[test]
    fn one_who_was_accepted_disproves_it_though_the_queue_grows() {
        assert!(!is_proven(2, &[(1, 5), (1, 6)], &[(1, 6), (1, 7), (1, 8)]));
    }

    #[test]
    fn accepted_connections_are_no_witnesses() {
        let mut accepted = census(&[(1, 5)]);
        accepted.connections[0].is_waiting = false;
        let mut wait = Wait::new(at(0), 1);
        assert!(!wait.is_proven(at(200), LIMIT, (tag(1), Some(80)), &census(&[(1, 5)])));
        assert!(!wait.is_proven(at(400), LIMIT, (tag(1), Some(80)), &accepted));
    }

    #[test]
    fn others_with_the_same_tag_may_be_accepted() {
        assert!(is_proven(1, &[(1, 5), (1, 90)], &[(1, 5), (1, 91)]));
    }

    #[test]
    fn one_that_was_reset_in_the_queue_does_not_hide_those_that_wait() {
        assert!(is_proven(3, &[(1, 5), (1, 6)], &[(1, 5), (1, 6)]));
        assert!(!is_proven(3, &[], &[]), "nobody is left to be rescued");
    }

    #[test]
    fn what_is_proven_stays_so_while_we_take_those_who_wait_and_until_the_worker_does() {
        let waiting = [(1, 5), (1, 6), (1, 7)];
        let mut wait = Wait::new(at(0), 3);
        for millis in [200, 400] {
            wait.is_proven(at(millis), LIMIT, (tag(1), Some(80)), &census(&waiting));
        }
        wait.take(1);
        wait.update(at(410), 2);
        assert!(wait.is_suspect(at(410), LIMIT));
        assert!(wait.is_proven(at(410), LIMIT, (tag(1), Some(80)), &census(&waiting[1..])));
        wait.update(at(420), 1);
        assert!(!wait.is_suspect(at(420), LIMIT));
    }

    #[test]
    fn a_queue_that_becomes_shorter_is_served() {
        let mut wait = Wait::new(at(0), 9);
        wait.update(at(150), 9);
        assert!(wait.is_suspect(at(200), LIMIT));
        wait.update(at(200), 8);
        assert!(!wait.is_suspect(at(399), LIMIT));
        assert!(wait.is_suspect(at(400), LIMIT));
        wait.update(at(400), 20);
        assert!(wait.is_suspect(at(400), LIMIT), "longer proves nothing");
    }
}
