//! The verbs by `docker exec`: the binary finds its master's socket itself, whoever it runs as.

use crate::harness::{Releases, Setup, docker_fails, text_of, together};

#[test]
fn an_operator_needs_nothing_but_the_binary() {
    let _company = together();
    for options in ["", "--read-only --cap-drop ALL --user 65534 --security-opt no-new-privileges"]
    {
        let container = Setup::new("version=v1").options(options).ready();
        let verb = |words: &[&str]| container.exec(&[&["/dutch-master"], words].concat());
        assert_eq!(verb(&["live"]), "the loop answers");
        assert!(verb(&["ready"]).contains("workers ready"));
        assert!(verb(&["reload"]).contains("generation 2 serves"));
        let status = verb(&["status"]);
        assert!(status.starts_with("SERVING ") && status.contains(" generation=2 pid=1 "));
        assert!(status.lines().all(|line| line.chars().count() <= 100), "{status}");
        assert!(verb(&["metrics"]).contains("dutch_master_rolls_total{outcome=\"complete\"} 1"));
        assert!(verb(&["events"]).contains("roll complete generation=2"));
        assert!(verb(&["doctor"]).contains("the master is PID 1"));
        // The last process of a container takes along who came in by exec: nothing is sure to be said.
        docker_fails(&["exec", container.id(), "/dutch-master", "stop"]);
        assert_eq!(container.exit_code(), 0);
    }
}

#[test]
fn reload_says_why_a_release_is_not_taken() {
    let _company = together();
    let releases = Releases::new();
    releases.deploy("v1", "");
    let container = Setup::new("").options(&releases.volume()).set("CHDIR", "/srv/current").ready();
    releases.deploy("v2", "boot-exit=3");
    let reload = docker_fails(&["exec", container.id(), "/dutch-master", "reload"]);
    assert_eq!(reload.status.code(), Some(1));
    let told = text_of(&reload);
    assert!(
        told.contains("generation 2 failed: ") && told.contains("back to generation 1"),
        "{told}"
    );
    assert_eq!(container.stop().0, 0);
}
