//! One worker's end of the cluster: its channel and what it has sent along.

use std::{collections::VecDeque, os::fd::OwnedFd};

use dutch_master::WorkerId;

use crate::sys::{channel::Channel, diag::Tag, poll::Interest};

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) worker: WorkerId,
    /// Until it is closed, by either side.
    pub(super) channel: Option<Channel>,
    /// What it has sent and no message has claimed yet, oldest first.
    pub(super) descriptors: VecDeque<OwnedFd>,
    /// What its connections are known by.
    pub(super) tag: Option<Tag>,
    /// Whether it is listened to.
    pub(super) is_heard: bool,
    /// Whether what is queued waits for the kernel to have fewer descriptors under way: it is
    /// writable meanwhile.
    pub(super) is_stuck: bool,
    interest: Interest,
    remarks: u8,
}

/// How many remarks about one worker are passed on: the log is not a worker's to fill.
const REMARKS: u8 = 20;

impl Peer {
    pub(super) fn new(worker: WorkerId, channel: Channel, tag: Option<Tag>) -> Self {
        Self {
            worker,
            channel: Some(channel),
            descriptors: VecDeque::new(),
            tag,
            is_heard: true,
            is_stuck: false,
            interest: Interest::Read,
            remarks: 0,
        }
    }

    /// Whether one more remark about it is worth passing on.
    pub(super) fn may_remark(&mut self) -> bool {
        self.remarks = self.remarks.saturating_add(1);
        self.remarks <= REMARKS
    }

    pub(super) fn close_descriptors(&mut self, count: usize) {
        self.descriptors.drain(..count.min(self.descriptors.len()));
    }

    /// What to wait for from now on, if that is news.
    pub(super) fn take_change(&mut self) -> Option<Interest> {
        let must_write = !self.is_stuck && self.channel.as_ref().is_some_and(Channel::must_flush);
        let interest = match (self.is_heard, must_write) {
            (true, true) => Interest::Both,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::Hangup,
        };
        (std::mem::replace(&mut self.interest, interest) != interest).then_some(interest)
    }
}
