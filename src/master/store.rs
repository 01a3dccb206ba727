//! The descriptor store: what workers leave behind for the next worker of their slot.
//!
//! A worker sends descriptors with `FDSTORE=1` (`sd_notify(3)`); the slot's next worker gets them
//! behind its listeners. So state that lives in a memfd or a connection survives a restart.

use std::{collections::BTreeMap, os::fd::OwnedFd};

use crate::sys::host;

/// Descriptors that one slot may keep.
const MOST: usize = 128;

/// One descriptor that is kept.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) fd: OwnedFd,
    /// Not kept once the other side has hung up (`FDPOLL=` of `sd_notify(3)`).
    is_polled: bool,
}

/// What every slot keeps.
#[derive(Debug, Default)]
pub(crate) struct Store(BTreeMap<u16, Vec<Stored>>);

impl Store {
    /// What a slot keeps, in the order in which it came.
    pub(crate) fn of(&self, slot: u16) -> &[Stored] {
        self.0.get(&slot).map(Vec::as_slice).unwrap_or_default()
    }

    /// Drops what is of no use to anybody any more: its other side has hung up.
    pub(crate) fn prune(&mut self, slot: u16) {
        if let Some(kept) = self.0.get_mut(&slot) {
            kept.retain(|stored| !stored.is_polled || !host::has_hung_up(&stored.fd));
        }
    }

    /// Keeps descriptors. Returns how many there was no room for.
    pub(crate) fn keep(
        &mut self,
        slot: u16,
        name: &str,
        fds: Vec<OwnedFd>,
        is_polled: bool,
    ) -> usize {
        self.prune(slot);
        let kept = self.0.entry(slot).or_default();
        // A worker that stores again what it was given keeps one of it, as with systemd.
        let is_news = |fd: &OwnedFd| {
            !kept.iter().any(|old| old.name == name && host::is_same_file(&old.fd, fd))
        };
        let fds: Vec<OwnedFd> = fds.into_iter().filter(is_news).collect();
        let room = MOST.saturating_sub(kept.len());
        let refused = fds.len().saturating_sub(room);
        kept.extend(fds.into_iter().take(room).map(|fd| Stored {
            name: name.to_owned(),
            fd,
            is_polled,
        }));
        refused
    }

    /// Forgets a slot's descriptors of this name.
    pub(crate) fn forget(&mut self, slot: u16, name: &str) {
        if let Some(kept) = self.0.get_mut(&slot) {
            kept.retain(|stored| stored.name != name);
        }
    }

    /// Forgets what slots keep that exist no more.
    pub(crate) fn shrink(&mut self, slots: u16) {
        self.0.retain(|slot, _| *slot < slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_hung_up_is_dropped_unless_nobody_shall_look() {
        let mut store = Store::default();
        for is_polled in [true, false] {
            let (pipe, writer) = crate::sys::host::pipe().unwrap();
            store.keep(0, "pipe", vec![pipe], is_polled);
            assert_eq!(store.of(0).len(), 1);
            drop(writer);
            store.prune(0);
            assert_eq!(store.of(0).len(), usize::from(!is_polled));
        }
    }

    #[test]
    fn what_is_stored_again_is_kept_once() {
        let mut store = Store::default();
        let (pipe, _writer) = crate::sys::host::pipe().unwrap();
        for _ in 0..3 {
            assert_eq!(store.keep(0, "a", vec![pipe.try_clone().unwrap()], true), 0);
        }
        assert_eq!(store.of(0).len(), 1);
        store.keep(0, "b", vec![pipe], true);
        assert_eq!(store.of(0).len(), 2, "under another name it is another");
    }

    #[test]
    fn a_slot_keeps_a_bounded_number_by_name() {
        let fleet = |count| (0..count).map(|_| crate::sys::host::pipe().unwrap().0).collect();
        let mut store = Store::default();
        let slot = 0;
        assert_eq!(store.keep(slot, "a", fleet(100), false), 0);
        assert_eq!(store.keep(slot, "b", fleet(100), false), 72);
        store.forget(slot, "a");
        assert_eq!(store.of(slot).len(), 28);
        store.shrink(0);
        assert!(store.of(slot).is_empty());
    }
}
