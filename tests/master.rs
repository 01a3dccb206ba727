//! The built binary, end to end on this machine: what a user sees of a master that supervises.
//!
//! Workers are small shell scripts; what a shell can't do (send a datagram, serve a socket), this
//! test binary does for them when it is started as `tool`. Tests wait for what the product says;
//! none sleeps and hopes. PID 1, real load and memory limits are for the docker suite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may read its environment and the clock"
)]

#[path = "master/boot.rs"]
mod boot;
#[path = "master/halt.rs"]
mod halt;
#[path = "master/harness.rs"]
mod harness;
#[path = "master/hooks.rs"]
mod hooks;
#[path = "master/many.rs"]
mod many;
#[path = "master/output.rs"]
mod output;
#[path = "master/quiet.rs"]
mod quiet;
#[path = "master/releases.rs"]
mod releases;
#[path = "master/rescue.rs"]
mod rescue;
#[path = "master/says.rs"]
mod says;
#[path = "master/serving.rs"]
mod serving;
#[path = "master/shut.rs"]
mod shut;
#[path = "master/stops.rs"]
mod stops;
#[path = "master/store.rs"]
mod store;
#[path = "master/tool.rs"]
mod tool;

#[test]
#[ignore = "what the tests' workers call, no test"]
fn tool() {
    tool::run();
}
