//! Connections, when those who serve them come and go.

use crate::harness::{Client, Setup};

fn server(workers: &str, balance: &str) -> crate::harness::Master {
    served(Setup::new("serve"), workers, balance)
}

fn served(setup: Setup, workers: &str, balance: &str) -> crate::harness::Master {
    let setup = setup.set("READY", "auto").set("LISTEN", "tcp://127.0.0.1:0");
    let master = setup.set("WORKERS", workers).set("BALANCE", balance).start();
    master.next("every worker ready");
    master
}

#[test]
fn a_slow_request_is_finished_before_its_worker_is_told_to_stop() {
    let mut master = server("1", "slot");
    let address = master.address();
    let mut slow = Client::say(address, "hold");
    master.printed("holding");
    let old = Client::say(address, "hello").answer();
    master.roll();
    let new = Client::say(address, "hello").answer();
    assert_ne!(new[0], old[0]);
    assert_eq!(master.count("worker exited"), 0);
    slow.more("go on");
    assert_eq!(slow.answer()[0], old[0]);
    let exited = master.next("worker exited");
    assert_eq!(exited.number("pid"), old[0]);
    assert_eq!(master.stop(), 0);
}

#[test]
fn nobody_waits_for_a_worker_that_said_it_stops() {
    // Without the rescue, a client that came to it would wait for ever.
    let mut master = served(Setup::new("serve").set("STALL_TIMEOUT", "off"), "2", "slot");
    let address = master.address();
    let leaver = Client::say(address, "stopping").answer()[0];
    master.next("worker disconnected");
    // It accepts nobody any more, so each of these must come to somebody else.
    for _ in 0..40 {
        assert_ne!(Client::say(address, "hello").answer()[0], leaver);
    }
    assert_eq!(master.count("worker exited"), 0);
    let code = master.stop();
    assert_eq!(code, 0, "{}", master.tail());
}

#[test]
fn a_worker_that_is_killed_costs_the_next_connections_nothing() {
    let master = server("2", "slot");
    let address = master.address();
    let victim = Client::say(address, "hello").answer()[0];
    crate::harness::kill(victim, rustix::process::Signal::KILL);
    master.next("worker exited");
    for _ in 0..20 {
        assert_ne!(Client::say(address, "hello").answer()[0], victim);
    }
    master.next("worker ready");
}

#[test]
fn who_connects_while_the_only_worker_is_dead_is_served_by_its_successor() {
    let mut master = served(Setup::new("sleep 0.5; serve"), "1", "slot");
    let address = master.address();
    // Several lanes have had a worker by now: only one of them will get the next.
    for _ in 0..2 {
        master.roll();
        master.next("worker exited");
    }
    let victim = Client::say(address, "hello").answer()[0];
    crate::harness::kill(victim, rustix::process::Signal::KILL);
    master.next("worker exited");
    let mut waiting: Vec<Client> = (0..5).map(|_| Client::say(address, "hello")).collect();
    for client in &mut waiting {
        assert_ne!(client.answer()[0], victim);
    }
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_shared_queue_is_served_through_a_roll() {
    let mut master = server("2", "shared");
    let address = master.address();
    let old = Client::say(address, "hello").answer();
    master.roll();
    // These workers end by the signal at once, whatever they have accepted.
    master.next("worker exited");
    if master.count("worker exited") < 2 {
        master.next("worker exited");
    }
    let new = Client::say(address, "hello").answer();
    assert!(new[2] > old[2]);
    assert_eq!(master.stop(), 0);
}
