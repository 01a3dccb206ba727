//! What a drain waits for, counted from the moment its lane was steered off.
//!
//! With more workers than tags, several share one. But a lane that is steered off gets nothing new: what carries its tag and
//! is younger than the drain is another worker's. Only handshakes that were in progress may still add to it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{Census, Connection, DiagError, Name, Tag, look};

/// A connection on its way through the kernel when the lane was steered off is in the census by then.
const SETTLED: Duration = Duration::from_millis(100);
/// Late enough for nearly all of those, and early enough to count the others.
const FIRST_LOOK: Duration = Duration::from_millis(25);
/// A handshake that takes longer is no client's but a flood's: the kernel keeps those for a minute.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// So many are asked for one by one; with more, to go through all connections of the machine costs less.
const FEW: usize = 256;

/// One lane's connections, until they are finished.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    tag: Tag,
    began: Duration,
    half_open: HashSet<u64>,
    connections: HashMap<u64, Name>,
    /// They have been looked for once.
    is_counted: bool,
}

impl Drain {
    /// Begins, once the lane is steered off; looks around at once where other lanes have the same tag, so that their younger
    /// connections are not ours.
    pub(crate) fn begin(tag: Tag, now: Duration, census: Option<&Census>) -> Self {
        let mut drain = Self {
            tag,
            began: now,
            half_open: HashSet::new(),
            connections: HashMap::new(),
            is_counted: false,
        };
        if let Some(census) = census {
            drain.take(now, census);
        }
        drain
    }

    /// When to look first: while what was on its way still counts, or after it where others have the same tag.
    pub(crate) const fn first_look(&self) -> Duration {
        let wait = if self.is_counted { SETTLED } else { FIRST_LOOK };
        self.began.saturating_add(wait)
    }

    /// Whether it has to know of everybody, or can ask for its own connections.
    pub(crate) fn wants_census(&self) -> bool {
        !self.is_counted || !self.half_open.is_empty() || self.connections.len() > FEW
    }

    /// Whether it knows of connections that are not over, idle ones among them.
    pub(crate) fn has_some(&self) -> bool {
        !self.connections.is_empty()
    }

    /// What became of its own connections.
    pub(crate) fn look(&self) -> Result<Census, DiagError> {
        look(&self.connections.values().copied().collect::<Vec<_>>())
    }

    /// Whether nothing would be lost if the worker went now: all that may be its own is closed, or has been idle for so long.
    ///
    /// Connections that nobody has accepted count as long as they are open; ask the lane's accept queue as well.
    pub(crate) fn is_over(&mut self, now: Duration, census: &Census, idle: Duration) -> bool {
        self.take(now, census);
        let may_be_ours = |cookie: &u64| self.connections.contains_key(cookie);
        let mut connections = census.connections.iter().filter(|found| may_be_ours(&found.cookie));
        now.saturating_sub(self.began) >= SETTLED
            && self.half_open.is_empty()
            && !connections.any(|found| found.is_busy(idle))
    }

