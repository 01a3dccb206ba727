//! Spawn, with real processes.
#![cfg(test)]

mod descriptors;
mod failures;
mod treatment;

use super::super::limits::{Limit, OomScore, Resource};
use super::super::reap::{self, ExitStatus};
use super::super::testing::{alone, alone_after, open_descriptors};
use super::*;
use rustix::fs::MemfdFlags;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

fn launch<'a>(words: &[&str]) -> Launch<'a> {
    let path = OsStr::new("/usr/local/bin:/usr/bin:/bin");
    Launch {
        candidates: candidates(OsStr::new(words[0]), Some(path)),
        argv: words.iter().map(|word| CString::new(*word).unwrap()).collect(),
        env: Some(vec![c"PATH=/usr/bin:/bin".into()]),
        own_pid_env: false,
        cwd: None,
        fds: vec![],
        credentials: None,
        group: Group::Own,
        limits: Limits::default(),
        filter: None,
    }
}

/// Blocks until `pid` is dead.
fn wait(pid: Pid) -> ExitStatus {
    let raw = kernel::Pid::from_raw(pid.get()).unwrap();
    let dead = kernel::WaitIdOptions::EXITED | kernel::WaitIdOptions::NOWAIT;
    kernel::waitid(kernel::WaitId::Pid(raw), dead).unwrap();
    reap::reap_one(pid).unwrap().1
}

/// Blocks until it is known how the start went.
fn result(exec_status: &OwnedFd) -> ExecResult {
    let mut fds = [rustix::event::PollFd::new(exec_status, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).unwrap();
    exec_result(exec_status)
}

/// What the program said, and how it ended.
fn said(launch: Launch<'_>) -> (String, ExitStatus) {
    let (read, write) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC).unwrap();
    let mut launch: Launch<'_> = launch;
    launch.fds.push((1, write.as_fd()));
    let spawned = spawn(&launch).unwrap();
    drop(launch);
    drop(write);
    assert_eq!(result(&spawned.exec_status), ExecResult::Running);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    (text, wait(spawned.pid))
}

fn failure(launch: &Launch<'_>) -> (SpawnError, ExitStatus) {
    let spawned = spawn(launch).unwrap();
    let ExecResult::Failed(error) = result(&spawned.exec_status) else { panic!("it runs") };
    let status = wait(spawned.pid);
    assert_eq!(status.code(), Some(error.shell_code()));
    (error, status)
}

/// The descriptors of a child but those of `ls` itself: number and what it is.
fn table(launch: Launch<'_>) -> BTreeMap<RawFd, String> {
    let mut launch: Launch<'_> = launch;
    launch.candidates = vec![c"/bin/ls".into()];
    launch.argv = vec![c"ls".into(), c"-l".into(), c"/proc/self/fd".into()];
    let (text, status) = said(launch);
    assert_eq!(status.code(), Some(0), "{text}");
    text.lines()
        .filter_map(|line| line.split_once(" -> "))
        .map(|(left, what)| (left.rsplit(' ').next().unwrap().parse().unwrap(), what.to_owned()))
        .filter(|(_, what): &(RawFd, String)| !what.starts_with("/proc/"))
        .collect()
}

fn memory(name: &str) -> OwnedFd {
    rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).unwrap()
}

/// Written by another process: a fork of another test would keep our file open for writing, and the
/// kernel executes no such file.
fn scratch(name: &str, mode: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("dutch-master-{}-{name}", std::process::id()));
    let script = r#"printf '%s' "$2" > "$1" && chmod "$3" "$1""#;
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(&path).args([text, mode]);
    assert!(shell.status().unwrap().success());
    path
}

fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
    if of.len() < 2 {
        return vec![of.to_vec()];
    }
    let rest_after = |&first: &usize| {
        let rest: Vec<_> = of.iter().copied().filter(|&other| other != first).collect();
        permutations(&rest).into_iter().map(move |tail| [vec![first], tail].concat())
    };
    of.iter().flat_map(rest_after).collect()
}
