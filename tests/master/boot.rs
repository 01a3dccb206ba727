//! What must be so before anybody starts, what a worker is started with, and what says it is ready.

use rustix::process::Signal;

use crate::harness::{Folder, Master, Setup, gone};

const IDLE: &str = "exec sleep 600";

/// The exit code, and what the log's errors say.
fn refused(setup: Setup) -> (i32, String) {
    let mut master = setup.start();
    let code = master.exit_code();
    (code, master.tail())
}

#[test]
fn a_command_that_does_not_exist_is_127_and_one_that_cannot_run_is_126() {
    let once = |command: &[&str]| refused(Setup::of(command).set("START_ATTEMPTS", "1"));
    let (code, log) = once(&["/nowhere/server"]);
    assert!(code == 127 && log.contains("worker not executed"), "{code} {log}");
    let (code, log) = once(&["no-such-server-in-path"]);
    assert_eq!(code, 127, "{log}");
    let (code, log) = once(&["/etc/passwd"]);
    assert_eq!(code, 126, "{log}");
}

#[test]
fn a_fleet_that_never_comes_up_exits_as_its_worker_did() {
    let (code, log) =
        refused(Setup::notifying("exit 42").set("START_ATTEMPTS", "2").set("BACKOFF", "1ms-2ms"));
    assert_eq!(code, 42, "{log}");
    assert_eq!(log.matches("\"worker starting\"").count(), 2, "{log}");
    let (code, log) = refused(Setup::notifying("kill -KILL $$").set("START_ATTEMPTS", "1"));
    assert_eq!(code, 128 + 9, "{log}");
}

