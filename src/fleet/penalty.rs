//! How long to wait because workers failed, longer each time.

use super::policy::Policy;
use crate::time::Timestamp;

/// Failures in a row, and when to try again. Each doubles the wait.
#[derive(Debug)]
pub(super) struct Penalty {
    failures: u32,
    failed_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
}

impl Penalty {
    pub(super) const NONE: Self = Self { failures: 0, failed_at: None, retry_at: None };

    pub(super) fn note_failure(&mut self, now: Timestamp, policy: &Policy) {
        let delay = policy.backoff_base.saturating_mul(2_u32.saturating_pow(self.failures));
        *self = Self {
            failures: self.failures.saturating_add(1),
            failed_at: Some(now),
            retry_at: Some(now.after(delay.min(policy.backoff_cap))),
        };
    }

    /// Failures before a long time of health do not count any more.
    pub(super) fn note_health(&mut self, since: Timestamp, now: Timestamp, policy: &Policy) {
        let since = self.failed_at.map_or(since, |at| at.max(since));
        if now.since(since) >= policy.backoff_reset {
            *self = Self::NONE;
        }
    }

    /// A worker that we believed in is replaced at once; the next failure waits as long as ever.
    pub(super) const fn lift(&mut self) {
        self.retry_at = None;
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn must_wait(&self, now: Timestamp) -> bool {
        self.retry_at.is_some_and(|at| at > now)
    }

    pub(super) const fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at
    }
}
