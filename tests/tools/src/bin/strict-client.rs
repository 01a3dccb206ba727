//! Sends load to a server and judges every answer; prints one JSON object and exits 1 where
//! anything failed.

use std::{
    env,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use tools::{
    attempt::Request,
    load::{self, Load},
    stream::Address,
};

const USAGE: &str = "usage: strict-client ADDRESS [option=value]...
  ADDRESS         127.0.0.1:8000, [::1]:8000 or unix:/run/app.sock
  path=/?id={id}  what is asked for; {id} is a new number every time
  expect=id={id}  a text that the body must contain
  one-shot=4      clients that open a connection for every request
  keep-alive=4    clients that keep their connection
  pause=2         milliseconds that a client rests between two requests
  count=N         requests that each client sends; without it as many as there is time for
  timeout=10000   milliseconds that a connect, a read or a write may take
  seconds=N       run for so long; without it until SIGTERM or SIGINT, at most 300 s
  until=PATH      ... or until this file exists
  by=NAME         count answers by this header, or by name=value in the body";

struct Run {
    load: Load,
    limit: Duration,
    until: Option<PathBuf>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Run, String> {
    let address: Address = words.next().ok_or(USAGE)?.parse()?;
    let request = Request {
        address,
        path: "/?id={id}".to_owned(),
        expect: None,
        timeout: Duration::from_secs(10),
    };
    let pause = Duration::from_millis(2);
    let load = Load { request, one_shot: 4, keep_alive: 4, pause, count: None, by: None };
    let mut run = Run { load, limit: Duration::from_mins(5), until: None };
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("{word}\n{USAGE}"))?;
        let number = || value.parse::<u32>().map_err(|_| format!("{word}: expected a number"));
        let millis = || number().map(|value| Duration::from_millis(value.into()));
        match name {
            "path" => value.clone_into(&mut run.load.request.path),
            "expect" => run.load.request.expect = Some(value.to_owned()),
            "one-shot" => run.load.one_shot = number()? as usize,
            "keep-alive" => run.load.keep_alive = number()? as usize,
            "pause" => run.load.pause = millis()?,
            "count" => run.load.count = Some(number()?.into()),
            "timeout" => run.load.request.timeout = millis()?,
            "seconds" => run.limit = Duration::from_secs(number()?.into()),
            "until" => run.until = Some(value.into()),
            "by" => run.load.by = Some(value.to_owned()),
            _ => return Err(format!("{word}: no such option\n{USAGE}")),
        }
    }
    Ok(run)
}

fn main() -> ExitCode {
    let run = match parse(env::args().skip(1)) {
        Ok(run) => run,
        Err(error) => {
            eprintln!("strict-client: {error}");
            return ExitCode::from(64);
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        if let Err(error) = flag::register(signal, Arc::clone(&stop)) {
            eprintln!("strict-client: signal {signal}: {error}");
        }
    }
    watch(Arc::clone(&stop), run.limit, run.until);
    eprintln!("strict-client: running");
    let report = load::run(run.load, stop);
    println!("{report}");
    let clean = report["failed"] == 0 && report["ok"].as_u64().is_some_and(|ok| ok > 0);
    ExitCode::from(u8::from(!clean))
}

/// Sets `stop` when the time is over or the file is there.
fn watch(stop: Arc<AtomicBool>, limit: Duration, until: Option<PathBuf>) {
    let end = Instant::now() + limit;
    thread::spawn(move || {
        while Instant::now() < end && !until.as_ref().is_some_and(|path| path.exists()) {
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
}
