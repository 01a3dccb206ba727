//! The measurements, all contenders in turns so that whatever else the machine does hits each alike.

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike,
};
use std::{
    env, fs,
    fs::File,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::table::median;

const START_ROUNDS: usize = 9;
const STARTS: usize = 60;
const IDLE_ROUNDS: usize = 3;
const ORPHAN_ROUNDS: usize = 5;
const ORPHANS: &str = "10000";
/// Until an init has done with its start.
const SETTLE: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(30);
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_mins(1);

/// For each contender one figure a round.
type Figures = Vec<Vec<f64>>;

/// An init and its options.
pub(crate) struct Contender {
    pub(crate) name: String,
    words: Vec<String>,
}

impl Contender {
    /// From `NAME=PROGRAM OPTION...`.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let (name, words) = text.split_once('=')?;
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        (!words.is_empty()).then(|| Self { name: name.to_owned(), words })
    }

    fn command(&self, work: &[&str]) -> Result<Command, String> {
        let itself = itself()?;
        let mut words = self.words.iter().map(String::as_str).chain([itself.as_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(work);
        Ok(command)
    }
}

fn itself() -> Result<String, String> {
    let path = env::current_exe().map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|_| "my own path is no text".to_owned())
}

/// What a start costs over running the command directly, in microseconds.
pub(crate) struct Starts {
    pub(crate) time: Figures,
    pub(crate) cpu: Figures,
}

/// Starts everything many times.
pub(crate) fn starts(contenders: &[Contender]) -> Result<Starts, String> {
    let mut found =
        Starts { time: vec![vec![]; contenders.len()], cpu: vec![vec![]; contenders.len()] };
    let mut commands = vec![Command::new(itself()?)];
    commands[0].arg("nothing");
    for contender in contenders {
        commands.push(contender.command(&["nothing"])?);
    }
    for _ in 0..START_ROUNDS {
        let mut samples = vec![(vec![], vec![]); commands.len()];
        for turn in 0..STARTS {
            for place in 0..commands.len() {
                let whose = (place + turn) % commands.len();
                let (time, cpu) = start(&mut commands[whose])?;
                samples[whose].0.push(time);
                samples[whose].1.push(cpu);
            }
        }
        let middles: Vec<_> =
            samples.iter().map(|(time, cpu)| (median(time), median(cpu))).collect();
        for (place, (time, cpu)) in middles.iter().skip(1).enumerate() {
            found.time[place].push(time - middles[0].0);
            found.cpu[place].push(cpu - middles[0].1);
        }
    }
    Ok(found)
}

/// One start to its end as PID 1: time and CPU in microseconds.
fn start(command: &mut Command) -> Result<(f64, f64), String> {
    as_pid_1(|| {
        let before = cpu()?;
        let began = Instant::now();
        let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
        let time = began.elapsed().as_secs_f64() * 1e6;
        if !status.success() {
            return Err(format!("{command:?}: {status}"));
        }
        Ok((time, cpu()? - before))
    })
}

/// What our children have used until now, in microseconds.
fn cpu() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|errno| errno.to_string())?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()).as_secs_f64() * 1e6)
}

/// The next process that is started meanwhile is PID 1 of a new namespace.
fn as_pid_1<T>(act: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let failed = |errno| format!("a PID namespace: {errno}");
    let own = File::open("/proc/self/ns/pid").map_err(|error| error.to_string())?;
    unshare(CloneFlags::CLONE_NEWPID).map_err(failed)?;
    let result = act();
    setns(own, CloneFlags::CLONE_NEWPID).map_err(failed)?;
    result
}

/// An init whose command runs and waits.
struct Running {
    child: Child,
    keyboard: ChildStdin,
    screen: BufReader<ChildStdout>,
}

impl Running {
    fn start(contender: &Contender, work: &[&str]) -> Result<Self, String> {
        let mut command = contender.command(work)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            as_pid_1(|| command.spawn().map_err(|error| format!("{command:?}: {error}")))?;
        let (Some(keyboard), Some(screen)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".to_owned());
        };
        let mut running = Self { child, keyboard, screen: BufReader::new(screen) };
        running.hear("ready")?;
        Ok(running)
    }

