//! Servers that do what servers should not, or that try our patience: each costs only itself.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    halt::halt,
    harness::{Folder, Line, PATIENCE, kill},
    load::{
        Load, ask, at, crowd, descriptors, free_port, rests, server, serving, settles, ticks, up,
        wakes,
    },
};

/// Serves, rolls under load, and loses nothing.
#[track_caller]
fn rolls_well(mode: &str, line: &'static str) -> Vec<String> {
    let port = free_port();
    let mut master = up(server(mode, port, "2"));
    let load = Load::start(at(port), 3, line);
    for _ in 0..2 {
        load.proceeds(30);
        master.roll();
    }
    load.proceeds(30);
    load.finish().nothing_was_lost();
    assert_eq!(master.stop(), 0, "{}", master.tail());
    master.so_far().into_iter().map(|line| line.text).collect()
}

#[test]
fn a_server_that_polls_its_listener_before_it_has_an_address_is_rolled() {
    rolls_well("epoll-first", "hello");
}

#[test]
fn a_server_whose_timer_fires_every_millisecond_gets_its_sockets() {
    let said = rolls_well("ticking", "hello");
    assert!(said.iter().any(|line| line == "ticking"));
}

#[test]
fn a_server_that_nobody_may_look_into_is_drained_as_others_are() {
    rolls_well("undumpable", "hold 0.2");
}

#[test]
fn a_server_that_listens_on_a_copy_of_its_socket_is_rolled() {
    rolls_well("copied", "hello");
}

