//! Unmodified Node programs under the `node` contract, version by version, in containers.
//!
//! `scripts/test node` sets up what this needs: an engine, the image that `prepare` makes, and the
//! programs of `NODES` (a folder that holds node16 and so on, bun, deno, and express).
//! `NODE_ROLLS` and `NODE_LEAK_ROLLS` say how often fleets are rolled.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may read its environment and the clock"
)]

#[path = "../docker/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the docker suite uses the rest of it")]
mod harness;

mod hostile;
mod kills;
mod leaks;
mod messages;
mod nodes;
mod others;
mod protocol;
mod readiness;
mod rolls;
