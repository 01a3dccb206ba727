//! The kernel's order of a port's sockets: by their numbers in it connections are steered.
//!
//! The kernel counts sockets in the order in which they began to listen; when one ends, the last one
//! takes its number. Workers have our sockets and may shut them: that is noticed here, or connections
//! would go astray.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use super::Spot;
use crate::sys::{
    Errno,
    poll::{Interest, Poll},
};

/// The order for every listener.
#[derive(Debug)]
pub(super) struct Order {
    /// Every socket that listens, to hear of its end; in the order in which they end.
    ends: Poll,
    /// By listener: whose socket has which number.
    lanes: Vec<Vec<usize>>,
}

impl Order {
    pub(super) fn new(listeners: usize) -> Result<Self, Errno> {
        Ok(Self { ends: Poll::new()?, lanes: vec![Vec::new(); listeners] })
    }

    /// Readable when a socket has ended.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.ends.as_fd()
    }

    /// The lanes of a listener, each at its number.
    pub(super) fn of(&self, listener: usize) -> &[usize] {
        self.lanes.get(listener).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a spot's socket listens.
    pub(super) fn has(&self, spot: Spot) -> bool {
        self.of(spot.listener).contains(&spot.lane)
    }

    /// The number of a spot's socket.
    pub(super) fn number(&self, spot: Spot) -> Option<u32> {
        let at = self.of(spot.listener).iter().position(|lane| *lane == spot.lane)?;
        u32::try_from(at).ok()
    }

    /// A spot's socket has begun to listen.
    pub(super) fn join(&mut self, spot: Spot, socket: BorrowedFd<'_>) {
        if let Some(lanes) = self.lanes.get_mut(spot.listener) {
            lanes.push(spot.lane);
        }
        // Without memory for this its end is not heard of, as if nobody would ever shut it.
        let _ = self.ends.add(socket, spot.token(), Interest::Hangup);
    }

    /// Those that have ended since the last time.
    pub(super) fn ended(&mut self) -> Vec<Spot> {
        let ready = self.ends.wait(Some(Duration::ZERO)).unwrap_or_default();
        ready.into_iter().map(|each| Spot::of(each.token)).collect()
    }

    /// One of them does not count any more.
    pub(super) fn lose(&mut self, spot: Spot, socket: BorrowedFd<'_>) {
        let _ = self.ends.remove(socket.as_fd());
        let Some(lanes) = self.lanes.get_mut(spot.listener) else { return };
        if let Some(at) = lanes.iter().position(|lane| *lane == spot.lane) {
            lanes.swap_remove(at);
        }
    }
}

impl Spot {
    fn token(self) -> u64 {
        let [listener, lane] = [self.listener, self.lane].map(|of| u64::try_from(of).unwrap_or(0));
        (listener << 32) | lane
    }

    fn of(token: u64) -> Self {
        let [listener, lane] =
            [token >> 32, token & 0xffff_ffff].map(|of| usize::try_from(of).unwrap_or(usize::MAX));
        Self { listener, lane }
    }
}
