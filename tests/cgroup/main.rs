//! The product as the first process of a real machine with cgroup v2: a guest under QEMU.
//!
//! `scripts/test cgroup` makes the guest. It is booted once; `guest.sh` is what happens in it, and
//! each test reads the part of its console that has the test's subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may read its environment"
)]

use std::{env, process::Command, sync::LazyLock};

/// A guest without hardware's help takes half a minute, or two where others are busy.
const PATIENCE: &str = "280";

static CONSOLE: LazyLock<String> = LazyLock::new(boot);

/// What the guest prints until it switches itself off.
fn boot() -> String {
    let folder = env::var("DM_GUEST").expect("DM_GUEST names no guest: run scripts/test cgroup");
    let kernel = format!("{folder}/kernel");
    let initramfs = format!("{folder}/initramfs");
    let words =
        "console=ttyS0 loglevel=1 panic=-1 rdinit=/dutch-master -- init /bin/busybox sh /guest.sh";
    let output = Command::new("timeout")
        .args([PATIENCE, "qemu-system-x86_64", "-nodefaults", "-nographic", "-no-reboot"])
        .args(["-serial", "stdio", "-machine", "q35,accel=tcg", "-smp", "4", "-m", "1G"])
        .args(["-kernel", &kernel, "-initrd", &initramfs, "-append", words])
        .output()
        .expect("QEMU");
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

/// What the console has from `@@ name` to the next.
#[track_caller]
fn part(name: &str) -> &'static str {
    let console: &'static str = &CONSOLE;
    let begin = format!("@@ {name}\n");
    let (_, rest) =
        console.split_once(&begin).unwrap_or_else(|| panic!("no part {name}:\n{console}"));
    let (part, _) = rest.split_once("@@ ").unwrap_or_else(|| panic!("cut off:\n{console}"));
    part
}

#[track_caller]
fn shows(name: &str, wanted: &[&str]) {
    let part = part(name);
    for words in wanted {
        assert!(part.contains(words), "{name}: no '{words}' in\n{part}");
    }
}

#[test]
fn it_is_the_init_of_a_whole_machine_and_leaves_no_zombie() {
    shows("machine", &["dutch-master\n", "no zombie\n"]);
    shows("stop", &["stopped cleanly\n", "dutch-master\n"]);
}

#[test]
fn workers_follow_the_cpu_quota_rounded_up() {
    shows("quota", &["\"workers\":2,", "cgroup CPU quota allows 2"]);
}

#[test]
fn the_tightest_quota_of_an_ancestor_counts() {
    shows("ancestor", &["\"workers\":1,", "cgroup CPU quota allows 1"]);
}

#[test]
fn a_quota_that_grows_in_place_brings_workers_without_a_restart() {
    shows("resize", &["\"workers\":3,\"before\":2", "cgroup CPU quota allows 3", "\"ready\":3\n"]);
}

#[test]
fn the_pids_limit_leaves_room_for_a_roll() {
    shows("pids", &["\"workers\":4,", "pids limit of 9 leaves room for 4 and their successors"]);
}

#[test]
fn the_memory_limit_holds_so_many_of_worker_memory() {
    shows("memory", &["\"workers\":2,", "memory limit of 268435456 bytes holds 2"]);
}

#[test]
fn a_worker_that_the_kernel_kills_for_memory_costs_itself_and_is_called_so() {
    let wanted = ["worker_exits_total{reason=\"oom\"} 1\n", "oom_kill 1\n", "oom_group_kill 0\n"];
    shows("oom", &wanted);
    shows("oom", &["out of memory", "\"ready\":2\n", "the kernel has killed 1 processes here"]);
}

#[test]
fn with_group_kill_everything_goes_and_doctor_says_so_before() {
    shows("group", &["memory.oom.group is set", "populated 0\n", "oom_group_kill 1\n"]);
}
