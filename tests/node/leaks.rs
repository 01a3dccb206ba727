//! Rolls leave nothing behind in the master.

use crate::{
    harness::{Container, Setup, together, until},
    nodes::{fleet, leak_rolls, usual},
};

/// What the master may have in memory, however often it has rolled.
const MOST_KB: u64 = 4 * 1024;

fn descriptors(container: &Container) -> usize {
    container.exec(&["/probe", "ls", "/proc/1/fd"]).lines().count()
}

fn resident(container: &Container) -> u64 {
    let text = container.status_of_master("VmRSS");
    text.trim_end_matches(" kB").trim().parse().expect("a number of kB")
}

/// Rolls a fleet under load; at the end the master has as many descriptors as before, but for
/// `spare`, the memory that it may have, and no process that is not a worker's.
fn rolls_leave_nothing(what: &str, setup: &Setup, spare: usize) {
    let container = setup.ready();
    for _ in 0..3 {
        container.roll();
    }
    let (before, memory) = (descriptors(&container), resident(&container));
    let load = container.load("one-shot=2 keep-alive=2 pause=20 seconds=7200");
    for roll in 1..=leak_rolls() {
        container.roll();
        if roll % 100 == 0 {
            eprintln!("{what}: {roll} rolls, {} kB", resident(&container));
        }
    }
    let report = load.finish();
    until("the descriptors are those of before", || descriptors(&container) <= before + spare);
    let now = resident(&container);
    eprintln!("{what}: {before} descriptors; {memory} kB, then {now} kB; {report}");
    assert!(report.number("/one_shot/failed") == 0.0, "{report}");
    assert!(now <= memory + 512, "{memory} kB became {now} kB");
    assert!(now <= MOST_KB, "{now} kB are resident");
    until("old workers are gone", || {
        container.processes().iter().filter(|process| process[3] == "1").count() == 1
    });
    assert_eq!(container.stop().0, 0);
}

#[test]
fn many_rolls_leave_neither_descriptors_nor_memory_nor_processes() {
    let _company = together();
    rolls_leave_nothing("app", &fleet(usual(), "app.mjs").set("WORKERS", "1"), 0);
}

#[test]
fn a_program_that_opens_and_closes_servers_all_the_time_leaves_nothing_either() {
    let _company = together();
    // Servers that nobody has any more are held until a roll is over, but for a limited number.
    rolls_leave_nothing("churn", &fleet(usual(), "churn.js").set("WORKERS", "1"), 80);
}
