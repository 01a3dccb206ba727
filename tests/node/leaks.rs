//! Rolls leave nothing behind in the master.

use crate::{
    harness::{Container, together, until},
    nodes::{fleet, leak_rolls, usual},
};

fn descriptors(container: &Container) -> usize {
    container.exec(&["/probe", "ls", "/proc/1/fd"]).lines().count()
}

fn resident(container: &Container) -> u64 {
    let text = container.status_of_master("VmRSS");
    text.trim_end_matches(" kB").trim().parse().expect("a number of kB")
}

#[test]
fn many_rolls_leave_neither_descriptors_nor_memory_nor_processes() {
    let _company = together();
    let container = fleet(usual(), "app.mjs").set("WORKERS", "1").ready();
    for _ in 0..3 {
        container.roll();
    }
    let load = container.load("one-shot=2 keep-alive=2");
    let (before, memory) = (descriptors(&container), resident(&container));
    for _ in 0..leak_rolls() {
        container.roll();
    }
    load.finish();
    until("the descriptors are those of before", || descriptors(&container) <= before);
    let now = resident(&container);
    eprintln!("{before} descriptors; {memory} kB, then {now} kB");
    assert!(now <= memory + 1024, "{memory} kB became {now} kB");
    assert!(now <= 8 * 1024, "{now} kB are resident");
}
