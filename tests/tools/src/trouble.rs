//! Trouble from outside of a fleet: full disks, floods of clients, clocks far from their origin.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::{net::UnixStream, process::CommandExt},
    process::{self, Command},
    time::{Duration, Instant},
};

use nix::libc;

fn told(what: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// Takes all the room that the file system of `path` has.
pub fn fill(path: &str) -> Result<File, String> {
    let mut file = File::create(path).map_err(told(path))?;
    // Smaller and smaller pieces, so that not even a line finds room.
    for size in [4096, 64, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    Ok(file)
}

/// Writes a page to a file of its own beside `path`, as a hook might, and removes it.
pub fn write(path: &str) -> Result<(), String> {
    let path = format!("{path}-{}", process::id());
    let done = fs::write(&path, [0; 4096]).map_err(told(&path));
    fs::remove_file(&path).map_err(told(&path))?;
    done
}

/// Fills the disk under `path` and becomes `command`, whose output goes there.
pub fn onto_full_disk(path: &str, command: &[&str]) -> Result<(), String> {
    let file = fill(path)?;
    let again = file.try_clone().map_err(told(path))?;
    become_command(Command::new(first(command)?).args(&command[1..]).stdout(file).stderr(again))
}

/// Becomes `command` in a time namespace whose clocks have run for so many seconds more.
pub fn in_time_namespace(seconds: &str, command: &[&str]) -> Result<(), String> {
    // A user namespace of our own is one whose clocks we may move.
    // SAFETY: it takes a number and touches no memory of ours.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWTIME) } != 0 {
        return Err(told("a time namespace")(std::io::Error::last_os_error()));
    }
    fs::write("/proc/self/uid_map", "0 0 1").map_err(told("uid_map"))?;
    let offsets = format!("monotonic {seconds} 0\nboottime {seconds} 0\n");
    fs::write("/proc/self/timens_offsets", offsets).map_err(told("timens_offsets"))?;
    become_command(Command::new(first(command)?).args(&command[1..]))
}

fn first<'a>(command: &[&'a str]) -> Result<&'a str, String> {
    command.first().copied().ok_or_else(|| "no command".to_owned())
}

fn become_command(command: &mut Command) -> Result<(), String> {
    Err(command.exec().to_string())
}

/// For so many milliseconds, clients of a control socket that say nothing, nonsense, too much, or
/// the same again and again without reading the answer.
pub fn flood(path: &str, milliseconds: &str) -> Result<(), String> {
    let milliseconds = milliseconds.parse().map_err(|_| format!("{milliseconds}: no number"))?;
    let end = Instant::now() + Duration::from_millis(milliseconds);
    let mut silent = vec![];
    let long = "x".repeat(100_000);
    let words = ["", "nonsense\n", &long, "{\"v\":1,\"op\":\"status\"}\n"];
    for text in words.iter().cycle() {
        if Instant::now() > end {
            break;
        }
        // Whom it sends away, it sends away.
        let Ok(mut stream) = UnixStream::connect(path) else { continue };
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.set_write_timeout(Some(Duration::from_millis(20)));
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.read(&mut [0]);
        silent.push(stream);
        if silent.len() > 40 {
            silent.clear();
        }
    }
    Ok(())
}
