//! Unmodified servers under the contract `capture`, end to end on this machine: Python that binds its
//! own port, rolled, killed, and as awkward as servers can be. Containers are for the docker suite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may read its environment and the clock"
)]

#[path = "capture/awkward.rs"]
mod awkward;
#[path = "capture/choice.rs"]
mod choice;
#[path = "capture/distance.rs"]
mod distance;
#[path = "master/halt.rs"]
mod halt;
#[allow(dead_code, reason = "shared with the suite of the master, which needs more of it")]
#[path = "master/harness.rs"]
mod harness;
#[path = "capture/load.rs"]
mod load;
#[path = "capture/places.rs"]
mod places;
#[path = "capture/rolls.rs"]
mod rolls;
#[path = "capture/shared.rs"]
mod shared;
#[path = "capture/udp.rs"]
mod udp;
