//! What the inits are given to run.

use nix::{
    sys::wait::waitpid,
    unistd::{ForkResult, fork},
};
use std::io::{Read, Write, stdin, stdout};

/// As many as one process leaves behind.
const LITTER: u32 = 50;

/// Says that it runs, and stays until standard input ends.
pub(crate) fn wait() -> Result<(), String> {
    say("ready")?;
    heard().map(drop)
}

/// Waits for a byte, makes orphans, says so, and stays until standard input ends.
pub(crate) fn orphans(number: &str) -> Result<(), String> {
    let number: u32 = number.parse().map_err(|_| format!("{number}: no number"))?;
    say("ready")?;
    heard()?;
    for _ in 0..number / LITTER {
        // SAFETY: one thread; the child forks and exits.
        match unsafe { fork() }.map_err(|errno| format!("fork: {errno}"))? {
            ForkResult::Child => litter(),
            ForkResult::Parent { child } => waitpid(child, None).map_err(|e| e.to_string())?,
        };
    }
    say("done")?;
    heard().map(drop)
}

/// Leaves children behind, most of them dead already.
fn litter() -> ! {
    for _ in 0..LITTER {
        // SAFETY: one thread; the child exits.
        if matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
            break;
        }
    }
    // SAFETY: ends this process, with nothing of its parent's flushed or destroyed.
    unsafe { nix::libc::_exit(0) }
}

fn say(word: &str) -> Result<(), String> {
    let mut out = stdout();
    writeln!(out, "{word}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

fn heard() -> Result<usize, String> {
    stdin().read(&mut [0]).map_err(|error| error.to_string())
}
