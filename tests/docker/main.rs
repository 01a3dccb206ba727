//! The product in real containers, driven by the docker command line as a user drives it.
//!
//! `scripts/test docker` sets up what this needs: an engine, the static binary, and the image
//! named by `DM_IMAGE` that holds it with the tools. Tests wait for what the product says in its
//! log; none sleeps and hopes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may read its environment and the clock"
)]

#[allow(dead_code, unused_imports, reason = "the other suites use the rest of it")]
mod harness;

mod captured;
mod configuration;
mod exit_codes;
mod failed_releases;
mod hardened;
mod init;
mod limits;
mod listeners;
mod operate;
mod quiet;
mod reaping;
mod releases;
mod rolls;
mod settings;
mod signals;
mod stops;
mod terminal;
mod worker_says;
