//! How made-up processes behave, and the rules that most stories are told under.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use dutch_master::{OnFailedRoll, Rules, Surge};

pub type Millis = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    Ready(Millis),
    Dies(Millis),
    Hangs,
}

/// How a process behaves. `None` means it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    pub boot: Boot,
    pub exits_on_drain: Option<Millis>,
    pub is_drained: Option<Millis>,
    pub exits_on_term: Option<Millis>,
    pub dies: Option<Millis>,
    pub disconnects: Option<Millis>,
    pub asks: Option<Millis>,
    pub swells: Option<Millis>,
    pub trips: Option<Millis>,
    pub falls_silent: Option<Millis>,
    pub extends: Option<Millis>,
}

impl Nature {
    pub const GOOD: Self = Self {
        boot: Boot::Ready(10),
        exits_on_drain: Some(10),
        is_drained: None,
        exits_on_term: Some(5),
        dies: None,
        disconnects: None,
        asks: None,
        swells: None,
        trips: None,
        falls_silent: None,
        extends: None,
    };
    /// Does only what the test says.
    pub const PUPPET: Self = Self {
        boot: Boot::Hangs,
        exits_on_drain: None,
        exits_on_term: None,
        falls_silent: Some(0),
        ..Self::GOOD
    };
}

pub fn rules() -> Rules {
    let ms = Duration::from_millis;
    Rules {
        surge: Surge::Count(NonZeroU16::MIN),
        max_draining: None,
        canary: None,
        on_failed_roll: OnFailedRoll::Rollback,
        start_timeout: Some(ms(1_000)),
        drain_timeout: ms(500),
        kill_timeout: ms(700),
        stop_timeout: ms(700),
        shutdown_delay: ms(0),
        watchdog: None,
        max_lifetime: None,
        jitter_seed: 7,
        min_uptime: ms(100),
        backoff_base: ms(50),
        backoff_cap: ms(400),
        backoff_reset: ms(2_000),
        start_attempts: NonZeroU32::new(3).unwrap(),
    }
}

pub fn ms(duration: Duration) -> Millis {
    duration.as_millis().try_into().unwrap()
}
