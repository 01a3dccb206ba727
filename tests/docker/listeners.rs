//! Listeners of every form, held for the master's life.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Load, Releases, Setup, docker, image, together};

#[test]
fn a_unix_socket_is_rolled_without_a_lost_request_and_a_stale_file_is_replaced() {
    let _company = together();
    let folder = Releases::new();
    for _ in 0..2 {
        let container = Setup::new("version=v1")
            .options(&folder.volume())
            .set("LISTEN", "unix:/srv/app.sock?mode=0660")
            .ready();
        let mode = std::fs::metadata(folder.path().join("app.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let load = Load::start("none", &folder.volume(), "unix:/srv/app.sock", "by=generation");
        container.roll();
        let report = load.finish();
        report.nothing_was_lost();
        assert!(report.by("2") > 0);
        // Killed, so that the file stays behind for the next round.
        container.signal("SIGKILL");
        container.exit_code();
    }
}

#[test]
fn a_unix_socket_that_somebody_answers_on_is_not_taken_away() {
    let _company = together();
    let folder = Releases::new();
    let setup =
        Setup::new("version=v1").options(&folder.volume()).set("LISTEN", "unix:/srv/app.sock");
    let first = setup.ready();
    let (code, text) = setup.to_its_end();
    assert_ne!(code, 0);
    assert!(text.contains("/srv/app.sock"), "{text}");
    let image = image();
    let volume = folder.volume();
    let mut words = vec!["run", "--rm", "--network", "none"];
    words.extend(volume.split(' '));
    words.extend([image.as_str(), "/probe", "get", "unix:/srv/app.sock", "/"]);
    assert!(docker(&words).contains("version=v1"));
    assert_eq!(first.stop().0, 0);
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let _company = together();
    let first = Setup::new("version=v1").ready();
    let network = format!("--network container:{}", first.id());
    let (code, text) = Setup::new("version=v1").options(&network).to_its_end();
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("8000") && text.contains("in use"), "{text}");
    assert_eq!(first.answers("version", 2).len(), 1);
}

#[test]
fn several_listeners_are_passed_in_order_with_their_names() {
    let _company = together();
    let container = Setup::new("version=v1")
        .set("LISTEN", "http=127.0.0.1:8000,admin=127.0.0.1:8001,unix:@abstract")
        .ready();
    let environment = container.get("/env");
    assert!(environment.contains("LISTEN_FDS=3"), "{environment}");
    assert!(environment.contains("LISTEN_FDNAMES=http:admin:"), "{environment}");
    let answer = container.exec(&["/probe", "get", "127.0.0.1:8001", "/"]);
    assert!(answer.contains("version=v1"));
    container.roll();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_worker_has_its_listeners_and_standard_streams_and_nothing_of_the_masters() {
    let _company = together();
    for balance in ["shared", "slot"] {
        let container = Setup::new("version=v1").set("BALANCE", balance).ready();
        let before = container.get("/fds");
        for _ in 0..3 {
            container.roll();
        }
        let after = container.get("/fds");
        assert_eq!(before.lines().count(), after.lines().count(), "{before}\n{after}");
        let master = container.exec(&["/probe", "ls", "/proc/1/fd"]);
        container.roll();
        let later = container.exec(&["/probe", "ls", "/proc/1/fd"]);
        assert!(later.lines().count() <= master.lines().count() + 1, "{master}\n\n{later}");
    }
}

#[test]
fn a_placeholder_becomes_the_listeners_descriptor() {
    let _company = together();
    let container = Setup::new("version={fd:http}").ready();
    assert_eq!(container.answers("version", 2), ["3".to_owned()].into());
}
