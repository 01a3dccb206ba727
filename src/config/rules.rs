//! From settings to the rules that a fleet lives by.

use std::num::NonZeroU16;
use std::time::Duration;

use dutch_master::{OnFailedRoll, Rules, Surge};

use super::Config;
use super::choice::{FailedRoll, SurgeChoice};

/// Ready for a shorter time proves nothing: a program may bind and only then read what is broken.
const MIN_UPTIME: Duration = Duration::from_secs(1);

/// So long must a slot be healthy before its next failure is a first one again.
const BACKOFF_RESET: Duration = Duration::from_secs(60);

/// What a worker gets at most between the stop signal and SIGKILL when it has drained in vain.
const GRACE: Duration = Duration::from_secs(5);

impl Config {
    /// The rules of a fleet on a machine that gives us `cpus`; `seed` makes its jitter its own.
    pub(crate) fn rules(&self, cpus: NonZeroU16, seed: u64) -> Rules {
        let grace = GRACE.min(self.kill_timeout.checked_div(4).unwrap_or_default());
        Rules {
            surge: match self.surge {
                SurgeChoice::Count(count) => Surge::Count(count),
                SurgeChoice::Percent(percent) => Surge::Percent(percent),
                SurgeChoice::All => Surge::All,
                SurgeChoice::Cpus => Surge::Count(cpus),
            },
            max_draining: self.max_draining,
            canary: self.canary,
            on_failed_roll: match self.on_failed_roll {
                FailedRoll::Rollback => OnFailedRoll::Rollback,
                FailedRoll::Keep => OnFailedRoll::Keep,
            },
            start_timeout: self.start_timeout,
            drain_timeout: self.kill_timeout.saturating_sub(grace),
            kill_timeout: self.kill_timeout,
            stop_timeout: self.stop_timeout,
            shutdown_delay: self.shutdown_delay,
            watchdog: self.watchdog,
            max_lifetime: self.max_lifetime,
            jitter_seed: seed,
            min_uptime: MIN_UPTIME,
            backoff_base: self.backoff_base,
            backoff_cap: self.backoff_cap,
            backoff_reset: BACKOFF_RESET,
            start_attempts: self.start_attempts,
        }
    }
}
