//! The formats: round trips, real messages, refusals, and bounds that hold whatever is sent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that fails says so by panicking"
)]

#[path = "wire/control.rs"]
mod control;
#[path = "wire/einhorn.rs"]
mod einhorn;
#[path = "wire/exposition.rs"]
mod exposition;
#[path = "wire/line.rs"]
mod line;
#[path = "wire/listen.rs"]
mod listen;
#[path = "wire/memory.rs"]
mod memory;
#[path = "wire/node.rs"]
mod node;
#[path = "wire/notify.rs"]
mod notify;
#[path = "wire/primary.rs"]
mod primary;
#[path = "wire/query.rs"]
mod query;
