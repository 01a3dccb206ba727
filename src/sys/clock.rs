//! The one place that reads a clock: the shell calls it once a turn and hands the number on.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since some fixed moment; never goes back, counts no suspended time (`CLOCK_MONOTONIC`).
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
