//! What the original library logged, in its words and order.

use crate::{
    harness::{Entry, together},
    nodes::{fleet, runtime, usual},
};

#[test]
fn bunyan_says_what_the_original_said() {
    let _company = together();
    let container = fleet(usual(), "app.mjs").set("LOG_FORMAT", "bunyan").start();
    let next = |message: &str| {
        container.next_where(&format!("'{message}'"), |entry| {
            entry.field("msg").as_deref() == Some(message)
        })
    };
    next("Starting cluster");
    assert!(next("Creating new worker").field("workerId").is_some());
    let listening = next("Worker listening");
    assert!(listening.field("workerId").is_some() && listening.field("workerPid").is_some());
    next("Cluster ready");
    container.signal("SIGUSR2");
    next("Restart requested");
    next("Creating new worker");
    let restarting = next("Restarting worker");
    assert!(restarting.field("workerId").is_some() && restarting.field("workerPid").is_some());
    container.until("the restart is complete and both are gone", |log| {
        let count = |message: &str| {
            log.iter().filter(|entry| entry.field("msg").as_deref() == Some(message)).count()
        };
        count("Restart complete") == 1
            && count("Worker disconnected") == 2
            && count("Worker exited") == 2
    });
    container.signal("SIGTERM");
    next("Shutdown requested");
    next("Worker exited");
    next("Cluster shutdown cleanly");
    assert_eq!(container.exit_code(), 0);
    of_workers(&container.whole_log());
}

/// Each message about a worker says which, by id and pid; one that is being created has no pid yet.
fn of_workers(log: &[Entry]) {
    for (message, count) in [
        ("Creating new worker", 4),
        ("Worker listening", 4),
        ("Restarting worker", 2),
        ("Worker disconnected", 4),
        ("Worker exited", 4),
    ] {
        let said: Vec<&Entry> =
            log.iter().filter(|entry| entry.field("msg").as_deref() == Some(message)).collect();
        assert_eq!(said.len(), count, "{message}");
        for entry in said {
            assert!(entry.field("workerId").is_some(), "{}", entry.text);
            let has_pid = entry.field("workerPid").is_some();
            assert!(has_pid || message == "Creating new worker", "{}", entry.text);
        }
    }
}

#[test]
fn every_option_of_the_original_has_its_place() {
    let _company = together();
    let node = format!("/node/node{}", usual());
    let container = runtime("")
        .set("LOG_FORMAT", "bunyan")
        .set("WORKER", &format!("{node} /sites/migrated.js"))
        .unset("WORKERS")
        .set("NUM_WORKERS_COMMAND", &format!("{node} -p 1+2"))
        .set("BEFORE_FORK", &format!("{node} -e 'fs.appendFileSync(\"/tmp/forks\", \"x\")'"))
        .set("WORKER_ENV_GREETING", "hello")
        .set("RESTART_SIGNAL", "SIGUSR1")
        .set("KILL_TIMEOUT", "2s")
        .start();
    let next = |message: &str| {
        container.next_where(&format!("'{message}'"), |entry| {
            entry.field("msg").as_deref() == Some(message)
        })
    };
    next("Cluster ready");
    assert_eq!(container.answers("greeting", 3), ["hello".to_owned()].into());
    assert_eq!(container.answers("slot", 30).len(), 3, "as many workers as the command said");
    assert_eq!(container.exec(&["/probe", "cat", "/tmp/forks"]).trim(), "xxx");
    container.signal("SIGUSR1");
    next("Restart requested");
    next("Restart complete");
    assert_eq!(container.exec(&["/probe", "cat", "/tmp/forks"]).trim(), "xxxxxx");
    // They never end by themselves.
    container.until("the old ones are killed", |log| {
        let is_killed = |entry: &&Entry| {
            entry.field("msg").as_deref() == Some("Worker exited")
                && entry.field("signal").as_deref() == Some("9")
        };
        log.iter().filter(is_killed).count() == 3
    });
    container.signal("SIGTERM");
    next("Shutdown requested");
}