#[test]
fn every_wrong_setting_is_named_at_once_and_a_wrong_flag_is_bad_usage() {
    let (code, log) = refused(Setup::new(IDLE).set("WORKERS", "none").set("KILL_TIMEOUT", "soon"));
    assert_eq!(code, 78);
    assert!(log.contains("WORKERS") && log.contains("KILL_TIMEOUT"), "{log}");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dutch-master"))
        .args(["--no-such-flag", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn what_cannot_be_had_before_the_first_worker_is_78_with_a_reason() {
    let (code, log) = refused(Setup::new(IDLE).set("CHDIR", "/nowhere/at/all"));
    assert!(code == 78 && log.contains("/nowhere/at/all"), "{code} {log}");
    let (code, log) = refused(Setup::new(IDLE).set("ENV_DIR", "/nowhere/at/all"));
    assert!(code == 78 && log.contains("/nowhere/at/all"), "{code} {log}");
    let (code, log) = refused(Setup::new(IDLE).set("WATCH", "/nowhere/at/all"));
    assert!(code == 78 && log.contains("/nowhere/at/all"), "{code} {log}");
    let (code, log) = refused(Setup::new(IDLE).set("USER", "nobody-of-that-name"));
    assert!(code == 78 && log.contains("nobody-of-that-name"), "{code} {log}");
}

#[test]
fn a_port_in_use_is_78_with_a_clear_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for balance in ["shared", "slot"] {
        let setup = Setup::new(IDLE).set("BALANCE", balance);
        let (code, log) = refused(setup.set("LISTEN", &format!("tcp://{address}")));
        assert_eq!(code, 78, "{log}");
        assert!(log.contains(&address.port().to_string()) && log.contains("in use"), "{log}");
    }
}

#[test]
fn a_socket_file_is_replaced_only_if_nobody_answers_on_it() {
    let folder = Folder::new();
    let path = folder.at("app.sock");
    let listen = format!("unix:{}", path.display());
    let living = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (code, log) = refused(Setup::new(IDLE).set("LISTEN", &listen));
    assert!(code == 78 && log.contains("app.sock"), "{code} {log}");
    drop(living);
    Setup::new(IDLE).set("LISTEN", &listen).ready();
}

#[test]
fn before_fork_runs_before_each_worker_and_knows_which() {
    let folder = Folder::new();
    let hook = folder.write("hook", "echo hook $DUTCH_MASTER_SLOT\n");
    let mut master = Setup::new(&format!("echo worker; {IDLE}"))
        .set("BEFORE_FORK", &format!("sh {hook}"))
        .start();
    master.printed("hook 0");
    master.printed("worker");
    master.signal(Signal::HUP);
    master.printed("hook 0");
    master.printed("worker");
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_before_fork_that_fails_fails_the_start() {
    let folder = Folder::new();
    let hook = folder.write("hook", "exit 3\n");
    let setup = Setup::new("echo worker").set("BEFORE_FORK", &format!("sh {hook}"));
    let (code, log) = refused(setup.set("START_ATTEMPTS", "2").set("BACKOFF", "1ms-2ms"));
    assert_eq!(code, 1, "{log}");
    assert_eq!(log.matches("BEFORE_FORK failed").count(), 2, "{log}");
    assert!(!log.contains("\nworker"), "{log}");
}

#[test]
fn a_before_fork_that_hangs_is_ended_as_a_worker_is_that_does() {
    let folder = Folder::new();
    let hook = folder.write("hook", "trap '' TERM; echo hook $$; while :; do sleep 600; done\n");
    let mut master = Setup::new("echo worker")
        .set("BEFORE_FORK", &format!("sh {hook}"))
        .set("START_TIMEOUT", "5s")
        .set("KILL_TIMEOUT", "1s")
        .set("START_ATTEMPTS", "1")
        .start();
    let pid = master.printed("hook").text[5..].parse().unwrap();
    assert_eq!(master.exit_code(), 1, "{}", master.tail());
    gone(pid);
    assert!(master.so_far().iter().all(|line| line.text != "worker"));
}

#[test]
fn signals_for_workers_do_not_reach_a_hook() {
    let folder = Folder::new();
    let go = folder.fifo("go");
    let hook = folder.write("hook", &format!("echo hook; read go <{go}\n"));
    let master = Setup::new(IDLE).set("BEFORE_FORK", &format!("sh {hook}")).start();
    master.printed("hook");
    master.signal(Signal::USR1);
    master.next("signal forwarded");
    std::fs::write(&go, "go\n").unwrap();
    master.next("worker ready");
    assert_eq!(master.count("worker not started"), 0, "{}", master.tail());
}

#[test]
fn a_command_says_how_many_workers_there_are_at_boot_and_before_each_roll() {
    let folder = Folder::new();
    let count = folder.write("count", "2\n");
    let mut master = Setup::new(IDLE).set("NUM_WORKERS_COMMAND", &format!("cat {count}")).start();
    master.next("every worker ready");
    assert_eq!(master.count("worker starting"), 2, "{}", master.tail());
    std::fs::write(&count, "3\n").unwrap();
    master.roll();
    assert!(
        master.so_far().iter().any(|line| { line.says("scaling") && line.number("workers") == 3 })
    );
    std::fs::write(&count, "many\n").unwrap();
    master.signal(Signal::HUP);
    let told = master.next("NUM_WORKERS_COMMAND failed, keeping the number");
    assert_eq!(told.number("workers"), 3);
    assert!(told.field("problem").unwrap().contains("many"), "{}", told.text);
    master.next("every worker ready");
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_command_says_when_a_worker_is_ready() {
    let folder = Folder::new();
    let probe = folder.write(
        "probe",
        &format!(
            "kill -0 $DUTCH_MASTER_WORKER_PID && echo asked && test -e {}\n",
            folder.text("up")
        ),
    );
    let master = Setup::new(IDLE).set("READY", &format!("exec:sh {probe}")).start();
    master.printed("asked");
    master.printed("asked");
    master.catch_up();
    assert_eq!(master.count("worker ready"), 0);
    folder.write("up", "");
    master.next("worker ready");
}

#[test]
fn a_worker_that_lives_long_enough_is_ready() {
    let master = Setup::new(IDLE).set("READY", "delay:300ms").start();
    assert!(master.next("worker ready").number("after_ms") >= 300);
}

#[test]
fn an_argument_may_name_a_listener() {
    let script = "echo fd=$1 addr=$2 {}; exec sleep 600";
    let setup = Setup::of(&["sh", "-c", script, "worker", "{fd:http}", "{addr:http}"]);
    let setup = setup.set("READY", "start").set("LISTEN", "http=tcp://127.0.0.1:0");
    let master = setup.ready();
    let port = master.address().port();
    master.rewind();
    master.printed(&format!("fd=3 addr=127.0.0.1:{port} {{}}"));
}

/// A worker called `name` says whether its first listener is non-blocking (`O_NONBLOCK`, 04000).
#[track_caller]
fn finds_its_listener(name: &str, options: &str, is_nonblocking: bool) {
    let folder = Folder::new();
    let script = "#!/bin/sh\nwhile read -r name flags; do\n\
                  if [ \"$name\" = flags: ]; then echo nonblock=$((flags & 04000)); fi\n\
                  done < /proc/$$/fdinfo/3\nexec sleep 600\n";
    folder.write("script", script);
    let program = folder.program(&folder.at("script"), name);
    let setup = Setup::of(&[&program]).set("READY", "start");
    let master = setup.set("LISTEN", &format!("tcp://127.0.0.1:0{options}")).ready();
    master.rewind();
    master.printed(if is_nonblocking { "nonblock=2048" } else { "nonblock=0" });
}

#[test]
fn nginx_finds_listeners_as_an_older_nginx_leaves_them_and_others_as_systemd_does() {
    finds_its_listener("nginx", "", true);
    finds_its_listener("server", "", false);
}

#[test]
fn whether_an_accept_waits_may_be_set() {
    finds_its_listener("nginx", "?nonblock=off", false);
    finds_its_listener("server", "?nonblock=on", true);
}

#[test]
fn exec_says_anew_whose_the_sockets_are() {
    let inner = "echo mine=$((LISTEN_PID - $$)) fds=$LISTEN_FDS; exec sleep 600";
    let outer = format!(
        "(echo stale=$LISTEN_PID; {} exec -- sh -c '{inner}') & wait",
        env!("CARGO_BIN_EXE_dutch-master")
    );
    let setup = Setup::new(&outer).set("LISTEN", "tcp://127.0.0.1:0");
    let master = setup.ready();
    master.rewind();
    master.printed("mine=0 fds=1");
}

fn environment() -> (Master, Vec<String>) {
    let folder = Folder::new();
    folder.write("FROM_FILE", "file\n");
    let master = Setup::of(&["sh", "-c", "env; echo end; exec sleep 600"])
        .set("READY", "start")
        .set("ENV_DIR", &folder.text(""))
        .set("WORKER_ENV_OF_WORKERS", "theirs")
        .var("PLAIN", "container")
        .var("LISTEN_PID", "7")
        .var("NODE_CHANNEL_FD", "3")
        .var("NOTIFY_SOCKET", "/somebody/elses")
        .ready();
    master.rewind();
    master.printed("end");
    let lines = master.so_far().into_iter().filter(|line| line.is_stdout);
    let lines = lines.map(|line| line.text).collect();
    (master, lines)
}

#[test]
fn a_worker_sees_what_is_meant_for_it_and_nothing_else() {
    let (_master, lines) = environment();
    let has = |entry: &str| lines.iter().any(|line| line == entry);
    for entry in ["PLAIN=container", "FROM_FILE=file", "OF_WORKERS=theirs"] {
        assert!(has(entry), "{entry} in {lines:#?}");
    }
    let ours: Vec<&String> = lines.iter().filter(|l| l.starts_with("DUTCH_MASTER_")).collect();
    assert_eq!(ours.len(), 3, "{ours:?}");
    assert!(has("DUTCH_MASTER_SLOT=0"));
    for stale in ["LISTEN_PID=7", "NODE_CHANNEL_FD=3", "NOTIFY_SOCKET=/somebody/elses"] {
        assert!(!has(stale), "{stale}");
    }
}

#[test]
fn a_worker_gets_the_limits_and_rights_that_were_set() {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root, "run as root: only root can hand a worker to another user");
    let script = "ulimit -n; cat /proc/self/oom_score_adj; cut -d' ' -f19 /proc/self/stat
        grep -E '^(NoNewPrivs|Uid|Gid):' /proc/self/status | tr -s '\\t' ' '; echo end; exec sleep 600";
    let master = Setup::of(&["sh", "-c", script])
        .set("READY", "start")
        .set("RLIMIT_NOFILE", "100:200")
        .set("OOM_SCORE_ADJ", "321")
        .set("NICE", "5")
        .set("NO_NEW_PRIVS", "true")
        .set("USER", "12345:54321")
        .ready();
    master.rewind();
    master.printed("end");
    let lines = master.so_far().into_iter().filter(|line| line.is_stdout);
    let lines: Vec<String> = lines.map(|line| line.text).collect();
    let uid = "Uid: 12345 12345 12345 12345";
    let gid = "Gid: 54321 54321 54321 54321";
    assert_eq!(lines, ["100", "321", "5", uid, gid, "NoNewPrivs: 1", "end"]);
}

#[test]
fn a_worker_of_another_user_can_say_that_it_is_ready() {
    let script = "say STATUS=hello; tool say READY=1; exec sleep 600";
    let folder = Folder::new();
    // Where everybody may run it: the build's own directory may be closed to others.
    let this = folder.program(&std::env::current_exe().unwrap(), "tool");
    let this = format!("{this} --ignored --exact tool --nocapture --quiet");
    Setup::notifying(script).set("USER", "12345").var("DM_SELF", &this).ready();
}
