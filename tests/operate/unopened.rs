//! `doctor` on listeners that no worker opens, whatever makes a worker ready.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use crate::{
    doctor::{Found, finding},
    harness::Master,
};

/// A server as libraries for `LISTEN_FDS` have it: it believes in its listener only if it is the one
/// named, says that it is ready, and waits for a connection.
const SERVER: &str = "/usr/bin/python3 -c '
import os, socket, time
if os.environ.get(\"LISTEN_PID\") != str(os.getpid()): time.sleep(1000)
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])
socket.socket(fileno=3).accept()
'";
/// Every way to be ready that a program with a listener has, the contract's own first.
const WAYS: [&str; 4] = ["auto", "notify", "start", "delay:1s"];

fn started(script: &str, ready: &str) -> Master {
    let settings = [("LISTEN", "http=127.0.0.1:0"), ("READY", ready), ("WORKERS", "1")];
    let settings = settings.into_iter().chain([("KILL_TIMEOUT", "1s")]);
    Master::start_only(script, &settings.collect::<Vec<_>>())
}

/// What is found about the listener, as soon as something is.
fn in_time(master: &Master) -> Found {
    for _ in 0..600 {
        if let Some(found) = finding(master, "listener http (fd 3)") {
            return found;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("nothing is found");
}

#[test]
fn a_wrapper_that_eats_listen_pid_is_found_whatever_makes_a_worker_ready() {
    let masters = WAYS.map(|ready| started(&format!("{SERVER}; exit 1"), ready));
    for (ready, master) in WAYS.iter().zip(&masters) {
        let found = in_time(master);
        assert!(
            found.finding.contains("never opened listener http (fd 3): LISTEN_PID names process ")
        );
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
        let found = in_time(master);
        assert!(found.finding.contains("(python3) keeps it from process "), "{ready} {found:?}");
        assert!(found.gravity == "wrong" && found.remedy.contains("the program itself"));
    }
}

#[test]
fn a_program_that_knows_nothing_of_its_listener_is_found() {
    let masters = WAYS.map(|ready| started("exec sleep 1000", ready));
    for (ready, master) in WAYS.iter().zip(&masters) {
        let found = in_time(master);
        assert!(found.finding.contains("takes no connection from listener http"), "{found:?}");
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
    master.until("every worker ready");
    assert!(finding(&master, "accepts nobody").is_none());
    let _kept = say(address, b"hang");
    let clients: Vec<TcpStream> = (0..20).map(|_| say(address, b"hello")).collect();
    for mut client in clients {
        assert!(client.read_to_end(&mut Vec::new()).unwrap() > 0);
    }
    let told = master.until("worker accepts nobody");
    let found = finding(&master, "accepts nobody").unwrap();
    assert!(told.contains(&format!("\"worker\":{},", number(&found.finding))), "{told} {found:?}");
    assert!(found.gravity == "doubtful" && found.remedy.contains("LISTEN_FDS"), "{found:?}");
}

/// Of `worker N accepts …`.
fn number(finding: &str) -> &str {
    finding.split_whitespace().nth(1).unwrap()
}
