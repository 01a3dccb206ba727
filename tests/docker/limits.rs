//! Memory, processes and descriptors run out; the workers that serve are left alone.

use std::process::Command;

use crate::harness::{Container, Setup, docker, together};

#[test]
fn a_worker_killed_for_memory_is_replaced_and_the_master_lives_on() {
    let _company = together();
    let container = Setup::new("version=v1").options("--memory 96m --memory-swap 96m").ready();
    container.skip();
    let words = ["exec", container.id(), "/probe", "get", "127.0.0.1:8000", "/alloc?mb=200"];
    crate::harness::docker_fails(&words);
    let exited = container.next("worker exited");
    assert_eq!(exited.field("signal").as_deref(), Some("9"), "{}", exited.text);
    container.next("worker ready");
    assert_eq!(container.answers("version", 6).len(), 1);
    let verb = |word: &str| container.exec(&["/dutch-master", word]);
    let metrics = verb("metrics");
    assert!(metrics.contains("dutch_master_worker_exits_total{reason=\"oom\"} 1"), "{metrics}");
    let events = verb("events");
    assert!(events.contains("out of memory"), "{events}");
    let found = verb("doctor");
    assert!(found.contains("the kernel has killed 1 processes here for want of memory"), "{found}");
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
    assert_eq!(container.stop().0, 0);
}

/// A roll that cannot start anybody fails; the fleet serves on, and rolls when there is room again.
fn a_roll_without_room(container: &Container, take: impl Fn(), give: impl Fn()) {
    let load = container.load("one-shot=2 keep-alive=2 by=generation");
    take();
    container.signal("SIGUSR2");
    let failed = container
        .next_where("no roll", |entry| entry.says("roll failed") || entry.says("roll refused"));
    give();
    assert!(container.said("worker ready").len() == 2, "{}", failed.text);
    assert_eq!(container.answers("generation", 4), ["1".to_owned()].into());
    container.roll();
    load.finish().nothing_was_lost();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_full_pids_cgroup_fails_the_roll_and_not_the_workers() {
    let _company = together();
    let container = Setup::new("version=v1").options("--pids-limit 100").ready();
    // The workers' threads count as well: each has a few, and one for every connection.
    let limit = |count: &str| drop(docker(&["update", "--pids-limit", count, container.id()]));
    a_roll_without_room(&container, || limit("2"), || limit("100"));
}

#[test]
fn no_descriptor_left_fails_the_roll_and_not_the_workers() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    let pid = container.inspect("{{.State.Pid}}");
    let limit = |count: &str| {
        let count = format!("--nofile={count}:4096");
        let status = Command::new("prlimit").args(["--pid", &pid, &count]).status().unwrap();
        assert!(status.success());
    };
    a_roll_without_room(&container, || limit("3"), || limit("1024"));
}

#[test]
fn memory_that_a_worker_may_not_take_replaces_it_before_the_kernel_does() {
    let _company = together();
    let container = Setup::new("version=v1").set("MAX_MEMORY", "60M").ready();
    let load = container.load("");
    container.skip();
    container.get("/alloc?mb=80");
    container.next("worker ready");
    container.next("worker exited");
    load.finish().nothing_was_lost();
    assert_eq!(container.workers(), 2);
}

#[test]
fn the_number_of_workers_follows_the_cpu_quota() {
    let _company = together();
    for (quota, workers) in [("1", 1), ("1.5", 2)] {
        let container = Setup::new("").options(&format!("--cpus {quota}")).set("WORKERS", "auto");
        let container = container.ready();
        assert_eq!(container.workers(), workers, "--cpus {quota}:\n{}", container.tail());
    }
}
