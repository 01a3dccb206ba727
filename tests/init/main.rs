//! `dutch-master init` and its peers' names, as processes: signals, orphans, exit codes, terminals.
//!
//! Needs root, for PID namespaces and a pids cgroup, and Debian's tini, dumb-init and catatonit to compare
//! with; what is missing is a failed test that says so.
#![allow(clippy::unwrap_used, reason = "a test")]

mod family;
mod harness;
mod options;
mod peers;
mod signals;
mod terminal;
