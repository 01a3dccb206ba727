//! More workers than tags: several lanes share one, and nobody is lost for it.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Client, Master, PATIENCE, Setup},
    quiet::rest,
};

/// Lanes take turns with 15 tags.
const WORKERS: usize = 64;

fn fleet() -> Master {
    let setup = Setup::new("serve").set("CONTRACT", "systemd").set("READY", "auto");
    let setup = setup.set("LISTEN", "tcp://127.0.0.1:0").set("BALANCE", "slot");
    let master = setup.set("WORKERS", &WORKERS.to_string()).set("SURGE", "16").start();
    master.next("roll complete");
    master
}

/// One request on a connection of its own: whether the whole answer came.
fn is_served(to: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"hello\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer.ends_with('\n') && answer.split_whitespace().count() == 3)
    };
    ask().unwrap_or(false)
}

/// Asks until told to stop: how many were served, and how many were not.
fn load(to: SocketAddr, stop: &AtomicBool, answers: &AtomicUsize) -> (usize, usize) {
    let (mut served, mut failed) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        *(if is_served(to) { &mut served } else { &mut failed }) += 1;
        answers.fetch_add(1, Ordering::Relaxed);
        rest(Duration::from_millis(5));
    }
    (served, failed)
}

/// What the load met meanwhile.
fn under_load(to: SocketAddr, meanwhile: impl FnOnce()) -> (usize, usize) {
    let stop = AtomicBool::new(false);
    let answers = AtomicUsize::new(0);
    let add = |one: (usize, usize), other: (usize, usize)| (one.0 + other.0, one.1 + other.1);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| load(to, &stop, &answers))).collect();
        meanwhile();
        // However fast this machine is, so many ask during the roll and after it.
        let end = Instant::now() + PATIENCE;
        while answers.load(Ordering::Relaxed) <= 500 && Instant::now() < end {
            rest(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).fold((0, 0), add)
    })
}

#[test]
fn sixty_four_workers_are_rolled_twice_and_no_request_fails() {
    let mut master = fleet();
    let address = master.address();
    let (served, failed) = under_load(address, || {
        for _ in 0..2 {
            master.roll();
            master.next("roll complete");
        }
    });
    assert_eq!(failed, 0, "beside {served}:\n{}", master.tail());
    assert!(served > 500, "{served}");
    assert_eq!(master.stop(), 0);
}

#[test]
fn who_shares_a_tag_with_others_finishes_its_own_slow_requests() {
    let mut master = fleet();
    let address = master.address();
    let mut slow: Vec<Client> = vec![];
    for _ in 0..48 {
        // More than there are tags, so that some of their workers share one.
        slow.push(Client::say(address, "hold"));
        master.printed("holding");
    }
    let (served, failed) = under_load(address, || {
        master.roll();
        rest(Duration::from_secs(1));
    });
    assert_eq!(failed, 0, "beside {served}:\n{}", master.tail());
    let mut holders = BTreeSet::new();
    for client in &mut slow {
        client.more("go on");
        let answer = client.answer();
        assert_eq!(answer[2], 1, "served by a successor: {answer:?}");
        holders.insert(answer[1]);
    }
    assert!(holders.len() > 16, "{holders:?}");
    // With those answered, nothing that carries their tags keeps any of the old ones.
    while master.count("worker exited") < WORKERS {
        master.next("worker exited");
    }
    assert_eq!(master.stop(), 0);
}
