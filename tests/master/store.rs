//! The descriptor store: state that outlives the worker that made it.

use crate::harness::{Folder, Setup};

/// The first worker stores descriptor 9, open on a file; the next one says what it has got.
fn keeper(stores: &str, got: &str) -> String {
    format!(
        "if mkdir $DM_MARK 2>/dev/null; then exec 9<$DM_FILE; {stores}; exec 9<&-; echo stored
        else echo got $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)); {got}; fi
        say READY=1; exec sleep 600"
    )
}

fn stored(setup: Setup) -> (crate::harness::Master, Folder) {
    let folder = Folder::new();
    let file = folder.write("file", "the state\n");
    let setup = setup.var("DM_FILE", &file).var("DM_MARK", &folder.text("mark"));
    let master = setup.ready();
    master.rewind();
    master.printed("stored");
    std::fs::remove_file(file).unwrap();
    (master, folder)
}

#[test]
fn what_a_worker_stores_comes_back_to_the_next_one_of_its_slot() {
    let script = keeper("tool store treasure 9", "cat <&3");
    let (mut master, _folder) = stored(Setup::notifying(&script));
    master.roll();
    master.rewind();
    master.printed("got 1 treasure 0");
    master.printed("the state");
    assert_eq!(master.stop(), 0);
}

#[test]
fn stored_descriptors_stand_behind_the_listeners() {
    let script = keeper("tool store treasure 9", "cat <&5");
    let setup = Setup::notifying(&script)
        .set("BALANCE", "shared")
        .set("LISTEN", "http=tcp://127.0.0.1:0,admin=tcp://127.0.0.2:0");
    let (master, _folder) = stored(setup);
    master.roll();
    master.rewind();
    master.printed("got 3 http:admin:treasure 0");
    master.printed("the state");
}

#[test]
fn a_slot_stores_128_descriptors_and_says_what_it_refused() {
    let script = keeper("tool store-many many 9", ":");
    let (master, _folder) = stored(Setup::notifying(&script));
    assert_eq!(master.count("descriptor store is full (128 a slot)"), 1, "{}", master.tail());
    master.roll();
    master.rewind();
    master.printed("got 128 many:many:many");
}

#[test]
fn what_is_removed_by_name_does_not_come_back() {
    let stores = "tool store one 9; tool store two 9; say 'FDSTOREREMOVE=1\nFDNAME=one'";
    let (master, _folder) = stored(Setup::notifying(&keeper(stores, ":")));
    master.roll();
    master.rewind();
    master.printed("got 1 two");
}
