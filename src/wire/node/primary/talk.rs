//! How much a member has said lately: a flood costs the member that sends it, and nobody else.

use core::time::Duration;

use crate::Timestamp;

/// For how long talk is counted.
const SPAN: Duration = Duration::from_secs(1);
/// Each connection takes two messages, and no worker takes 10 000 connections a second.
const MESSAGES: u32 = 50_000;
/// Reading this much takes a few hundredths of a second.
const LENGTH: usize = 16 << 20;

/// What was said in the present span of time.
#[derive(Debug, Default)]
pub(super) struct Talk {
    since: Option<Timestamp>,
    messages: u32,
    length: usize,
    is_silenced: bool,
}

impl Talk {
    /// Counts, and says whether the member is to be silenced now.
    pub(super) fn note(&mut self, now: Timestamp, messages: u32, length: usize) -> bool {
        if self.since.is_none_or(|since| since.after(SPAN) <= now) && !self.is_silenced {
            *self = Self { since: Some(now), ..Self::default() };
        }
        self.messages = self.messages.saturating_add(messages);
        self.length = self.length.saturating_add(length);
        let is_too_much = self.messages > MESSAGES || self.length > LENGTH;
        is_too_much && !core::mem::replace(&mut self.is_silenced, true)
    }

    /// When it may speak again, if it is silenced.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.is_silenced).map(|since| since.after(SPAN))
    }

    /// Whether its silence ends now.
    pub(super) fn end(&mut self, now: Timestamp) -> bool {
        let is_over = self.ends_at().is_some_and(|ends| ends <= now);
        if is_over {
            *self = Self::default();
        }
        is_over
    }
}
