//! What the original library logged, in its words and order.

use crate::{
    harness::together,
    nodes::{fleet, usual},
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
    let exited = next("Worker exited");
    assert!(exited.field("workerId").is_some() && exited.field("workerPid").is_some());
    next("Cluster shutdown cleanly");
    assert_eq!(container.exit_code(), 0);
}
