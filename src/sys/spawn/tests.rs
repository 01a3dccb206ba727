//! Spawn, with real processes.

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
        env: vec![c"PATH=/usr/bin:/bin".into()],
        own_pid_env: false,
        cwd: None,
        fds: vec![],
        credentials: None,
        group: Group::Own,
        limits: Limits::default(),
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

#[test]
fn descriptors_arrive_at_their_numbers_in_any_permutation_and_nothing_else_does() {
    let high = |name| rustix::io::fcntl_dupfd_cloexec(memory(name), 100).unwrap();
    let sources = ["a", "b", "c", "d"].map(high);
    let numbers: Vec<_> = sources.iter().map(AsRawFd::as_raw_fd).collect();
    for order in permutations(&[0, 1, 2, 3]) {
        for shift in [0, 1, -1] {
            let mut wanted = launch(&["ls"]);
            let mut expected = BTreeMap::new();
            for (source, &place) in sources.iter().zip(&order) {
                let target = numbers[place] + shift;
                wanted.fds.push((target, source.as_fd()));
                expected.insert(
                    target,
                    rustix::fs::readlink(format!("/proc/self/fd/{}", source.as_raw_fd()), vec![])
                        .unwrap()
                        .into_string()
                        .unwrap(),
                );
            }
            let mut found = table(wanted);
            found.retain(|&number, _| number > 2);
            assert_eq!(found, expected, "{order:?} {shift}");
        }
    }
}

#[test]
fn one_descriptor_can_go_to_many_numbers_and_to_standard_input() {
    let source = memory("many");
    let mut wanted = launch(&["ls"]);
    wanted.fds = [0, 3, 4, 200].map(|target| (target, source.as_fd())).into();
    let found = table(wanted);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 200]);
    assert!(found[&0].contains("many") && found[&200].contains("many"), "{found:?}");
}

