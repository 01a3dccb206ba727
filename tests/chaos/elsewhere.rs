//! Trouble that the fleet of the other runs can't have: a full disk under the log, another clock.

use crate::{
    fleet::CONTROL,
    harness::{Setup, docker, docker_fails, text_of, until},
};

/// Rolls and stops a fleet whose log can't be read, by its control socket alone.
fn works_unseen(setup: &Setup) {
    let container = setup.clone().set("CONTROL", CONTROL).start();
    let ask = |words: &[&str]| {
        docker_fails(&[&["exec", container.id(), "/dutch-master"], words].concat())
    };
    until("the fleet is up", || ask(&["ready"]).status.success());
    let load = container.load("one-shot=2 keep-alive=2");
    for _ in 0..3 {
        let told = ask(&["reload", "--timeout", "20s"]);
        assert!(told.status.success(), "{}", text_of(&told));
    }
    load.finish().nothing_was_lost();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_log_on_a_full_disk_keeps_nobody_from_serving() {
    // With `inherit` the disk is the worker's own trouble, and ours ends where it can't print.
    for output in ["lines", "json"] {
        let setup = Setup::new("version=v1")
            .options("--tmpfs /scratch:size=64k")
            .after("/probe onto-full-disk /scratch/log")
            .set("OUTPUT", output);
        works_unseen(&setup);
    }
}

/// The namespaces that an unprivileged program may make, where no filter forbids it.
const MAKES_NAMESPACES: &str = "--security-opt seccomp=unconfined";

#[test]
fn a_clock_that_has_run_for_ten_years_is_as_good_as_any() {
    let setup = Setup::new("version=v1 boot=100").options(MAKES_NAMESPACES);
    let decade = "/probe in-time-namespace 315360000";
    works_unseen(&setup.after(decade));
    // Were the clock not moved, the test would show nothing.
    let uptime = Setup::command("").after(&format!("{decade} /probe uptime"));
    let words = uptime.options(MAKES_NAMESPACES).words(&["--rm"]);
    let uptime: f64 = docker(&words).parse().expect("seconds");
    assert!(uptime > 3e8, "{uptime}");
}
