//! Where workers come from: directories behind links, directories of variables, watched paths.

use std::{io::Write as _, time::Instant};

use rustix::process::Signal;

use crate::harness::{Folder, Master, PATIENCE, Setup, kill};

const NAMED: &str = "echo in $(cat name) $VALUE; exec sleep 600";

fn two_releases() -> Folder {
    let folder = Folder::new();
    folder.write("v1/name", "one\n");
    folder.write("v2/name", "two\n");
    folder.link("current", "v1");
    folder
}

fn last_ready(master: &Master) -> i64 {
    master.so_far().iter().rfind(|line| line.says("worker ready")).unwrap().number("pid")
}

#[test]
fn a_roll_follows_the_link_and_a_crash_does_not() {
    let folder = two_releases();
    let mut master = Setup::new(NAMED).set("CHDIR", &folder.text("current")).ready();
    master.rewind();
    master.printed("in one");
    folder.link("current", "v2");
    master.rewind();
    master.next("worker ready");
    kill(last_ready(&master), Signal::KILL);
    master.printed("in one");
    master.signal(Signal::HUP);
    master.printed("in two");
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_release_that_is_gone_refuses_the_roll_and_nobody_is_touched() {
    let folder = two_releases();
    let mut master = Setup::new(NAMED).set("CHDIR", &folder.text("current")).ready();
    folder.link("current", "v3");
    master.signal(Signal::HUP);
    let told = master.next("roll refused: the release can't be read");
    assert!(told.field("problem").unwrap().contains("current"), "{}", told.text);
    assert_eq!(master.count("worker starting"), 1);
    folder.link("current", "v2");
    master.signal(Signal::HUP);
    master.printed("in two");
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_directory_of_variables_is_read_anew_for_each_roll() {
    let folder = two_releases();
    folder.write("env/VALUE", "first\n");
    let master = Setup::new(NAMED)
        .set("CHDIR", &folder.text("v1"))
        .set("ENV_DIR", &folder.text("env"))
        .ready();
    master.rewind();
    master.printed("in one first");
    folder.write("env/VALUE", "second\n");
    master.rewind();
    master.next("worker ready");
    kill(last_ready(&master), Signal::KILL);
    master.printed("in one first");
    master.signal(Signal::HUP);
    master.printed("in one second");
}

#[test]
fn a_watched_file_that_changes_starts_a_roll_and_one_that_does_not_starts_none() {
    let folder = Folder::new();
    let file = folder.write("config", "first\n");
    let master = Setup::new("exec sleep 600").set("WATCH", &file).ready();
    // The same again, and never empty: nothing has changed, though something was written.
    let mut same = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    same.write_all(b"first\n").unwrap();
    drop(same);
    folder.replace("config", "second\n");
    let why = master.next("roll requested").field("why").unwrap();
    assert!(why.contains("config"), "{why}");
    master.next("roll complete");
    assert_eq!(master.count("roll requested"), 1);
}

#[test]
fn a_busy_place_above_a_watched_file_holds_no_roll_up() {
    let folder = Folder::new();
    let file = folder.write("below/config", "first");
    let master = Setup::new("exec sleep 600").set("WATCH", &file).ready();
    folder.replace("below/config", "second");
    std::thread::scope(|scope| {
        let noise = scope.spawn(|| {
            let began = Instant::now();
            while master.count("roll requested") == 0 && began.elapsed() < PATIENCE {
                drop(folder.write("beside", "noise"));
                std::fs::remove_file(folder.at("beside")).unwrap();
            }
        });
        noise.join().unwrap();
    });
    assert_eq!(master.count("roll requested"), 1, "{}", master.tail());
}

#[test]
fn a_swapped_data_link_as_kubernetes_makes_it_starts_a_roll() {
    let folder = Folder::new();
    folder.write("mount/..one/KEY", "one");
    folder.write("mount/..two/KEY", "two");
    folder.link("mount/..data", "..one");
    folder.link("mount/KEY", "..data/KEY");
    let mount = folder.text("mount");
    let master = Setup::new("echo key=$KEY; exec sleep 600")
        .set("WATCH", &mount)
        .set("ENV_DIR", &mount)
        .ready();
    master.rewind();
    master.printed("key=one");
    folder.link("mount/..data", "..two");
    master.printed("key=two");
    master.next("every worker ready");
    master.next("every worker ready");
    assert_eq!(master.count("roll requested"), 1, "{}", master.tail());
}

#[test]
fn a_release_that_fails_is_rolled_back() {
    let folder = two_releases();
    folder.write("v2/name", "exit 1");
    folder.write("v1/name", "exec sleep 600");
    let mut master =
        Setup::notifying("case $(cat name) in exit*) exit 1;; esac; say READY=1; exec sleep 600")
            .set("CHDIR", &folder.text("current"))
            .set("START_ATTEMPTS", "2")
            .set("BACKOFF", "1ms-2ms")
            .ready();
    master.next("roll complete");
    folder.link("current", "v2");
    master.signal(Signal::HUP);
    master.next("roll failed");
    assert_eq!(master.count("worker starting"), 3, "{}", master.tail());
    assert_eq!(master.stop(), 0);
}
