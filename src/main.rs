//! dutch-master: argv in, exit code out.

mod cli;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the master that reads it lands after it")
)]
mod config;
#[expect(dead_code, reason = "the master that calls it lands after it")]
#[cfg_attr(not(test), expect(unused_imports, reason = "the master that calls it lands after it"))]
mod sys;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let loaded = config::load(std::env::vars_os(), std::env::args_os().skip(1));
    let (invocation, warnings) = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => {
            let _ = std::io::stderr().write_all(cli::complaint(&faults).as_bytes());
            return ExitCode::from(config::exit_code(&faults));
        }
    };
    for warning in warnings {
        let _ = writeln!(std::io::stderr(), "dutch-master: {warning}");
    }
    match cli::answer(&invocation) {
        // Who closes the pipe early, as head(1) does, has read enough.
        Some(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        None => ExitCode::from(64),
    }
}
