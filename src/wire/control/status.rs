//! What `status` and `events` tell, as plain values.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A time in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl From<Duration> for Millis {
    fn from(time: Duration) -> Self {
        Self(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(time: Millis) -> Self {
        Self::from_millis(time.0)
    }
}

/// All that there is to know; the schema is `docker/status.schema.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The master's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    #[serde(rename = "uptime_ms")]
    pub uptime: Millis,
    /// How workers get their listeners.
    pub contract: String,
    /// What makes a worker ready.
    pub readiness: String,
    /// Who gets a new connection.
    pub balance: String,
    /// Whether enough workers serve, and we do not stop.
    pub is_ready: bool,
    /// Why, in a sentence.
    pub why: String,
    /// Whether the fleet has been told to go.
    pub is_stopping: bool,
    /// Workers that serve.
    pub ready: u32,
    /// Workers that there shall be.
    pub target: u32,
    /// What everybody shall be of; nothing once we stop.
    pub generation: Option<u32>,
    /// The directory that this generation runs in.
    pub directory: Option<String>,
    /// The roll under way.
    pub roll: Option<Roll>,
    /// The one before.
    pub last_roll: Option<LastRoll>,
    /// Everybody who has been started and is not gone, by slot.
    pub workers: Vec<Worker>,
    /// Every place.
    pub slots: Vec<Slot>,
    /// The sockets that we hold.
    pub listeners: Vec<Listener>,
    /// Connections that the kernel has dropped for full queues, in the whole network namespace.
    pub listen_drops: Option<u64>,
    /// The last things that happened, the oldest first.
    pub events: Vec<Event>,
}

/// How far a roll is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last good generation, if there ever was one.
    pub from: Option<u32>,
    /// The generation that everybody shall be of.
    pub to: u32,
    /// Slots with a ready worker of it.
    pub done: u16,
    /// Slots.
    pub of: u16,
    /// Whether a roll failed and this one goes back.
    pub is_revert: bool,
}

/// A roll under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roll {
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
    /// Who asked for it.
    pub asked_by: String,
    /// Since when.
    #[serde(rename = "since_ms")]
    pub since: Millis,
}

/// A roll that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRoll {
    /// What everybody was to be of.
    pub generation: u32,
    /// Whether they became it.
    pub is_complete: bool,
    /// Why not, or nothing.
    pub problem: Option<String>,
    /// Who had asked for it.
    pub asked_by: String,
    /// How long it took.
    #[serde(rename = "took_ms")]
    pub took: Millis,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Where it works.
    pub slot: u16,
    /// Its number, never used again.
    pub worker: u64,
    /// What it was started from.
    pub generation: u32,
    /// Its process; nothing while it has none.
    pub pid: Option<u32>,
    /// starting, ready, retiring, draining, terminating or killed.
    pub state: String,
    /// Why it is on its way out.
    pub reason: Option<String>,
    /// Since when it runs.
    #[serde(rename = "uptime_ms")]
    pub uptime: Millis,
    /// How long we are still patient with it.
    #[serde(rename = "patience_ms")]
    pub patience: Option<Millis>,
    /// CPU time since its start, of its whole process group.
    #[serde(rename = "cpu_ms")]
    pub cpu: Millis,
    /// Memory in RAM, in bytes, of its whole process group.
    pub memory: u64,
    /// Connections that it holds, where the kernel tells.
    pub connections: Option<u32>,
    /// Whether it lets connections wait and accepts none, so that others serve them.
    #[serde(default)]
    pub is_deaf: bool,
    /// What it says of itself.
    pub says: Option<String>,
}

/// One place in the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Which.
    pub slot: u16,
    /// Whether nobody works here.
    pub is_vacant: bool,
    /// Failures in a row.
    pub failures: u32,
    /// When the next start may be tried.
    #[serde(rename = "retry_in_ms")]
    pub retry_in: Option<Millis>,
    /// Workers started here after the first.
    pub restarts: u64,
    /// How the last worker that left here ended.
    pub last_exit: Option<String>,
}

/// A socket that we hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Connections that wait to be accepted; nothing where there is no such queue.
    pub queue: Option<u32>,
    /// How many may wait.
    pub limit: Option<u32>,
    /// Connections that were carried from a worker that did not accept them to one that did.
    #[serde(default)]
    pub relayed: u64,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up, so that a gap shows what was forgotten.
    pub number: u64,
    /// When, in milliseconds since 1970.
    #[serde(rename = "at_ms")]
    pub at: Millis,
    /// What, in two or three words.
    pub what: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u64>,
    /// To which process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// To which generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Why, or how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The last lines that a crashed worker printed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// Something that `doctor` has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub gravity: Gravity,
    /// What was found.
    pub finding: String,
    /// What would help; empty where nothing is wrong.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gravity {
    /// Something does not work.
    Wrong,
    /// Something may not work as meant.
    Doubtful,
    /// As it should be.
    Good,
}