    fn hear(&mut self, word: &str) -> Result<(), String> {
        let mut line = String::new();
        self.screen.read_line(&mut line).map_err(|error| error.to_string())?;
        if line.trim() == word { Ok(()) } else { Err(format!("{line:?} instead of {word}")) }
    }

    fn read(&self, file: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    }

    /// The number behind `name` in one of its files.
    fn number(&self, file: &str, name: &str) -> Result<f64, String> {
        let text = self.read(file)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        let number = number.and_then(|number| number.parse().ok());
        number.ok_or_else(|| format!("no {name} in {file}"))
    }

    /// Its own time on a CPU, in milliseconds.
    fn cpu(&self) -> Result<f64, String> {
        Ok(self.number("schedstat", "")? / 1e6)
    }

    /// Until the init has no child but its command.
    fn until_reaped(&self) -> Result<(), String> {
        let children = format!("task/{}/children", self.child.id());
        let began = Instant::now();
        while self.read(&children)?.split_whitespace().count() > 1 {
            if began.elapsed() > PATIENCE {
                return Err(format!("pid {} leaves zombies", self.child.id()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn end(self) -> Result<(), String> {
        let Self { mut child, keyboard, .. } = self;
        drop(keyboard);
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("an init ended with {status}")) }
    }
}

/// What an init costs that has nothing to do.
pub(crate) struct Idle {
    pub(crate) resident: Figures,
    pub(crate) share: Figures,
    pub(crate) wakes: Figures,
}

/// All contenders at the same time, as nobody disturbs anybody.
pub(crate) fn idle(contenders: &[Contender]) -> Result<Idle, String> {
    let none = vec![vec![]; contenders.len()];
    let mut found = Idle { resident: none.clone(), share: none.clone(), wakes: none };
    for round in 1..=IDLE_ROUNDS {
        let running: Result<Vec<_>, _> =
            contenders.iter().map(|contender| Running::start(contender, &["wait"])).collect();
        let running = running?;
        thread::sleep(SETTLE);
        for (place, init) in running.iter().enumerate() {
            found.resident[place].push(init.number("smaps_rollup", "Rss:")?);
            found.share[place].push(init.number("smaps_rollup", "Pss:")?);
        }
        if round == IDLE_ROUNDS {
            let wakes = || -> Result<Vec<_>, _> {
                running.iter().map(|it| it.number("status", "voluntary_ctxt_switches:")).collect()
            };
            let before: Vec<f64> = wakes()?;
            thread::sleep(WATCHED);
            for (place, (before, after)) in before.iter().zip(wakes()?).enumerate() {
                found.wakes[place].push(after - before);
            }
        }
        running.into_iter().try_for_each(Running::end)?;
    }
    Ok(found)
}

/// The init's own CPU time for many orphans, in milliseconds.
pub(crate) fn orphans(contenders: &[Contender]) -> Result<Figures, String> {
    let mut found = vec![vec![]; contenders.len()];
    for round in 0..ORPHAN_ROUNDS {
        for place in 0..contenders.len() {
            let whose = (place + round) % contenders.len();
            let mut init = Running::start(&contenders[whose], &["orphans", ORPHANS])?;
            thread::sleep(SETTLE / 4);
            let before = init.cpu()?;
            init.keyboard.write_all(b"!").map_err(|error| error.to_string())?;
            init.hear("done")?;
            init.until_reaped()?;
            found[whose].push(init.cpu()? - before);
            init.end()?;
        }
    }
    Ok(found)
}

/// The programs' sizes, in KiB, without the libraries that they need.
pub(crate) fn sizes(contenders: &[Contender]) -> Result<Figures, String> {
    let size = |contender: &Contender| {
        let path = &contender.words[0];
        let size = fs::metadata(path).map_err(|error| format!("{path}: {error}"))?.len();
        Ok(vec![f64::from(u32::try_from(size / 1024).unwrap_or(u32::MAX))])
    };
    contenders.iter().map(size).collect()
}
