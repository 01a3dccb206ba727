//! `doctor` on listeners that no worker opens, whatever makes a worker ready.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use crate::{
    doctor::{Found, finding},
    harness::{Master, until},
};

/// A server as libraries for `LISTEN_FDS` have it: it believes in its listener only if it is the one
/// named, says that it is ready, and waits for a connection.
const SERVER: &str = "/usr/bin/python3 -c '
import os, socket, time
if os.environ.get(\"LISTEN_PID\") != str(os.getpid()): time.sleep(1000)
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])
open(\"../accepts\", \"w\").close()
socket.socket(fileno=3).accept()
'";
/// Every way to be ready that a program with a listener has, the contract's own first.
const WAYS: [&str; 4] = ["auto", "notify", "start", "delay:1s"];

fn started(script: &str, ready: &str) -> Master {
    let settings = [("LISTEN", "http=127.0.0.1:0"), ("READY", ready), ("WORKERS", "1")];
    let settings = settings.into_iter().chain([("KILL_TIMEOUT", "1s")]);
    Master::start_only(script, &settings.collect::<Vec<_>>())
}

/// Waits until its server is about to accept: some are ready before. Then it only has to be old enough.
fn accepts(master: &Master) {
    until("a server that accepts", || master.directory.join("accepts").exists());
}

/// What is found about the listener, as soon as it is that. Whoever looks while a server still starts
/// may find it at something else.
#[track_caller]
fn in_time(master: &Master, what: &str) -> Found {
    let mut found = None;
    for _ in 0..600 {
        found = finding(master, "listener http (fd 3)");
        if let Some(found) = found.take_if(|found| found.finding.contains(what)) {
            return found;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("not {what}, but {found:?}");
}

#[test]
fn a_wrapper_that_eats_listen_pid_is_found_whatever_makes_a_worker_ready() {
    let masters = WAYS.map(|ready| started(&format!("{SERVER}; exit 1"), ready));
    for (ready, master) in WAYS.iter().zip(&masters) {
        let what = "never opened listener http (fd 3): LISTEN_PID names process ";
        let found = in_time(master, what);
        assert!(found.finding.contains(" (run), the server is process "), "{found:?}");
        assert!(found.remedy.contains("dutch-master exec -- COMMAND"), "{found:?}");
        assert_eq!(found.gravity, "wrong", "{ready}");
    }
}

#[test]
fn a_script_that_becomes_the_server_is_no_wrapper_whatever_makes_a_worker_ready() {
    let mut masters = WAYS.map(|ready| started(&format!("exec {SERVER}"), ready));
    for master in &mut masters {
        master.until("every worker ready");
        accepts(master);
    }
    sleep(Duration::from_secs(3));
    for (ready, master) in WAYS.iter().zip(&masters) {
        assert!(finding(master, "http").is_none_or(|found| found.gravity == "good"), "{ready}");
    }
}

#[test]
fn the_exec_verb_puts_a_wrapper_right() {
    let exec = format!("{} exec -- {SERVER}; exit 1", crate::harness::BINARY);
    let mut master = started(&exec, "auto");
    master.until("every worker ready");
    accepts(&master);
    sleep(Duration::from_secs(3));
    assert!(finding(&master, "listener http").is_none());
}

#[test]
fn a_parent_that_keeps_the_listener_to_itself_is_found() {
    // As npm does, it passes no descriptor on.
    let script =
        "exec /usr/bin/python3 -c 'import subprocess; subprocess.call([\"sleep\", \"1000\"])'";
    let masters = WAYS.map(|ready| started(script, ready));
    for (ready, master) in WAYS.iter().zip(&masters) {
        let found = in_time(master, "(python3) keeps it from process ");
        assert!(found.gravity == "wrong" && found.remedy.contains("the program itself"), "{ready}");
    }
}

#[test]
fn a_program_that_knows_nothing_of_its_listener_is_found() {
    let masters = WAYS.map(|ready| started("exec sleep 1000", ready));
    for (ready, master) in WAYS.iter().zip(&masters) {
        let found = in_time(master, "takes no connection from listener http");
        assert!(found.gravity == "doubtful" && found.remedy.contains("LISTEN_FDS"), "{ready}");
    }
}

/// A server that answers one after the other, and who says "hang" keeps it for ever.
const ONE_BY_ONE: &str = "exec /usr/bin/python3 -c '
import os, socket, time
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])
while True:
    with socket.socket(fileno=os.dup(3)).accept()[0] as client:
        if client.recv(10) == b\"hang\": time.sleep(1000)
        client.sendall(b\"%d\" % os.getpid())
'";

fn say(address: &str, words: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(words).unwrap();
    client
}

#[test]
fn a_worker_whose_clients_others_have_to_serve_is_found() {
    let settings = [("LISTEN", "http=127.0.0.1:0"), ("WORKERS", "2"), ("KILL_TIMEOUT", "1s")];
    let mut master = Master::start_only(ONE_BY_ONE, &settings);
    let listening: serde_json::Value = serde_json::from_str(&master.until("listening")).unwrap();
    let address = listening["address"].as_str().unwrap();
    let workers = [(); 2].map(|()| numbers(&master.until("worker ready"), "pid", "worker"));
    master.until("every worker ready");
    assert!(finding(&master, "accepts nobody").is_none());
    let _kept = say(address, b"hang");
    let mut served = String::new();
    for mut client in [(); 20].map(|()| say(address, b"hello")) {
        served.clear();
        assert!(client.read_to_string(&mut served).unwrap() > 0);
    }
    let (_, stuck) = workers.iter().find(|(pid, _)| pid.to_string() != served).unwrap();
    // On a busy machine the other one may be told of as well, for a moment.
    while numbers(&master.until("worker accepts nobody"), "pid", "worker").1 != *stuck {}
    let found = finding(&master, &format!("worker {stuck} accepts nobody")).unwrap();
    assert!(found.gravity == "doubtful" && found.remedy.contains("LISTEN_FDS"), "{found:?}");
}

/// Two numbers of the log's line.
fn numbers(line: &str, one: &str, other: &str) -> (u64, u64) {
    let entry: serde_json::Value = serde_json::from_str(line).unwrap();
    (entry[one].as_u64().unwrap(), entry[other].as_u64().unwrap())
}
