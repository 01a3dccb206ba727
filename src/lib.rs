//! The pure part of dutch-master: facts and the time go in, actions come out (`fleet`); bytes go
//! in, values come out (`wire`).
//!
//! Nothing here can make a system call: the crate has no `std`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod fleet;
mod time;
pub mod wire;

pub use fleet::{
    Action, Command, Event, Fleet, Generation, LeaveCause, Milestone, OnFailedRoll, Outcome,
    Policy, PolicyError, Progress, Reason, Recycle, Rules, SlotId, SlotView, StartCause, Surge,
    Urgency, WorkerEvent, WorkerId, WorkerState, WorkerView,
};
pub use time::Timestamp;
