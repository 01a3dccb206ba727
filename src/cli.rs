//! The verbs: those that only print, and those that talk to a running master.

mod client;
mod completions;
pub(crate) mod exec;
mod help;
mod listing;
mod man;
pub(crate) mod operate;
mod readme;
pub(crate) mod screen;
mod tables;

use crate::config::{Fault, Invocation, Verb};

/// The program's name and version, as `--version` prints them.
pub(crate) const VERSION: &str = concat!("dutch-master ", env!("CARGO_PKG_VERSION"), "\n");

/// What to print for a verb that only prints; none for one that does more.
pub(crate) fn answer(invocation: &Invocation) -> Option<String> {
    match invocation.verb {
        Verb::Config { json: true } => Some(listing::json(&invocation.rows)),
        Verb::Config { json: false } => Some(listing::text(&invocation.rows)),
        Verb::Completions(shell) => Some(completions::script(shell)),
        Verb::Man => Some(man::page()),
        Verb::Help => Some(help::text()),
        Verb::Version => Some(VERSION.to_owned()),
        _ => None,
    }
}

/// What to print when nothing can be done: a line for each fault.
pub(crate) fn complaint(faults: &[Fault]) -> String {
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("dutch-master: {fault}\n")).collect();
    lines.concat()
}
