//! Which messages with a descriptor a worker has yet to answer.
//!
//! `NODE_HANDLE_ACK` and `NODE_HANDLE_NACK` carry no number: the order is all there is.

use alloc::collections::VecDeque;

/// What became of a message with a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<T> {
    /// It has arrived.
    Taken(T),
    /// The descriptor was lost on the way (the worker has too many open) and the message dropped.
    Lost(T),
    /// The worker answers what was never sent.
    Unasked,
}

/// The messages under way, oldest first.
#[derive(Debug, Clone)]
pub struct Wrappers<T> {
    outstanding: VecDeque<T>,
}

impl<T> Default for Wrappers<T> {
    fn default() -> Self {
        Self { outstanding: VecDeque::new() }
    }
}

impl<T> Wrappers<T> {
    /// Notes one that is sent now. Look first at how many are under way: a worker need not answer.
    pub fn note_sent(&mut self, message: T) {
        self.outstanding.push_back(message);
    }

    /// Notes an answer: `arrived` for an ACK.
    pub fn note_answer(&mut self, arrived: bool) -> Answer<T> {
        match self.outstanding.pop_front() {
            Some(message) if arrived => Answer::Taken(message),
            Some(message) => Answer::Lost(message),
            None => Answer::Unasked,
        }
    }

    /// How many are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.outstanding.len()
    }
}
