//! Real servers as workers, rolled under load in containers, and not one request lost.
//!
//! `scripts/test servers` sets up what this needs: an engine and the image that `prepare` makes.
//! What is said about each server in README.md here is what these tests show.
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

mod against_peers;
mod behind_nginx;
mod captured;
mod rolls;
mod server;
