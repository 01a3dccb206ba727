//! Directory, environment, group, limits, credentials and signals of a program.
#![cfg(test)]

use super::*;

/// What a program that we start has blocked, ignored and caught must be what the shell's would have.
fn signals_are_as_inherited() {
    let _signals = crate::sys::signals::Signals::install().unwrap();
    let (text, _) = said(launch(&["cat", "/proc/self/status"]));
    // With a second thread, as in a test, libc takes signal 33 for itself.
    let set = |digits: &str| u64::from_str_radix(digits.trim(), 16).unwrap() & !(1 << 32);
    let found = |name| set(text.lines().find_map(|line| line.strip_prefix(name)).unwrap());
    let inherited = std::env::vars().find(|(name, _)| name == "INHERITED").unwrap().1;
    assert_eq!([found("SigBlk:"), found("SigCgt:"), found("SigIgn:")], [0, 0, set(&inherited)]);
}

const INHERITED: &str = "export INHERITED=$(sed -n 's/^SigIgn:.//p' /proc/self/status)";

#[test]
fn the_program_starts_in_the_directory_of_the_handle() {
    let directory = File::open("/usr/bin").unwrap();
    let mut wanted = launch(&["sh", "-c", "pwd -P"]);
    wanted.cwd = Some(directory.as_fd());
    assert_eq!(said(wanted).0, "/usr/bin\n");
}

#[test]
fn the_program_finds_its_own_pid_in_the_environment() {
    let mut wanted = launch(&["sh", "-c", "echo $$ $LISTEN_PID $LISTEN_PIDFDID; read x"]);
    wanted.own_pid_env = true;
    let (read, write) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC).unwrap();
    let (input, feed) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC).unwrap();
    wanted.fds = vec![(0, input.as_fd()), (1, write.as_fd())];
    let spawned = spawn(&wanted).unwrap();
    let mut text = [0; 100];
    let length = rustix::io::read(&read, &mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    let pid = kernel::Pid::from_raw(spawned.pid.get()).unwrap();
    let pidfd = kernel::pidfd_open(pid, kernel::PidfdFlags::empty()).unwrap();
    let inode = rustix::fs::fstat(&pidfd).unwrap().st_ino;
    drop(feed);
    wait(spawned.pid);
    let lasting = rustix::fs::fstatfs(&pidfd).unwrap().f_type == 0x5049_4446;
    let inode = if lasting { format!(" {inode}") } else { String::new() };
    assert_eq!(text, format!("{pid} {pid}{inode}\n"));
}

#[test]
fn groups_and_sessions_are_as_asked_for_when_spawn_returns() {
    let ours = kernel::getpgrp();
    for (group, leads) in [(Group::Own, true), (Group::Inherit, false), (Group::Foreground, true)] {
        let spawned = spawn(&Launch { group, ..launch(&["sleep", "1000"]) }).unwrap();
        let raw = kernel::Pid::from_raw(spawned.pid.get()).unwrap();
        let found = kernel::getpgid(Some(raw)).unwrap();
        assert_eq!(found, if leads { raw } else { ours }, "{group:?}");
        crate::sys::signals::kill(spawned.pid, libc::SIGKILL).unwrap();
        assert_eq!(wait(spawned.pid).signal(), Some(libc::SIGKILL));
    }
    let (text, _) = said(Launch {
        group: Group::SessionWithTerminal,
        ..launch(&["cut", "-d ", "-f1,5,6", "/proc/self/stat"])
    });
    let numbers: Vec<_> = text.split_whitespace().collect();
    assert!(numbers[0] == numbers[1] && numbers[0] == numbers[2], "{text}");
}

#[test]
fn limits_are_the_childs_only() {
    let mut wanted = launch(&[
        "sh",
        "-c",
        "ulimit -n; ulimit -Hn; nice; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status",
    ]);
    let resource = Resource::from_name("NOFILE").unwrap();
    wanted.limits = Limits {
        rlimits: vec![Limit { resource, soft: Some(50), hard: Some(60) }],
        nice: Some(5),
        oom_score_adj: OomScore::Require(500),
        pdeathsig: None,
        no_new_privs: true,
    };
    assert_eq!(said(wanted).0, "50\n60\n5\n500\nNoNewPrivs:\t1\n");
}

/// Needs root, as the suite of the whole project does.
#[test]
fn credentials_are_taken_on_whole() {
    assert!(kernel::getuid().is_root(), "this test needs root");
    let mut wanted = launch(&["sh", "-c", "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status"]);
    wanted.credentials = Some(Credentials { uid: 65534, gid: 65533, groups: vec![7, 9] });
    let (text, _) = said(wanted);
    let words: Vec<_> = text.split_whitespace().collect();
    let expected = "Uid: 65534 65534 65534 65534 Gid: 65533 65533 65533 65533 Groups: 7 9 CapEff: 0000000000000000";
    assert_eq!(words.join(" "), expected);
}

#[test]
fn the_child_dies_with_its_parent_if_asked_to() {
    alone("sys::spawn::tests::treatment::the_child_dies_with_its_parent_if_asked_to", || {
        reap::subreaper().unwrap();
        // SAFETY: this process has one thread.
        if let ForkResult::Child = unsafe { nix::unistd::fork() }.unwrap() {
            let mut wanted = launch(&["sleep", "1000"]);
            wanted.limits.pdeathsig = Some(libc::SIGUSR1);
            let code = spawn(&wanted).map_or(1, |spawned| {
                i32::from(result(&spawned.exec_status) != ExecResult::Running)
            });
            crate::sys::panic::leave(code);
        }
        let ends: Vec<_> = (0..2)
            .map(|_| {
                loop {
                    if let Some((_, status)) = reap::reap() {
                        break status;
                    }
                }
            })
            .collect();
        assert_eq!((ends[0].code(), ends[1].signal()), (Some(0), Some(libc::SIGUSR1)));
        assert_eq!(reap::reap(), None);
    });
}

#[test]
fn a_program_starts_with_no_signal_blocked_caught_or_ignored() {
    let name =
        "sys::spawn::tests::treatment::a_program_starts_with_no_signal_blocked_caught_or_ignored";
    alone_after(INHERITED, name, signals_are_as_inherited);
}

#[test]
fn what_was_ignored_when_we_started_stays_ignored_for_the_program() {
    let name = "sys::spawn::tests::treatment::what_was_ignored_when_we_started_stays_ignored_for_the_program";
    alone_after(&format!("trap '' HUP USR1 PIPE\n{INHERITED}"), name, signals_are_as_inherited);
}
