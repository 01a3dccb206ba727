//! What is done to a fleet. Each deed ends as it began, but for what the fleet has to mend itself.

use std::{fs, process::Command, thread, time::Duration};

use crate::{
    dice::Dice,
    fleet::{CONTROL, Fleet, LARGEST},
    harness::docker_fails,
};

/// A deed and its name.
pub(crate) type Deed = (&'static str, fn(&mut Fleet, &mut Dice));

/// All of them; what stands twice is done twice as often.
pub(crate) const DEEDS: [Deed; 16] = [
    ("kill", kill),
    ("kill", kill),
    ("kill a starter", kill_a_starter),
    ("roll", roll),
    ("roll", roll),
    ("roll twice", roll_twice),
    ("broken release", broken),
    ("hanging release", hanging),
    ("scale", scale),
    ("scale", scale),
    ("stop for a while", pause),
    ("stop for good", freeze),
    ("no descriptors", no_descriptors),
    ("no processes", no_processes),
    ("full disk", full_disk),
    ("stalled log", stalled_log),
];

/// Those of which no worker dies that serves.
pub(crate) const HARMLESS: [Deed; 11] = [
    ("roll", roll),
    ("roll", roll),
    ("roll twice", roll_twice),
    ("broken release", broken),
    ("hanging release", hanging),
    ("scale", scale),
    ("scale", scale),
    ("stop for a while", pause),
    ("no processes", no_processes),
    ("full disk", full_disk),
    ("stalled log", stalled_log),
];

/// Sleeps so many milliseconds.
pub(crate) fn rest(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

fn signal(fleet: &Fleet, pid: u64, number: &str) {
    // It may be gone by now.
    docker_fails(&["exec", fleet.container.id(), "/probe", "signal", &pid.to_string(), number]);
}

fn kill_one_in(fleet: &mut Fleet, dice: &mut Dice, state: &str) {
    if let Some(pid) = dice.one_of(&fleet.pids(state)) {
        fleet.deaths += 1;
        signal(fleet, *pid, "9");
    }
}

fn kill(fleet: &mut Fleet, dice: &mut Dice) {
    kill_one_in(fleet, dice, "ready");
}

fn kill_a_starter(fleet: &mut Fleet, dice: &mut Dice) {
    roll(fleet, dice);
    rest(dice.between(0, 200));
    kill_one_in(fleet, dice, "starting");
}

fn roll(fleet: &mut Fleet, dice: &mut Dice) {
    fleet.deploy(&format!("boot={}", dice.between(0, 500)));
    fleet.container.signal("SIGUSR2");
}

fn roll_twice(fleet: &mut Fleet, dice: &mut Dice) {
    roll(fleet, dice);
    rest(dice.between(0, 300));
    roll(fleet, dice);
}

fn broken(fleet: &mut Fleet, dice: &mut Dice) {
    fleet.deploy(&format!("boot={} boot-exit=3", dice.between(0, 200)));
    fleet.container.signal("SIGHUP");
}

fn hanging(fleet: &mut Fleet, _: &mut Dice) {
    fleet.deploy("boot-hang");
    fleet.container.signal("SIGHUP");
}

/// Whoever waits for a worker that goes, and is frozen or dead, is served by others.
fn scale(fleet: &mut Fleet, dice: &mut Dice) {
    let most = u64::try_from(LARGEST).expect("a number");
    fleet.ask(&["scale", &dice.between(1, most + 1).to_string()]);
}

fn pause(fleet: &mut Fleet, dice: &mut Dice) {
    if let Some(pid) = dice.one_of(&fleet.pids("ready")) {
        signal(fleet, *pid, "19");
        rest(dice.between(100, 1500));
        signal(fleet, *pid, "18");
    }
}

/// The watchdog finds it, and SIGKILL ends it.
fn freeze(fleet: &mut Fleet, dice: &mut Dice) {
    if let Some(pid) = dice.one_of(&fleet.pids("ready")) {
        fleet.deaths += 1;
        fleet.frozen.push(*pid);
        signal(fleet, *pid, "19");
    }
}

/// For a second nothing new can be opened, while there is something to be started.
fn no_descriptors(fleet: &mut Fleet, dice: &mut Dice) {
    let pid = fleet.container.inspect("{{.State.Pid}}");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the master");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let most = line.split_whitespace().nth(3).expect("a number");
    // The soft one alone: workers get back the hard one that there was at the start.
    let limit = |count: &str| {
        let mut command = Command::new("prlimit");
        let status = command.args(["--pid", &pid, &format!("--nofile={count}:")]);
        assert!(status.status().expect("prlimit").success());
    };
    let victim = dice.one_of(&fleet.pids("ready")).copied();
    limit("3");
    if let Some(pid) = victim {
        fleet.deaths += 1;
        signal(fleet, pid, "9");
    }
    rest(dice.between(100, 1000));
    limit(most);
}

/// For a second nobody can fork, while there is something to be started.
fn no_processes(fleet: &mut Fleet, dice: &mut Dice) {
    let limit = |count| docker_fails(&["update", "--pids-limit", count, fleet.container.id()]);
    fleet.container.signal("SIGUSR2");
    limit("2");
    rest(dice.between(100, 1000));
    assert!(limit("200").status.success());
}

/// The hook that needs the disk fails, and so does every start.
fn full_disk(fleet: &mut Fleet, dice: &mut Dice) {
    let id = fleet.container.id().to_owned();
    let disk = |verb| docker_fails(&["exec", &id, "/probe", verb, "/scratch/full"]).status;
    disk("fill");
    roll(fleet, dice);
    rest(dice.between(100, 1000));
    assert!(disk("remove").success());
}

/// Whoever reads the container's output stops doing so, and workers talk on; operators flood.
fn stalled_log(fleet: &mut Fleet, dice: &mut Dice) {
    docker_fails(&["exec", "--detach", fleet.container.id(), "/probe", "flood", CONTROL, "1500"]);
    let pid = fleet.container.inspect("{{.State.Pid}}");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the master");
    let shim = stat.rsplit(") ").next().expect("fields").split(' ').nth(1).expect("a parent");
    assert!(shim.parse::<u32>().is_ok_and(|shim| shim > 1), "no reader of our own: {shim}");
    let tell = |signal: &str| Command::new("kill").args([signal, shim]).status().expect("kill");
    tell("-STOP");
    rest(dice.between(500, 2000));
    tell("-CONT");
}
