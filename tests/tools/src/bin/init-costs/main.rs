//! What an init costs: several of them on the same work, in turns, each as PID 1 of a PID namespace.
//!
//! Runs as root in a PID namespace of its own, with its own /proc (`scripts/bench init` sees to
//! both). The same program is the command that the inits run. Figures come from the kernel's own
//! accounts: getrusage(2), and in /proc schedstat (nanoseconds on a CPU), `smaps_rollup`
//! and status.

mod measure;
mod table;
mod work;

use std::{env, process::ExitCode};

use measure::Contender;

const USAGE: &str =
    "usage: init-costs NAME=WORDS...   each init with its options; the last one is ours
       init-costs nothing          ends at once
       init-costs wait             says so and waits
       init-costs orphans NUMBER   waits for a byte, makes so many orphans, says so and waits";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["nothing"] => return ExitCode::SUCCESS,
        ["wait"] => work::wait(),
        ["orphans", number] => work::orphans(number),
        [] => Err(USAGE.to_owned()),
        contenders => compare(contenders),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("init-costs: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn compare(words: &[&str]) -> Result<(), String> {
    let contenders: Option<Vec<_>> = words.iter().map(|words| Contender::new(words)).collect();
    let contenders = contenders.ok_or(USAGE)?;
    table::head();
    let starts = measure::starts(&contenders)?;
    table::cost("start-up over the command alone, µs", &contenders, &starts.time);
    table::cost("CPU of a start over the command alone, µs", &contenders, &starts.cpu);
    let idle = measure::idle(&contenders)?;
    table::cost("resident memory when idle (RSS), kB", &contenders, &idle.resident);
    table::cost("its share of that (PSS), kB", &contenders, &idle.share);
    table::cost("wake-ups in 30 s", &contenders, &idle.wakes);
    let orphans = measure::orphans(&contenders)?;
    table::cost("CPU for 10 000 orphans, ms", &contenders, &orphans);
    table::cost("binary, KiB", &contenders, &measure::sizes(&contenders)?);
    Ok(())
}
