//! Connections in the lane of a worker that accepts nobody: others serve them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::{
    halt::halt,
    harness::{Client, Master, PATIENCE, Setup, kill},
    quiet::{descriptors, rest, settled, wake_ups},
};

fn fleet(workers: &str, stall: &str) -> Master {
    let setup = Setup::new("serve").set("READY", "auto").set("LISTEN", "tcp://127.0.0.1:0");
    let setup = setup.set("STALL_TIMEOUT", stall).set("LOG", "debug");
    let master = setup.set("WORKERS", workers).set("BALANCE", "slot").start();
    master.next("roll complete");
    master
}

fn hello(to: SocketAddr) -> i64 {
    Client::say(to, "hello").answer()[0]
}

/// Many connect, and then all wait for their answers: who answered.
fn crowd(to: SocketAddr, count: usize) -> Vec<i64> {
    let mut clients: Vec<Client> = (0..count).map(|_| Client::say(to, "hello")).collect();
    clients.iter_mut().map(|client| client.answer()[0]).collect()
}

#[test]
fn who_waits_for_a_stopped_worker_is_served_by_another_and_it_comes_back() {
    let mut master = fleet("2", "2s");
    let address = master.address();
    let victim = hello(address);
    halt(victim);
    // Without the rescue, those who come to it would wait for ever.
    let answers = crowd(address, 40);
    assert!(answers.iter().all(|&pid| pid != victim));
    let told = master.next("worker accepts nobody");
    assert_eq!(told.number("pid"), victim);
    // Nobody has to wait any more, or to be relayed; of those who were, the log tells a moment later.
    master.catch_up();
    let relayed = master.count("connections relayed");
    let answers = crowd(address, 40);
    assert!(answers.iter().all(|&pid| pid != victim));
    master.catch_up();
    assert_eq!(master.count("connections relayed"), relayed, "{}", master.tail());
    kill(victim, Signal::CONT);
    assert_eq!(master.next("worker accepts again").number("pid"), victim);
    let answers = crowd(address, 40);
    assert!(answers.contains(&victim), "{answers:?}");
    assert_eq!(master.stop(), 0);
}

#[test]
fn without_the_rescue_they_wait_until_it_goes_on() {
    let master = fleet("2", "off");
    let address = master.address();
    let victim = hello(address);
    halt(victim);
    let mut clients: Vec<Client> = (0..40).map(|_| Client::say(address, "hello")).collect();
    rest(Duration::from_secs(2));
    kill(victim, Signal::CONT);
    let answers: Vec<i64> = clients.iter_mut().map(|client| client.answer()[0]).collect();
    assert!(answers.contains(&victim), "{answers:?}");
}

#[test]
fn the_only_worker_keeps_its_connections_however_long_it_is_deaf() {
    let mut master = fleet("1", "200ms");
    let address = master.address();
    let only = hello(address);
    halt(only);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::say(address, "hello")).collect();
    rest(Duration::from_secs(1));
    kill(only, Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.answer()[0], only);
    }
    assert_eq!(master.count("worker accepts nobody"), 0);
    assert_eq!(master.stop(), 0);
}

#[test]
fn where_all_are_deaf_nobody_is_steered_off_and_all_are_served_in_the_end() {
    let mut master = fleet("2", "2s");
    let address = master.address();
    let one = hello(address);
    let other = (0..200).map(|_| hello(address)).find(|&pid| pid != one).unwrap();
    halt(one);
    halt(other);
    let mut clients: Vec<Client> = (0..30).map(|_| Client::say(address, "hello")).collect();
    rest(Duration::from_secs(3));
    clients.extend((0..30).map(|_| Client::say(address, "hello")));
    assert_eq!(master.count("worker accepts nobody"), 0, "{}", master.tail());
    kill(one, Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.answer()[0], one);
    }
    kill(other, Signal::CONT);
    assert!((0..200).any(|_| hello(address) == other), "{}", master.tail());
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_worker_busy_with_one_request_gives_those_behind_it_to_an_idle_one() {
    let master = fleet("2", "200ms");
    let address = master.address();
    let mut long = Client::say(address, "block");
    master.printed("blocked");
    let answers = crowd(address, 10);
    long.more("go on");
    let busy = long.answer()[0];
    assert!(!answers.contains(&busy));
    assert!((0..200).any(|_| hello(address) == busy), "{}", master.tail());
}

#[test]
fn where_all_are_busy_hardly_anybody_is_moved() {
    let master = fleet("2", "200ms");
    let address = master.address();
    let mut busy = vec![];
    for _ in 0..2 {
        // The second one comes to the other worker: by chance, or relayed.
        busy.push(Client::say(address, "block"));
        master.printed("blocked");
    }
    let mut clients: Vec<Client> = (0..20).map(|_| Client::say(address, "hello")).collect();
    rest(Duration::from_secs(2));
    let moved: i64 = master
        .so_far()
        .iter()
        .filter(|line| line.says("connections relayed"))
        .map(|line| line.number("connections"))
        .sum();
    assert!(moved <= 3, "{moved} moved:\n{}", master.tail());
    for client in &mut busy {
        client.more("go on");
    }
    for client in &mut clients {
        client.answer();
    }
}

