//! The inits whose place we take, by the name we are called by.
//!
//! Each keeps its flags, variables, messages and exit codes. What they get wrong (lost signals, hangs)
//! is not kept.

mod catatonit;
mod dumb_init;
mod getopt;
mod tini;

use std::ffi::OsString;

use super::voice::Line;
use super::{Options, Variables};

/// Ours, since this is our code, whoever's place it takes.
const LICENCE: &str = include_str!("../../LICENSE");

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To run a command (none with `Options::pause`).
    Run(Vec<OsString>, Options),
    /// To say something and leave with a code.
    Answer(Vec<Line>, u8),
}

/// Reads a command line: the name called by, the words behind it, the environment.
pub(super) type Parse = fn(&str, &[OsString], Variables<'_>) -> Asked;

/// Whose place we take under this name.
pub(super) fn of(name: &str) -> Option<Parse> {
    match name {
        "tini" | "tini-static" | "docker-init" => Some(tini::parse),
        "dumb-init" => Some(dumb_init::parse),
        "catatonit" => Some(catatonit::parse),
        _ => None,
    }
}
