//! Bad settings and odd environments, where nobody is there to ask.

use crate::harness::{Setup, together, until};

#[test]
fn every_fault_of_a_bad_configuration_is_told_at_once_and_the_code_is_78() {
    let _company = together();
    let bad = [
        ("WORKERS", "lots"),
        ("KILL_TIMEOUT", "soon"),
        ("LISTEN", "http=nowhere"),
        ("STOP_SIGNAL", "SIGNOTHING"),
        ("BALANCE", "fair"),
    ];
    let setup =
        bad.iter().fold(Setup::command("/worker"), |setup, (name, value)| setup.set(name, value));
    let (code, text) = setup.to_its_end();
    assert_eq!(code, 78, "{text}");
    for (name, value) in bad {
        assert!(text.contains(&format!("DUTCH_MASTER_{name}")), "{name}: {text}");
        assert!(text.contains(value), "{value}: {text}");
    }
}

#[test]
fn an_unknown_variable_is_a_warning_and_kubernetes_own_are_not_even_that() {
    let _company = together();
    let container = Setup::new("version=v1")
        .set("WORKRES", "3")
        .set("PORT", "tcp://10.0.0.1:80")
        .set("SERVICE_HOST", "10.0.0.1")
        .ready();
    container.until("the nearest name is told", |log| {
        log.iter().any(|entry| {
            entry.text.contains("DUTCH_MASTER_WORKRES") && entry.text.contains("WORKERS")
        })
    });
    assert!(!container.tail().contains("SERVICE_HOST"), "{}", container.tail());
}

#[test]
fn a_worker_sees_the_containers_environment_and_nothing_stale() {
    let _company = together();
    let container = Setup::new("version=v1")
        .options("-e GREETING=hello -e LISTEN_PID=1 -e LISTEN_FDS=9 -e NOTIFY_SOCKET=/nowhere")
        .set("WORKER_ENV_COLOUR", "green")
        .ready();
    let environment = container.get("/env");
    for line in ["GREETING=hello", "COLOUR=green", "LISTEN_FDS=1", "LISTEN_FDNAMES=http"] {
        assert!(environment.lines().any(|have| have == line), "{line}: {environment}");
    }
    for word in ["LISTEN_PID=1\n", "/nowhere", "DUTCH_MASTER_LISTEN", "DUTCH_MASTER_WORKERS"] {
        assert!(!environment.contains(word), "{word}: {environment}");
    }
    let own = |name: &str| environment.contains(&format!("DUTCH_MASTER_{name}="));
    assert!(own("WORKER_ID") && own("SLOT") && own("GENERATION"), "{environment}");
}

#[test]
fn a_variable_that_is_no_text_reaches_the_worker_as_it_is() {
    let _company = together();
    let container = Setup::new("version=v1").after("/probe latin1 NAME").ready();
    let environment = container.get("/env");
    assert!(environment.contains("NAME=caf\\xe9"), "{environment}");
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_setting_that_is_no_text_is_a_fault_with_its_name() {
    let _company = together();
    let setup = Setup::new("version=v1").unset("STOP_SIGNAL");
    let (code, text) = setup.after("/probe latin1 DUTCH_MASTER_STOP_SIGNAL").to_its_end();
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("DUTCH_MASTER_STOP_SIGNAL"), "{text}");
}

#[test]
fn closed_standard_descriptors_are_no_reason_to_fail() {
    let _company = together();
    let container = Setup::new("version=v1").after("/probe closed").start();
    until("the fleet serves", || {
        let words = ["exec", container.id(), "/probe", "get", "127.0.0.1:8000", "/"];
        crate::harness::docker_fails(&words).status.success()
    });
    // Nothing of the master's may have become a worker's standard stream.
    let descriptors = container.get("/fds");
    for line in descriptors
        .lines()
        .filter(|line| ["fd=0 ", "fd=1 ", "fd=2 "].iter().any(|start| line.starts_with(start)))
    {
        assert!(!line.contains("socket:") && !line.contains("anon_inode"), "{descriptors}");
    }
    container.signal("SIGUSR2");
    until("the roll is through", || container.get("/").contains("generation=2"));
    assert_eq!(container.stop().0, 0);
}
