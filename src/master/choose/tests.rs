//! Tests of what `auto` comes to.

use std::ffi::OsString;

use super::*;
use crate::{config, sys::Errno};

const CAN: Result<Ability, Obstacle> = Ok(Ability { is_undisturbed: true });
/// EBUSY: somebody else listens to this container's system calls.
const CANNOT: Result<Ability, Obstacle> = Err(Obstacle::Filter(Errno(16)));

fn chosen(words: &[&str], trial: Result<Ability, Obstacle>) -> (Kind, String) {
    let words = words.iter().map(OsString::from);
    let (invocation, _) = config::load(std::iter::empty(), words).unwrap();
    let choice = contract(&invocation.config, Some(OsStr::new("/usr/bin:/bin")), &|| trial);
    (choice.kind, choice.why)
}

#[test]
fn what_nothing_better_is_known_of_is_captured_where_that_works() {
    assert_eq!(chosen(&["--", "server"], CAN).0, Kind::Capture);
    assert_eq!(chosen(&["--", "bun", "app.js"], CAN).0, Kind::Capture);
    assert_eq!(chosen(&["--balance=shared", "--", "server"], CAN).0, Kind::Capture);
}

#[test]
fn what_is_known_better_is_not_captured_and_nothing_is_tried() {
    let never = || -> Result<Ability, Obstacle> { panic!("tried") };
    for (words, kind) in [
        (&["--", "node", "app.js"][..], Kind::Node),
        (&["--listen=:8000", "--", "server"], Kind::Systemd),
        (&["--contract=plain", "--", "server"], Kind::Plain),
    ] {
        let words = words.iter().map(OsString::from);
        let (invocation, _) = config::load(std::iter::empty(), words).unwrap();
        assert_eq!(contract(&invocation.config, None, &never).kind, kind);
    }
}

#[test]
fn where_it_does_not_work_the_program_is_plain_and_the_reason_is_said() {
    let (kind, why) = chosen(&["--", "server"], CANNOT);
    assert_eq!(kind, Kind::Plain);
    assert!(why.contains("sysbox"), "{why}");
    assert_eq!(chosen(&["--balance=shared", "--", "server"], CANNOT).0, Kind::Plain);
}

#[test]
fn a_program_that_would_lose_its_rights_is_left_alone_unless_its_workers_are_root() {
    let as_nobody = ["--user=65534:65534", "--", "su"];
    let (kind, why) = chosen(&as_nobody, CAN);
    assert_eq!(kind, Kind::Plain);
    assert!(why.contains("rights"), "{why}");
    assert_eq!(chosen(&["--user=65534:65534", "--", "cat"], CAN).0, Kind::Capture);
    if host::uid() == 0 {
        assert_eq!(chosen(&["--", "su"], CAN).0, Kind::Capture);
    }
}
