//! dutch-master: argv in, exit code out.
#![cfg_attr(not(test), no_main)]

mod cli;
mod config;
mod contract;
mod log;
mod master;
mod solo;
mod sys;

use std::{
    ffi::OsString,
    io::{IsTerminal, Write, stderr, stdout},
};

use config::{Invocation, Verb, Warning};

/// Called with the command line by [`sys::entry`]; returns the exit code.
#[cfg_attr(test, expect(dead_code, reason = "tests have a main of their own"))]
fn start(words: Vec<OsString>) -> u8 {
    sys::panic::install();
    if let Some(code) = solo::called(&words) {
        return code;
    }
    let is_spelled_out = words.get(1).is_some_and(|word| word == "run");
    let loaded = config::load(std::env::vars_os(), words.into_iter().skip(1));
    match loaded {
        Ok((invocation, _))
            if invocation.verb == Verb::Run && !is_spelled_out && is_personal(&invocation) =>
        {
            solo::run(&invocation.config.command)
        }
        Ok((invocation, warnings)) => act(invocation, &warnings, std::env::vars_os()),
        Err(faults) => {
            say(&mut stderr(), &cli::complaint(&faults));
            config::exit_code(&faults)
        }
    }
}

/// Settings that say nothing about a fleet.
const PERSONAL: [&str; 3] = ["WORKER", "LOG", "LOG_FORMAT"];

/// Whether somebody sits at a terminal and nothing asks for a fleet: `docker run -it image bash`.
fn is_personal(invocation: &Invocation) -> bool {
    let asks = |row: &config::Row| {
        row.source != config::Source::Default && !PERSONAL.contains(&row.setting.name)
    };
    sys::terminal::is_terminal() && !invocation.rows.iter().any(asks)
}

/// Does what was asked for. Returns the exit code.
fn act(
    invocation: Invocation,
    warnings: &[Warning],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> u8 {
    if let Some(text) = cli::answer(&invocation) {
        for warning in warnings {
            say(&mut stderr(), &format!("dutch-master: {warning}\n"));
        }
        say(&mut stdout(), &text);
        return 0;
    }
    match invocation.verb {
        Verb::Run => master::run(invocation.config, warnings, variables),
        Verb::Exec => {
            let (code, problem) = cli::exec::become_command(&invocation.config.command, variables);
            say(&mut stderr(), &format!("dutch-master: {problem}\n"));
            code
        }
        verb => operate(verb, &invocation.config.control, variables),
    }
}

/// Asks the running master.
fn operate(
    verb: Verb,
    control: &config::Control,
    mut variables: impl Iterator<Item = (OsString, OsString)>,
) -> u8 {
    let is_terminal = stdout().is_terminal();
    // <https://no-color.org>
    let is_plain = variables.any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    let outputs = cli::operate::Outputs {
        out: stdout(),
        err: stderr(),
        is_terminal,
        look: |has_colour| {
            let (width, height) = sys::terminal::size().unzip();
            let width = width.unwrap_or(cli::screen::WIDEST);
            cli::screen::Look { width, height, has_colour }
        },
        has_colour: is_terminal && !is_plain,
    };
    cli::operate::run(verb, control, outputs).unwrap_or(64)
}

/// Who closes the pipe early, as head(1) does, has read enough.
fn say(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
}
