//! Exit codes, orphans, descendants, and what the init itself holds on to.

use super::harness::{BINARY, NAMES, is_root, run, run_in, sh, sh_as_pid_1, words};

#[test]
fn all_exit_codes_come_through() {
    for name in NAMES {
        let step = if name == "init" { 1 } else { 51 };
        for code in (0..=255).step_by(step) {
            assert_eq!(sh(name, &[], &format!("exit {code}")).code, code, "{name}");
        }
    }
}

/// Needs root.
#[test]
fn all_orphans_are_reaped() {
    let script = "i=0; while [ $i -lt 1000 ]; do (true &); i=$((i+1)); done
        while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; exit 6";
    for name in NAMES {
        assert_eq!(sh_as_pid_1(name, &[], script).code, 6, "{name}");
        let adopted = "(sh -c 'echo $$ >&3; exec sleep 0.1' 3>&1 &) | (read pid; sleep 0.2
            while [ -d /proc/$pid ]; do :; done)";
        assert_eq!(sh(name, &[], adopted).code, 0, "{name}");
    }
}

const FAMILY: &str = "trap 'exit 3' WINCH
    (trap 'echo bye; exit' TERM; kill -WINCH $$; while :; do sleep 0.01; done) & while :; do sleep 0.01; done";

/// Needs root.
#[test]
fn wait_all_tells_every_descendant_and_waits_for_them() {
    for ended in [sh("init", &["--wait-all"], FAMILY), sh_as_pid_1("init", &["-w20s"], FAMILY)] {
        assert_eq!((ended.code, ended.stdout.as_str()), (3, "bye\n"), "{ended:?}");
    }
}

/// Needs root.
#[test]
fn wait_all_ends_in_time_whoever_does_not_listen() {
    let script = FAMILY.replace("'echo bye; exit'", "''");
    for ended in [sh("init", &["-w100ms"], &script), sh_as_pid_1("init", &["-w100ms"], &script)] {
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""), "{ended:?}");
        assert!(ended.stderr.contains("did not stop in time"), "{ended:?}");
    }
}

#[test]
fn signals_that_come_while_waiting_go_to_everybody_who_is_left() {
    let script = "init=$PPID; trap 'exit 3' WINCH
        (trap '' TERM; trap 'echo told; exit' USR1; kill -WINCH $$
            while [ -d /proc/$$ ]; do :; done; kill -USR1 $init; while :; do sleep 0.01; done) &
        while :; do sleep 0.01; done";
    let ended = sh("init", &["-w20s"], script);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "told\n"), "{ended:?}");
}

#[test]
fn the_init_holds_neither_directory_nor_descriptors_and_the_child_has_both() {
    for name in NAMES {
        let script = "until [ $(readlink /proc/$PPID/cwd) = / ]; do :; done
            ls /proc/$PPID/fd | tr '\\n' ' '; pwd; readlink /proc/self/fd/5";
        let words = words(name, &["--", "sh", "-c", script]);
        let ended = run_in("cd /usr && exec 5</dev/zero 7</dev/null && exec \"$@\"", &words);
        assert_eq!(ended.stdout, "0 1 2 /usr\n/dev/zero\n", "{name} {ended:?}");
    }
}

#[test]
fn a_quiet_init_never_wakes_up() {
    // First it comes to rest, however slow its start is.
    let script = "count() { grep -h ctxt /proc/$PPID/status | tr -dc 0-9; }
        until [ \"$before\" = \"$(count)\" ]; do before=$(count); sleep 0.3; done
        sleep 2; [ \"$before\" = \"$(count)\" ]";
    for name in NAMES {
        assert_eq!(sh(name, &[], script).code, 0, "{name}");
    }
}

/// Needs root, and a pids cgroup of either version.
#[test]
fn two_processes_are_enough() {
    assert!(is_root(), "this test needs root, for a cgroup");
    let root = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
        .into_iter()
        .find(|root| std::path::Path::new(root).join("cgroup.procs").exists())
        .expect("this test needs a pids cgroup, and none is mounted at /sys/fs/cgroup");
    let group = format!("{root}/dutch-master-init-{}", std::process::id());
    let enter = format!(
        "mkdir {group} && echo 2 > {group}/pids.max && echo $$ > {group}/cgroup.procs && exec \"$@\""
    );
    for name in NAMES {
        let ended = run_in(&enter, &words(name, &["--", "/bin/echo", "here"]));
        std::fs::remove_dir(&group).unwrap();
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "here\n"), "{name} {ended:?}");
    }
}

#[test]
fn a_closed_standard_input_does_no_harm() {
    for name in NAMES {
        let ended = run_in("exec \"$@\" <&-", &words(name, &["--", "sh", "-c", "exit 4"]));
        assert_eq!((ended.code, ended.stderr.as_str()), (4, ""), "{name}");
    }
}

#[test]
fn nothing_is_said_when_nothing_is_wrong() {
    for name in NAMES {
        let ended = sh(name, &[], "exit 0");
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{name}");
    }
}

#[test]
fn the_child_is_told_when_our_parent_dies() {
    let child = "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let words = [BINARY, "init", "--parent-death", "TERM", "sh", "-c", child].map(str::to_owned);
    // The shell in the middle ends as soon as the child is ready.
    let middle = "sh -c '\"$@\" > \"$OUT\" & until grep -qs ready \"$OUT\"; do :; done' sh \"$@\"
        until grep -qs told \"$OUT\"; do :; done; cat \"$OUT\"; rm \"$OUT\"";
    let out = std::env::temp_dir().join(format!("dutch-master-told-{}", std::process::id()));
    let ended = run_in(&format!("export OUT={}; {middle}", out.display()), &words);
    assert_eq!(ended.stdout, "ready\ntold\n", "{ended:?}");
}

#[test]
fn a_missing_program_and_a_refused_one_have_their_codes() {
    let code = |name, program| run(&words(name, &[program])).code;
    assert_eq!(NAMES.map(|name| code(name, "no-such-program")), [127, 127, 2, 1]);
    assert_eq!(NAMES.map(|name| code(name, "/etc/passwd")), [126, 126, 2, 1]);
}
