//! What a look into a container needs where there is no shell: one question, one answer.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, IsTerminal, Write},
    os::unix::{
        ffi::OsStrExt,
        process::{CommandExt, ExitStatusExt},
    },
    process::{Command, ExitCode, ExitStatus},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, unshare};
use tools::{
    attempt::{Class, Request, one_shot},
    notify, trouble,
};

const USAGE: &str =
    "usage: probe get ADDRESS PATH   the body; exit 1 where there is no right answer
       probe cat FILE
       probe ls DIRECTORY
       probe processes          pid, state, name, parent, threads: everything in /proc
       probe notify MESSAGE     to NOTIFY_SOCKET
       probe signal PID NUMBER  (the container has no kill)
       probe tty                says what standard input is, asks for a line, ends with 5
       probe latin1 NAME COMMAND...  becomes COMMAND with a variable that is no text
       probe closed COMMAND...  becomes COMMAND without standard input, output and error
       probe pid1 COMMAND...    runs COMMAND as PID 1 of a new PID namespace; its exit code
       probe fill FILE          takes all the room that is left on its disk
       probe write FILE         writes a page beside it and removes it
       probe remove FILE
       probe flood SOCKET MS    clients of a control socket that mean no good
       probe uptime             in seconds, as the time namespace has it
       probe onto-full-disk FILE COMMAND...  becomes COMMAND, its output on a full disk
       probe in-time-namespace SECONDS COMMAND...  becomes COMMAND, so much later
       probe exit-codes COMMAND...  for 0..=255 runs COMMAND (`{}` becomes the number) as PID 1;
                                prints each pair that differs and exits 1, or 'all 256 agree'";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode, String> {
    match words {
        ["get", address, path] => get(address, path)?,
        ["cat", path] => {
            print!("{}", fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?);
        }
        ["ls", path] => {
            for entry in fs::read_dir(path).map_err(|error| format!("{path}: {error}"))? {
                println!("{}", entry.map_err(|error| error.to_string())?.file_name().display());
            }
        }
        ["processes"] => processes()?,
        ["notify", message] => {
            if !notify::send(message).map_err(|error| format!("NOTIFY_SOCKET: {error}"))? {
                return Err("NOTIFY_SOCKET is not set".to_owned());
            }
        }
        ["signal", pid, number] => signal(pid, number)?,
        ["tty"] => return tty(),
        ["latin1", name, program, arguments @ ..] => {
            let value = OsStr::from_bytes(b"caf\xe9");
            return Err(Command::new(program).args(arguments).env(name, value).exec().to_string());
        }
        ["closed", program, arguments @ ..] => {
            // SAFETY: nothing of ours uses the standard descriptors from here on: on success
            // another program takes over, and on failure there is nowhere to say so.
            (0..3).for_each(|fd| unsafe { rustix::io::close(fd) });
            return Err(Command::new(program).args(arguments).exec().to_string());
        }
        ["fill", path] => drop(trouble::fill(path)?),
        ["write", path] => trouble::write(path)?,
        ["remove", path] => fs::remove_file(path).map_err(|error| format!("{path}: {error}"))?,
        ["flood", path, milliseconds] => trouble::flood(path, milliseconds)?,
        ["uptime", ..] => print!("{}", first_word("/proc/uptime")?),
        ["onto-full-disk", path, command @ ..] => trouble::onto_full_disk(path, command)?,
        ["in-time-namespace", seconds, command @ ..] => {
            trouble::in_time_namespace(seconds, command)?;
        }
        ["pid1", command @ ..] => return Ok(ExitCode::from(shell_code(pid1(command)?))),
        ["exit-codes", command @ ..] => return exit_codes(command),
        _ => return Err(USAGE.to_owned()),
    }
    Ok(ExitCode::SUCCESS)
}

fn first_word(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

fn get(address: &str, path: &str) -> Result<(), String> {
    let request = Request {
        address: address.parse()?,
        path: path.to_owned(),
        expect: None,
        timeout: Duration::from_mins(1),
    };
    let outcome = one_shot(&request, 1);
    if let Some((_, body)) = &outcome.answer {
        print!("{body}");
    }
    if outcome.class == Class::Ok { Ok(()) } else { Err(outcome.class.name().to_owned()) }
}

fn processes() -> Result<(), String> {
    for entry in fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten() {
        let Ok(line) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((start, rest)) = line.split_once(" (") else { continue };
        let Some((name, rest)) = rest.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next().unwrap_or("?"), fields.next().unwrap_or("?"));
        let threads = fields.nth(15).unwrap_or("?");
        if start.parse::<u32>().is_ok() {
            println!("{start} {state} {name} {parent} {threads}");
        }
    }
    Ok(())
}

fn signal(pid: &str, number: &str) -> Result<(), String> {
    let parse = |text: &str| text.parse::<i32>().map_err(|_| format!("{text}: no number"));
    let signal = nix::sys::signal::Signal::try_from(parse(number)?).map_err(|e| e.to_string())?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(parse(pid)?), signal)
        .map_err(|error| format!("{pid}: {error}"))
}

/// A program that a person talks to at a terminal.
fn tty() -> Result<ExitCode, String> {
    let stdin = io::stdin();
    let foreground =
        nix::unistd::tcgetpgrp(&stdin).is_ok_and(|group| group == nix::unistd::getpgrp());
    println!("terminal={} foreground={foreground}", stdin.is_terminal());
    print!("type something: ");
    io::stdout().flush().map_err(|error| error.to_string())?;
    let mut line = String::new();
    stdin.read_line(&mut line).map_err(|error| error.to_string())?;
    println!("you said {line}");
    Ok(ExitCode::from(5))
}

/// Runs a command as PID 1 of a PID namespace of its own, and waits for it.
fn pid1(command: &[&str]) -> Result<ExitStatus, String> {
    let (program, arguments) = command.split_first().ok_or(USAGE)?;
    unshare(CloneFlags::CLONE_NEWPID).map_err(|error| format!("a PID namespace: {error}"))?;
    // A group of its own, as an engine gives PID 1: one outside of the namespace has no number.
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    command.status().map_err(|error| format!("{program}: {error}"))
}

fn shell_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(code).unwrap_or(255)
}

fn exit_codes(command: &[&str]) -> Result<ExitCode, String> {
    let left = Mutex::new(0..=255_u8);
    let wrong = Mutex::new(vec![]);
    let itself = env::current_exe().map_err(|error| error.to_string())?;
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(code) = next() {
                    let words = command.iter().map(|word| word.replace("{}", &code.to_string()));
                    let output = Command::new(&itself).arg("pid1").args(words).output();
                    let got = output.as_ref().ok().and_then(|output| output.status.code());
                    if got != Some(code.into()) {
                        let log = output.map(|output| output.stderr).unwrap_or_default();
                        let log = String::from_utf8_lossy(&log).into_owned();
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).push((code, got, log));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (code, got, log) in &wrong {
        println!("{code} became {got:?}: {log}");
    }
    if wrong.is_empty() {
        println!("all 256 agree");
    }
    Ok(ExitCode::from(u8::from(!wrong.is_empty())))
}