#[test]
fn a_server_that_tries_the_kernel_and_then_listens_elsewhere_is_heard_there() {
    let folder = Folder::new();
    let path = folder.at("").to_str().unwrap().to_owned();
    let port = free_port();
    let mut master = up(serving(&["probed", &port.to_string(), &path], "2"));
    for slot in 0..2 {
        let mut stream = UnixStream::connect(folder.at(&format!("slot-{slot}"))).unwrap();
        stream.write_all(b"hello\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.ends_with(&format!(" {slot} 1\n")), "{said}");
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn who_has_gone_to_a_network_of_its_own_gets_no_socket_of_this_one() {
    let port = free_port();
    let mut master = up(server("sandboxed", port, "1"));
    assert_eq!(crowd(at(port), 5).len(), 1);
    assert_eq!(master.stop(), 0, "{}", master.tail());
    let said: Vec<String> = master.so_far().into_iter().map(|line| line.text).collect();
    assert!(said.iter().any(|line| line == "sandbox: ENETUNREACH"), "{said:?}");
}

#[test]
fn a_server_whose_children_accept_is_rolled() {
    rolls_well("child", "hello");
}

#[test]
fn a_server_of_multipath_tcp_gets_plain_tcp_and_is_rolled() {
    let said = rolls_well("multipath", "hello");
    assert!(said.iter().any(|line| line == "protocol 6"), "{said:?}");
}

#[test]
fn a_server_that_closes_and_reopens_its_port_loses_nothing_in_between() {
    let port = free_port();
    let mut master = up(server("rebind", port, "2"));
    let load = Load::start(at(port), 4, "hello");
    for _ in 0..2 {
        load.proceeds(300);
        master.roll();
    }
    let before = descriptors(master.pid());
    load.proceeds(1000);
    // At some moment all that was closed is gone; what is kept for ever never is.
    settles(master.pid(), before + 4);
    load.finish().nothing_was_lost();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn connections_that_a_worker_opens_are_its_own_and_end_when_it_closes_them() {
    let port = free_port();
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = peer.local_addr().unwrap().port().to_string();
    let clock = std::thread::spawn(move || {
        let mut took = vec![];
        for _ in 0..500 {
            let (mut client, _) = peer.accept().unwrap();
            let began = Instant::now();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            took.push(began.elapsed());
        }
        took.sort_unstable();
        (took[250], peer.accept().unwrap().0)
    });
    let mut master = up(serving(&["outbound", &port.to_string(), &to], "1"));
    let (usual, mut chat) = clock.join().unwrap();
    assert!(usual < Duration::from_secs(2), "{usual:?}");
    assert_eq!(crowd(at(port), 20).len(), 1);
    let before = wakes(master.pid());
    for _ in 0..500 {
        chat.write_all(b"x").unwrap();
        chat.read_exact(&mut [0]).unwrap();
    }
    let woken = wakes(master.pid()) - before;
    assert!(woken < 50, "{woken} times for what is not ours");
    // After 550 connections.
    settles(master.pid(), 60);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn what_listens_under_another_sockets_number_is_what_the_server_has_put_there() {
    let (folder, port) = (Folder::new(), free_port());
    let path = folder.text("socket");
    let mut master = up(serving(&["overwritten", &port.to_string(), &path], "1"));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"hello\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.ends_with(" 0 1\n"), "{said}");
    assert!(ask(at(port), "hello").unwrap_err().contains("refused"));
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

/// One of three ends its listening, begins again, and is replaced meanwhile.
fn pauses(line: &'static str) {
    let port = free_port();
    let mut master = up(server("pauses", port, "3"));
    let paused = std::thread::spawn(move || ask(at(port), line).unwrap()[0]);
    master.next("worker disconnected");
    master.next("worker ready");
    let who = crowd(at(port), 60);
    let victim = paused.join().unwrap();
    assert!(who.len() == 3 && !who.contains_key(&victim), "{victim} is not to be in {who:?}");
    master.roll();
    assert_eq!(crowd(at(port), 60).len(), 3);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_server_that_listens_again_on_a_socket_that_it_has_shut_sends_no_connection_astray() {
    pauses("pause 0");
    pauses("pause 0.5");
}

#[test]
fn a_server_that_shuts_its_listener_is_replaced_and_others_serve() {
    let port = free_port();
    let mut master = up(server("shutter", port, "3"));
    let load = Load::start(at(port), 3, "hello");
    load.proceeds(100);
    let victim = ask(at(port), "shut").unwrap()[0];
    master.next("worker disconnected");
    let began = Instant::now();
    assert!(!crowd(at(port), 60).contains_key(&victim));
    let before = ticks(master.pid());
    std::thread::sleep(Duration::from_secs(1));
    let busy = ticks(master.pid()) - before;
    assert!(busy < 40, "{busy} hundredths of a second for a socket that is shut");
    assert!(began.elapsed() < Duration::from_secs(30));
    master.next("worker ready");
    load.finish();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn clients_of_a_worker_that_stands_still_are_served_by_the_others() {
    let port = free_port();
    let mut master = up(server("serve", port, "3"));
    let victim = ask(at(port), "hello").unwrap()[0];
    halt(victim);
    // Each goes to any of the three: one at least of so many waits at the victim's.
    let clients: Vec<_> =
        (0..60).map(|_| std::thread::spawn(move || ask(at(port), "hello"))).collect();
    for client in clients {
        assert_ne!(client.join().unwrap().unwrap()[0], victim);
    }
    // On a busy machine the others may be told of as well, for a moment.
    let told = |what| {
        let is_it = |line: &Line| line.says(what) && line.number("pid") == victim;
        master.next_where(what, is_it);
    };
    told("worker accepts nobody");
    assert!(!crowd(at(port), 40).contains_key(&victim));
    kill(victim, Signal::CONT);
    told("worker accepts again");
    assert!(crowd(at(port), 60).contains_key(&victim));
    master.roll();
    assert_eq!(crowd(at(port), 60).len(), 3);
    std::thread::sleep(Duration::from_secs(4));
    let before = rests(master.pid());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(wakes(master.pid()), before, "nothing is left to look at");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_that_floods_us_with_calls_costs_only_itself() {
    let port = free_port();
    let mut master = up(server("flood", port, "2"));
    let load = Load::start(at(port), 2, "hello");
    load.proceeds(100);
    master.roll();
    load.proceeds(100);
    load.finish().nothing_was_lost();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_does_not_hang_when_the_master_is_gone() {
    let port = free_port();
    let folder = Folder::new();
    let pipe = folder.text("lines");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let master =
        serving(&["orphaned", &port.to_string(), &pipe], "1").set("READY", "start").start();
    master.next("worker ready");
    master.printed("serving");
    let mut lines = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    lines.write_all(b"1\n").unwrap();
    master.printed("a socket");
    // One call may be under way when it dies: stopped, it answers nobody.
    halt(master.pid().into());
    lines.write_all(b"2\n").unwrap();
    kill(master.pid().into(), Signal::KILL);
    master.printed("errno ENOSYS");
}

#[test]
fn a_port_that_the_kernel_chooses_is_a_workers_own_and_does_not_hold_a_roll() {
    let port = free_port();
    let mut master = up(server("chosen", port, "2"));
    let own: u16 = master.printed("chosen").text.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(crowd(at(own), 10).len(), 1);
    assert_eq!(crowd(at(port), 40).len(), 2);
    master.roll();
    assert_eq!(crowd(at(port), 40).len(), 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

/// A server of 32-bit calls: `socket`, `bind` and `listen` of i386, by the gate that 64-bit programs
/// have as well.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_server_that_makes_32_bit_calls_is_captured() {
    let folder = Folder::new();
    let source = folder.write("server.c", include_str!("i386.c"));
    let program = folder.text("server");
    let built = Command::new("cc")
        .args(["-O1", "-static", "-no-pie", "-fno-pie", "-o", &program, &source])
        .status()
        .unwrap();
    assert!(built.success());
    let port = free_port();
    let setup = crate::harness::Setup::of(&[&program, &port.to_string()]);
    let mut master = up(setup.set("CONTRACT", "capture").set("WORKERS", "2"));
    let load = Load::start(at(port), 2, "hello");
    load.proceeds(100);
    master.roll();
    load.proceeds(100);
    load.finish().nothing_was_lost();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}
