//! The code that a container ends with.

use crate::harness::{Setup, docker, image, together};

fn every_code(master: &str, command: &str) {
    let image = image();
    let mut words = vec!["run", "--rm", "--network", "none", "--cap-add", "SYS_ADMIN"];
    let settings = ["CONTRACT=plain", "WORKERS=1", "START_ATTEMPTS=1", "READY=delay:30s"]
        .map(|setting| format!("DUTCH_MASTER_{setting}"));
    words.extend(settings.iter().flat_map(|setting| ["-e", setting.as_str()]));
    words.extend([image.as_str(), "/probe", "exit-codes"]);
    words.extend(master.split(' '));
    words.extend(command.split(' '));
    assert_eq!(docker(&words), "all 256 agree");
}

#[test]
fn a_fleet_that_never_came_up_ends_with_its_workers_code_all_256_of_them() {
    let _company = together();
    every_code("/dutch-master", "/worker boot-exit={}");
}

#[test]
fn init_ends_with_its_childs_code_all_256_of_them() {
    let _company = together();
    every_code("/dutch-master init", "/worker boot-exit={}");
}

#[test]
fn a_worker_killed_while_booting_ends_a_fleet_that_never_came_up_with_128_and_the_signal() {
    let _company = together();
    for signal in [6, 9, 11, 15] {
        let setup = Setup::command(&format!("/worker boot-kill={signal}"))
            .set("CONTRACT", "plain")
            .set("READY", "delay:30s")
            .set("START_ATTEMPTS", "1")
            .set("WORKERS", "1");
        let (code, text) = setup.to_its_end();
        assert_eq!(code, 128 + signal, "{text}");
    }
}

#[test]
fn a_boot_that_fails_gives_up_after_so_many_attempts_a_slot() {
    let _company = together();
    let container =
        Setup::new("boot-exit=9").set("START_ATTEMPTS", "3").set("WORKERS", "1").start();
    container.next("gave up");
    assert_eq!(container.exit_code(), 9);
    assert_eq!(container.said("worker starting").len(), 3, "{}", container.tail());
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_is_126() {
    let _company = together();
    for (command, expected) in
        [("/nothing-here", 127), ("nothing-here", 127), ("/etc/passwd", 126), ("/etc", 126)]
    {
        for setup in [
            Setup::command(command).set("CONTRACT", "plain"),
            Setup::command(command).set("LISTEN", "127.0.0.1:8000"),
            Setup::command(&format!("init {command}")),
        ] {
            let (code, text) = setup.to_its_end();
            assert_eq!(code, expected, "{command}: {text}");
            assert!(text.contains(command), "{command} is not named: {text}");
        }
    }
}

#[test]
fn bad_usage_is_64() {
    let _company = together();
    for command in ["", "--no-such-flag", "--workers"] {
        let (code, text) = Setup::command(command).to_its_end();
        assert_eq!(code, 64, "{command}: {text}");
    }
}
