//! The choices that a setting offers, as types: what the operator asked for, before anybody knows
//! how many CPUs there are or what the kernel allows.

use std::ffi::OsString;
use std::fmt;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// How many workers (`WORKERS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// Exactly so many.
    Fixed(NonZeroU16),
    /// As many as there are CPUs, times `percent` / 100, plus `plus`.
    Auto {
        /// 100 for `auto`, 200 for `auto*2`.
        percent: NonZeroU16,
        /// 1 for `auto+1`.
        plus: i16,
    },
    /// As many as there are CPUs, within these bounds.
    Range {
        /// The fewest.
        min: NonZeroU16,
        /// The most.
        max: NonZeroU16,
    },
}

impl Workers {
    /// The number of workers on a machine that gives us `cpus`.
    pub(crate) fn count(self, cpus: NonZeroU16) -> NonZeroU16 {
        match self {
            Self::Fixed(count) => count,
            Self::Range { min, max } => cpus.max(min).min(max),
            Self::Auto { percent, plus } => {
                let share = i64::from(cpus.get()).saturating_mul(i64::from(percent.get()));
                let whole = share.saturating_add(99).checked_div(100).unwrap_or(1);
                let count = whole.saturating_add(i64::from(plus)).clamp(1, i64::from(u16::MAX));
                u16::try_from(count).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN)
            }
        }
    }

    /// Whether the number follows the machine, so that it must be worked out anew now and then.
    pub(crate) const fn follows_the_machine(self) -> bool {
        !matches!(self, Self::Fixed(_))
    }
}

/// Who gets a new connection (`BALANCE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    /// What the contract does best.
    Auto,
    /// One socket a slot, connections steered to live slots.
    Slot,
    /// One accept queue for all.
    Shared,
    /// The master accepts and hands out; a worker has at most so many that it has not answered.
    RoundRobin(NonZeroUsize),
}

/// How a worker gets its listeners and says that it is ready (`CONTRACT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContractChoice {
    /// The master looks at the command and decides.
    Auto,
    /// Node's cluster protocol.
    Node,
    /// Passed sockets and `sd_notify`.
    Systemd,
    /// The program's own `bind`, intercepted.
    Capture,
    /// Nothing but signals.
    Plain,
}

/// What makes a worker ready (`READY`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// What the contract gives.
    Auto,
    /// It listens (contracts node and capture).
    Listening,
    /// It says READY=1.
    Notify,
    /// It has lived so long.
    Delay(Duration),
    /// This command has succeeded for it; never empty.
    Exec(Vec<OsString>),
    /// It has been started.
    Start,
}

/// How many replacements may be starting at the same time (`SURGE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SurgeChoice {
    /// So many.
    Count(NonZeroU16),
    /// So many per cent of the fleet.
    Percent(NonZeroU16),
    /// All of them.
    All,
    /// As many as there are CPUs.
    Cpus,
}

/// How many workers must serve for the fleet to be ready (`READY_MIN`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadyMin {
    /// So many, or all of a smaller fleet.
    Count(NonZeroU16),
    /// So many per cent of the fleet, 1 to 100.
    Percent(NonZeroU16),
}

impl ReadyMin {
    /// The number for a fleet of this size.
    pub(crate) fn of(self, workers: u16) -> u16 {
        match self {
            Self::Count(count) => count.get().min(workers).max(1),
            Self::Percent(percent) => {
                let share = u32::from(workers).saturating_mul(u32::from(percent.get()));
                u16::try_from(share.div_ceil(100)).unwrap_or(u16::MAX).max(1)
            }
        }
    }
}

/// What becomes of the slots that a failed roll has replaced already (`ON_FAILED_ROLL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailedRoll {
    /// They return to the previous generation.
    Rollback,
    /// They stay.
    Keep,
}

/// What becomes of the workers' standard output and error (`OUTPUT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// They inherit ours.
    Inherit,
    /// Whole lines, never mixed.
    Lines,
    /// Whole lines behind the worker's name.
    Prefix,
    /// One JSON object a line.
    Json,
}

/// How our own log looks (`LOG_FORMAT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
    /// JSON as bunyan writes it.
    Bunyan,
}

/// Where the control socket is (`CONTROL`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// The first directory that can be written.
    Auto,
    /// Nowhere.
    Off,
    /// Here.
    Path(PathBuf),
}

/// How much a log target says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// Only errors.
    Error,
    /// And warnings.
    Warn,
    /// And facts and decisions.
    Info,
    /// And what led to them.
    Debug,
    /// Everything.
    Trace,
}

/// What is logged (`LOG`): a level for all, and other levels for some targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// For every target that is not named.
    pub(crate) level: Level,
    /// Target and level, in the order given.
    pub(crate) targets: Vec<(String, Level)>,
}

impl Level {
    /// Every level by its name.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, level)| *level == self).map_or("info", |(name, _)| name)
    }
}

/// In the words that tracing-subscriber's `Targets` reads.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.level.name())?;
        self.targets.iter().try_for_each(|(target, level)| write!(f, ",{target}={}", level.name()))
    }
}

impl Balance {
    /// Every way by its name.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("slot", Self::Slot),
        ("shared", Self::Shared),
        ("round-robin", Self::RoundRobin(NonZeroUsize::MIN)),
        ("round-robin:2", Self::RoundRobin(NonZeroUsize::MIN.saturating_add(1))),
        ("round-robin:3", Self::RoundRobin(NonZeroUsize::MIN.saturating_add(2))),
        ("round-robin:4", Self::RoundRobin(NonZeroUsize::MIN.saturating_add(3))),
    ];
}

impl ContractChoice {
    /// Every contract by its name.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("node", Self::Node),
        ("systemd", Self::Systemd),
        ("capture", Self::Capture),
        ("plain", Self::Plain),
    ];
}

impl FailedRoll {
    /// Every way by its name.
    pub(crate) const NAMES: &'static [(&'static str, Self)] =
        &[("rollback", Self::Rollback), ("keep", Self::Keep)];
}

impl Output {
    /// Every way by its name.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("inherit", Self::Inherit),
        ("lines", Self::Lines),
        ("prefix", Self::Prefix),
        ("json", Self::Json),
    ];
}

impl LogFormat {
    /// Every format by its name.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("pretty", Self::Pretty),
        ("json", Self::Json),
        ("bunyan", Self::Bunyan),
    ];
}
