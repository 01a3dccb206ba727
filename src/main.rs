//! dutch-master: argv in, exit code out.

#[expect(dead_code, unused_imports, reason = "the master that reads it lands after it")]
mod config;
#[expect(dead_code, reason = "the master that calls it lands after it")]
#[cfg_attr(not(test), expect(unused_imports, reason = "the master that calls it lands after it"))]
mod sys;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(64)
}
