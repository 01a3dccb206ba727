//! The one place that reads a clock: the shell calls it once a turn and hands the number on.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since some fixed moment; never goes back, counts no suspended time (`CLOCK_MONOTONIC`).
pub(crate) fn now() -> Duration {
    read(ClockId::Monotonic)
}

/// Time since 1970 (`CLOCK_REALTIME`); for log lines only, since it may jump.
pub(crate) fn wall() -> Duration {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
