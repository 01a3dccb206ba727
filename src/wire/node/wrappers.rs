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
    limit: usize,
}

impl<T> Wrappers<T> {
    /// At most so many may be under way.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { outstanding: VecDeque::new(), limit }
    }

    /// Notes one that is sent now; hands it back when too many are under way already.
    pub fn note_sent(&mut self, message: T) -> Result<(), T> {
        if self.outstanding.len() >= self.limit {
            return Err(message);
        }
        self.outstanding.push_back(message);
        Ok(())
    }

    /// Notes an answer: `arrived` for an ACK.
    pub fn note_answer(&mut self, arrived: bool) -> Answer<T> {
        match self.outstanding.pop_front() {
            Some(message) if arrived => Answer::Taken(message),
            Some(message) => Answer::Lost(message),
            None => Answer::Unasked,
        }
    }

    /// Takes the next unanswered one, when the channel is gone.
    pub fn take_unanswered(&mut self) -> Option<T> {
        self.outstanding.pop_front()
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// Whether none is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }
}
