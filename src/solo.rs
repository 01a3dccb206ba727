//! A plain init: one child, its signals, its orphans, its exit code, and nothing else.
//!
//! ```text
//!   signals ──▶ rewrite ──▶ child (or its group)      orphans ──▶ reaped
//!   child ends ──▶ (--wait-all: everybody else, too) ──▶ we end with its code
//! ```
//!
//! `dutch-master init` and the names `tini`, `tini-static`, `docker-init`, `dumb-init` and
//! `catatonit` all end up here with different [`Options`]. The rule: the child finds everything as it
//! would without us, and no signal sent to us is lost.

mod codes;
mod forward;
mod options;
mod parser;
mod personality;
mod start;
mod vigil;
mod voice;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use options::Options;
use options::Whom;
use personality::Asked;
use voice::Line;

use crate::sys::host;

/// Looks up a variable of ours; the child gets all of them as they are.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// If the command line is an init's, by the name we were called by or by the verb `init`: does it, and
/// returns the exit code.
pub(crate) fn called(words: &[OsString]) -> Option<u8> {
    let (called, rest) = words.split_first()?;
    let name = Path::new(called).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let parse = match (personality::of(name), rest) {
        (Some(parse), _) => parse,
        (None, [verb, ..]) if verb == "init" => parser::parse,
        _ => return None,
    };
    let arguments = if personality::of(name).is_some() { rest } else { rest.get(1..)? };
    let variable = |name: &str| host::variable(name)?.into_string().ok().or(Some(String::new()));
    Some(match parse(name, arguments, &variable) {
        Asked::Run(command, options) => vigil::run(&command, &options),
        Asked::Answer(lines, code) => {
            lines.iter().for_each(Line::print);
            code
        }
    })
}

/// Runs one command as `dutch-master init` does without options. Returns the exit code.
pub(crate) fn run(command: &[OsString]) -> u8 {
    vigil::run(command, &Options::default())
}