    /// How many connections it has left, idle or not.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.connections.len()
    }

    fn take(&mut self, now: Duration, census: &Census) {
        let age = now.saturating_sub(self.began);
        let is_new = age < SETTLED || !self.is_counted;
        let of_tag = census.connections.iter().filter(|found| found.tag == Some(self.tag));
        let named = |found: &Connection| (found.cookie, found.name);
        let open: HashMap<u64, Name> = of_tag.map(named).collect();
        if is_new || !self.half_open.is_empty() {
            self.connections = open;
        } else {
            self.connections.retain(|cookie, _| open.contains_key(cookie));
        }
        self.is_counted = true;
        let half_open: HashSet<u64> = census.half_open.iter().copied().collect();
        if is_new {
            self.half_open = half_open;
        } else if age < HANDSHAKE {
            self.half_open.retain(|cookie| half_open.contains(cookie));
        } else {
            self.half_open.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn tag(number: u8) -> Tag {
        Tag::new(number).unwrap()
    }

    /// Connections of tag 1 by their cookies, each with a request that is held; and handshakes.
    fn census(held: &[u64], half_open: &[u64]) -> Census {
        let connection = |&cookie: &u64| Connection {
            name: Name::default(),
            tag: Some(tag(1)),
            port: 80,
            cookie,
            is_waiting: false,
            unread: 0,
            unsent: 0,
            received: Duration::ZERO,
            sent: Duration::ZERO,
            has_asked: true,
            has_answered: false,
        };
        let connections = held.iter().map(connection).collect();
        Census { connections, listeners: vec![], half_open: half_open.to_vec() }
    }

    #[test]
    fn a_drain_is_over_when_all_its_connections_are_and_not_before_the_kernel_has_settled() {
        let mut drain = Drain::begin(tag(1), at(0), Some(&census(&[1, 2], &[])));
        assert!(!drain.is_over(at(200), &census(&[1, 2], &[]), IDLE));
        assert!(!drain.is_over(at(300), &census(&[2], &[]), IDLE));
        assert_eq!(drain.left(), 1);
        assert!(drain.is_over(at(400), &census(&[], &[]), IDLE));
        let mut empty = Drain::begin(tag(1), at(0), Some(&census(&[], &[])));
        assert!(!empty.is_over(at(99), &census(&[], &[]), IDLE));
        assert!(empty.is_over(at(100), &census(&[], &[]), IDLE));
    }

    #[test]
    fn a_drain_that_alone_has_its_tag_counts_what_it_finds_at_its_first_look_however_late() {
        for late in [50, 400] {
            let mut drain = Drain::begin(tag(1), at(0), None);
            assert_eq!((drain.first_look(), drain.wants_census()), (at(25), true));
            assert!(!drain.is_over(at(late), &census(&[1], &[70]), IDLE));
            assert!(!drain.is_over(at(late + 100), &census(&[2], &[71]), IDLE), "70 has become 2");
            assert!(!drain.wants_census(), "it knows its own");
            assert!(drain.is_over(at(late + 200), &census(&[3], &[71]), IDLE));
        }
    }

    #[test]
    fn younger_connections_of_the_same_tag_are_somebody_elses() {
        let mut drain = Drain::begin(tag(1), at(0), Some(&census(&[1], &[])));
        assert!(!drain.is_over(at(200), &census(&[1, 7], &[]), IDLE));
        assert!(drain.is_over(at(300), &census(&[7, 8], &[]), IDLE));
    }

    #[test]
    fn connections_of_another_tag_do_not_count() {
        let mut drain = Drain::begin(tag(2), at(0), Some(&census(&[1], &[])));
        assert!(drain.is_over(at(200), &census(&[1], &[]), IDLE));
    }

    #[test]
    fn a_connection_seen_late_by_the_kernel_counts() {
        let mut drain = Drain::begin(tag(1), at(0), Some(&census(&[], &[])));
        assert!(!drain.is_over(at(50), &census(&[1], &[]), IDLE));
        assert!(!drain.is_over(at(200), &census(&[1], &[]), IDLE));
    }

    #[test]
    fn a_handshake_in_progress_is_waited_for_and_so_is_what_becomes_of_it() {
        let mut drain = Drain::begin(tag(1), at(0), Some(&census(&[], &[70])));
        assert!(!drain.is_over(at(200), &census(&[], &[70, 71]), IDLE));
        assert!(!drain.is_over(at(300), &census(&[8], &[71]), IDLE), "70 has become 8");
        assert!(drain.is_over(at(400), &census(&[9], &[71]), IDLE));
    }

    #[test]
    fn a_flood_of_handshakes_holds_a_drain_for_seconds_only() {
        let mut drain = Drain::begin(tag(1), at(0), Some(&census(&[], &[70])));
        assert!(!drain.is_over(at(2999), &census(&[], &[70]), IDLE));
        assert!(drain.is_over(at(3000), &census(&[], &[70]), IDLE));
    }

    #[test]
    fn an_idle_connection_does_not_hold_a_drain() {
        let mut idle = census(&[1], &[]);
        for found in &mut idle.connections {
            (found.has_answered, found.received, found.sent) = (true, at(1500), at(1200));
        }
        let mut drain = Drain::begin(tag(1), at(0), Some(&idle));
        assert!(!drain.is_over(at(200), &idle, at(1201)));
        assert!(drain.is_over(at(200), &idle, at(1200)));
    }
}