#[test]
fn those_who_wait_for_a_crashed_worker_do_not_wait_for_its_slow_successor() {
    let setup = Setup::new("[ $DUTCH_MASTER_WORKER_ID -lt 3 ] || sleep 600; serve")
        .set("READY", "auto")
        .set("LISTEN", "tcp://127.0.0.1:0")
        .set("STALL_TIMEOUT", "400ms");
    let master = setup.set("WORKERS", "2").set("BALANCE", "slot").start();
    master.next("roll complete");
    let address = master.address();
    let victim = hello(address);
    halt(victim);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::say(address, "hello")).collect();
    // A successor never comes: without the other worker they would wait for ever.
    kill(victim, Signal::KILL);
    for client in &mut clients {
        assert_ne!(client.answer()[0], victim);
    }
}

#[test]
fn a_worker_that_drains_while_it_is_deaf_loses_nobody() {
    let mut master = fleet("2", "400ms");
    let address = master.address();
    let victim = hello(address);
    halt(victim);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::say(address, "hello")).collect();
    master.signal(Signal::HUP);
    for client in &mut clients {
        assert_ne!(client.answer()[0], victim);
    }
    kill(victim, Signal::CONT);
    master.next("roll complete");
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_slot_that_goes_while_its_worker_is_deaf_takes_nobody_along() {
    // Whether the worker is still there when those who wait for it are looked after, or is not.
    for (kill_timeout, stall, lives) in [("60s", "400ms", true), ("2s", "20s", false)] {
        let setup = Setup::new("serve").set("READY", "auto").set("LISTEN", "tcp://127.0.0.1:0");
        let setup = setup.set("STALL_TIMEOUT", stall).set("KILL_TIMEOUT", kill_timeout);
        let mut master = setup.set("WORKERS", "2").set("BALANCE", "slot").start();
        master.next("roll complete");
        let address = master.address();
        let victim = loop {
            let answer = Client::say(address, "hello").answer();
            if answer[1] == 1 {
                break answer[0];
            }
        };
        halt(victim);
        let mut clients: Vec<Client> = (0..20).map(|_| Client::say(address, "hello")).collect();
        master.signal(Signal::TTOU);
        for client in &mut clients {
            assert_ne!(client.answer()[0], victim);
        }
        if lives {
            kill(victim, Signal::CONT);
        }
        assert_eq!(master.stop(), 0);
    }
}

/// Leaves a master so many descriptors to open. Returns what it had.
fn leave(master: &Master, free: usize) -> Rlimit {
    let fds = std::fs::read_dir(format!("/proc/{}/fd", master.pid())).unwrap();
    let mut held: Vec<u64> =
        fds.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    held.sort_unstable();
    let fits = |most: u64| (0..most).filter(|fd| held.binary_search(fd).is_err()).count();
    let most = (0..1024).find(|&most| fits(most) == free).unwrap();
    set_descriptors(master, Some(most))
}

fn set_descriptors(master: &Master, most: Option<u64>) -> Rlimit {
    let pid = Pid::from_raw(master.pid().try_into().unwrap());
    // The hard limit stays, so that it can be undone without a right.
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: most, maximum }).unwrap()
}

#[test]
fn a_client_is_taken_only_where_descriptors_are_left_for_both_its_legs() {
    // The probe and the list of those who wait need one each.
    for free in [1, 2, 3, 4] {
        let mut master = fleet("2", "200ms");
        let address = master.address();
        let victim = hello(address);
        halt(victim);
        let before = leave(&master, free);
        let mut clients: Vec<Client> = (0..20).map(|_| Client::say(address, "hello")).collect();
        rest(Duration::from_secs(2));
        set_descriptors(&master, before.current);
        for client in &mut clients {
            assert_ne!(client.answer()[0], victim, "{free}: {}", master.tail());
        }
        kill(victim, Signal::CONT);
        assert_eq!(master.stop(), 0);
    }
}

#[test]
fn a_rescue_leaves_no_descriptor_behind_and_no_timer() {
    let master = fleet("2", "200ms");
    let address = master.address();
    master.catch_up();
    let before = descriptors(&master);
    let victim = hello(address);
    halt(victim);
    crowd(address, 40);
    kill(victim, Signal::CONT);
    master.next("worker accepts again");
    let end = Instant::now() + PATIENCE;
    while descriptors(&master) > before && Instant::now() < end {
        rest(Duration::from_millis(50));
    }
    assert_eq!(descriptors(&master), before);
    rest(Duration::from_secs(1));
    let quiet = settled(&master);
    rest(Duration::from_secs(2));
    assert_eq!(wake_ups(&master), quiet, "woken for nothing");
}