#[test]
fn a_descriptor_without_close_on_exec_does_not_reach_the_program() {
    let open = memory("stray");
    let stray = rustix::io::fcntl_dupfd_cloexec(&open, 700).unwrap();
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
    assert_eq!(table(launch(&["ls"])).into_keys().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_old_kernel_without_close_range_closes_them_all_the_same() {
    alone("sys::spawn::tests::an_old_kernel_without_close_range_closes_them_all_the_same", || {
        let open: Vec<_> = (0..100).map(|_| memory("x")).collect();
        let kept = open[50].as_raw_fd();
        std::mem::forget(open);
        assert!(descriptors::close_without_close_range(&[kept]));
        let left = open_descriptors();
        assert!(left.contains(&kept.to_string()) && left.len() == 5, "{left:?}");
    });
}

#[test]
fn a_program_that_is_not_there_is_127_and_named() {
    let (error, _) = failure(&launch(&["no-such-program"]));
    assert_eq!(error.to_string(), "no-such-program: not found");
    assert_eq!((error.step, error.errno.0, error.shell_code()), (Step::Exec, libc::ENOENT, 127));
    let (error, _) = failure(&launch(&["/no/such/program"]));
    assert_eq!(
        (error.to_string().as_str(), error.shell_code()),
        ("/no/such/program: not found", 127)
    );
}

#[test]
fn a_file_that_may_not_be_executed_is_126() {
    let path = scratch("denied", "600", "#!/bin/sh\n");
    let (error, _) = failure(&launch(&[path.to_str().unwrap()]));
    assert_eq!((error.step, error.errno.0, error.shell_code()), (Step::Exec, libc::EACCES, 126));
    assert_eq!(error.to_string(), format!("{}: permission denied", path.display()));
    let (error, _) = failure(&launch(&["/"]));
    assert_eq!((error.errno.0, error.shell_code()), (libc::EACCES, 126));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_refusal_early_in_path_does_not_hide_a_program_later_but_beats_absence() {
    let denied = CString::new(scratch("early", "600", "").into_os_string().as_bytes()).unwrap();
    let mut wanted = launch(&["true"]);
    wanted.candidates = vec![c"/nowhere/true".into(), denied.clone(), c"/bin/true".into()];
    assert_eq!(said(wanted.clone()).1.code(), Some(0));
    wanted.candidates.pop();
    let (error, _) = failure(&wanted);
    assert_eq!((error.errno.0, error.path.as_bytes()), (libc::EACCES, denied.as_bytes()));
    std::fs::remove_file(error.path).unwrap();
}

#[test]
fn a_script_without_shebang_is_a_format_error_that_says_so() {
    let path = scratch("format", "700", "echo hello\n");
    let (error, _) = failure(&launch(&[path.to_str().unwrap()]));
    assert_eq!(error.errno.0, libc::ENOEXEC);
    assert!(error.to_string().ends_with("missing shebang or wrong architecture"), "{error}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_missing_interpreter_is_told_from_a_missing_program() {
    let path = scratch("interpreter", "700", "#!/no/such/interpreter\n");
    let (error, _) = failure(&launch(&[path.to_str().unwrap()]));
    assert_eq!((error.step, error.shell_code()), (Step::Interpreter, 126));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_program_starts_in_the_directory_of_the_handle() {
    let directory = File::open("/usr/bin").unwrap();
    let mut wanted = launch(&["sh", "-c", "pwd -P"]);
    wanted.cwd = Some(directory.as_fd());
    assert_eq!(said(wanted).0, "/usr/bin\n");
}

#[test]
fn a_handle_that_is_no_directory_fails_the_directory_step() {
    let file = memory("file");
    let mut wanted = launch(&["true"]);
    wanted.cwd = Some(file.as_fd());
    let (error, _) = failure(&wanted);
    assert_eq!((error.step, error.errno.0), (Step::Directory, libc::ENOTDIR));
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
        group: Group::Session,
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

#[test]
fn a_limit_that_the_kernel_refuses_fails_its_step() {
    let mut wanted = launch(&["true"]);
    let resource = Resource::from_name("NOFILE").unwrap();
    wanted.limits.rlimits = vec![Limit { resource, soft: Some(60), hard: Some(50) }];
    assert_eq!(failure(&wanted).0.step, Step::ResourceLimit);
    wanted.limits = Limits { oom_score_adj: OomScore::Require(2000), ..Limits::default() };
    assert_eq!(failure(&wanted).0.step, Step::OomScore);
    wanted.limits = Limits { oom_score_adj: OomScore::Prefer(2000), ..Limits::default() };
    assert_eq!(said(wanted).1.code(), Some(0));
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
fn without_the_right_each_credential_fails_its_own_step() {
    alone("sys::spawn::tests::without_the_right_each_credential_fails_its_own_step", || {
        assert!(kernel::getuid().is_root(), "this test needs root");
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_gid(rustix::thread::Gid::from_raw(65534)).unwrap();
        rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(65534)).unwrap();
        let step = |uid, gid, groups: &[u32]| {
            let mut wanted = launch(&["true"]);
            wanted.credentials = Some(Credentials { uid, gid, groups: groups.to_vec() });
            let (error, _) = failure(&wanted);
            assert_eq!(error.errno.0, libc::EPERM);
            error.step
        };
        assert_eq!(step(65534, 65534, &[4]), Step::SupplementaryGroups);
        assert_eq!(step(65534, 4, &[]), Step::GroupId);
        assert_eq!(step(0, 65534, &[]), Step::UserId);
        let mut same = launch(&["true"]);
        same.credentials = Some(Credentials { uid: 65534, gid: 65534, groups: vec![] });
        assert_eq!(said(same).1.code(), Some(0), "what we are already takes no privilege");
    });
}

#[test]
fn no_room_for_a_process_is_an_error_that_may_pass_and_leaks_nothing() {
    alone(
        "sys::spawn::tests::no_room_for_a_process_is_an_error_that_may_pass_and_leaks_nothing",
        || {
            assert!(kernel::getuid().is_root(), "this test needs root");
            rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(65432)).unwrap();
            let none = kernel::Rlimit { current: Some(0), maximum: Some(0) };
            kernel::setrlimit(kernel::Resource::Nproc, none).unwrap();
            let before = open_descriptors();
            let error = spawn(&launch(&["true"])).unwrap_err();
            assert_eq!(
                (error.step, error.errno.0, error.is_passing()),
                (Step::Fork, libc::EAGAIN, true)
            );
            assert!(error.to_string().contains("no room for a process"), "{error}");
            assert_eq!(open_descriptors(), before);
        },
    );
}

#[test]
fn the_child_dies_with_its_parent_if_asked_to() {
    alone("sys::spawn::tests::the_child_dies_with_its_parent_if_asked_to", || {
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
fn a_thousand_starts_leave_no_descriptor_and_no_process() {
    alone("sys::spawn::tests::a_thousand_starts_leave_no_descriptor_and_no_process", || {
        let before = open_descriptors();
        for _ in 0..1000 {
            let spawned = spawn(&launch(&["/bin/true"])).unwrap();
            assert_eq!(wait(spawned.pid).code(), Some(0));
            assert_eq!(exec_result(&spawned.exec_status), ExecResult::Running);
        }
        assert_eq!(open_descriptors(), before);
        assert_eq!(reap::reap(), None);
    });
}

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
fn a_program_starts_with_no_signal_blocked_caught_or_ignored() {
    let name = "sys::spawn::tests::a_program_starts_with_no_signal_blocked_caught_or_ignored";
    alone_after(INHERITED, name, signals_are_as_inherited);
}

#[test]
fn what_was_ignored_when_we_started_stays_ignored_for_the_program() {
    let name = "sys::spawn::tests::what_was_ignored_when_we_started_stays_ignored_for_the_program";
    alone_after(&format!("trap '' HUP USR1 PIPE\n{INHERITED}"), name, signals_are_as_inherited);
}

#[test]
fn a_long_path_in_an_error_comes_back_cut_but_whole_in_itself() {
    let long = format!("/{}", "x/".repeat(3000));
    let (error, _) = failure(&launch(&[&long]));
    assert_eq!(error.errno.0, libc::ENAMETOOLONG);
    assert!(long.as_bytes().starts_with(error.path.as_bytes()) && error.path.len() > 4000);
}

#[test]
fn candidates_are_those_of_execvp() {
    let texts = |program: &str, path: Option<&str>| {
        let found = candidates(OsStr::new(program), path.map(OsStr::new));
        found.into_iter().map(|path| path.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(texts("sh", Some("/a::/b")), ["/a/sh", "sh", "/b/sh"]);
    assert_eq!(texts("./sh", Some("/a")), ["./sh"]);
    assert_eq!(texts("sh", None), ["/usr/local/bin/sh", "/bin/sh", "/usr/bin/sh"]);
    assert_eq!(texts("", Some("/a")), [""]);
    assert!(texts("a\0b", Some("/a")).is_empty());
}
