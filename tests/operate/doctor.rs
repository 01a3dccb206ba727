//! What `doctor` finds on this machine, and that it finds nothing where nothing is.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
};

use serde_json::Value;

use crate::harness::{Master, Said, until};

/// A finding, as `doctor --json` tells it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) gravity: String,
    pub(crate) finding: String,
    pub(crate) remedy: String,
}

fn of_json(findings: &Value) -> Vec<Found> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let each = findings.as_array().unwrap().iter();
    each.map(|one| Found {
        gravity: text(&one["gravity"]),
        finding: text(&one["finding"]),
        remedy: text(&one["remedy"]),
    })
    .collect()
}

/// All that `doctor` finds.
pub(crate) fn findings(master: &Master) -> Vec<Found> {
    let said = master.run(&["doctor", "--json"]);
    of_json(&serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}")))
}

/// The finding that says so, if there is one.
pub(crate) fn finding(master: &Master, part: &str) -> Option<Found> {
    findings(master).into_iter().find(|each| each.finding.contains(part))
}

/// What a client finds who came in while the door could still be found.
fn asked_from_inside(mut stream: UnixStream) -> Found {
    stream.write_all(b"{\"v\":1,\"op\":\"doctor\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    let reply: Value = serde_json::from_str(&line).unwrap();
    let found = of_json(&reply["findings"]);
    found.into_iter().find(|each| each.finding.contains("control socket")).unwrap()
}

/// What is wrong with the control socket, as the master tells it and as a client does that has not
/// come in any more.
fn unreachable(master: &Master, inside: UnixStream) -> (Found, Said) {
    let found = asked_from_inside(inside);
    assert_eq!(found.gravity, "wrong", "{found:?}");
    assert!(found.finding.starts_with("nobody can reach the control socket /"), "{found:?}");
    let said = master.run(&["doctor"]);
    assert_eq!((said.code, said.out.starts_with("wrong ")), (1, true), "{said:?}");
    (found, said)
}

#[test]
fn a_control_socket_that_answers_is_fine_and_to_try_it_costs_no_client_its_place() {
    let master = Master::start(&[]);
    let found = finding(&master, "control socket").unwrap();
    assert_eq!((found.gravity.as_str(), found.remedy.as_str()), ("good", ""));
    assert!(found.finding.ends_with("control.sock answers"), "{found:?}");
    // With who asks they are 32: for one more, the first of them would have to go.
    let silent: Vec<UnixStream> = (0..31).map(|_| master.connect()).collect();
    assert!(finding(&master, "control.sock answers").is_some());
    let mut first = &silent[0];
    first.set_nonblocking(true).unwrap();
    let heard = first.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::WouldBlock));
}

#[test]
fn a_control_socket_whose_file_is_gone_is_found() {
    let master = Master::start(&[]);
    let inside = master.connect();
    let aside = master.directory.join("aside");
    fs::rename(master.socket(), &aside).unwrap();
    let (found, said) = unreachable(&master, inside);
    assert!(found.finding.ends_with("its file is gone"), "{found:?}");
    assert!(found.remedy.contains("restart the container"), "{found:?}");
    assert!(said.out.contains("its file or directory was removed"), "{said:?}");
    fs::rename(aside, master.socket()).unwrap();
}

#[test]
fn a_control_socket_whose_directory_is_gone_is_found() {
    let aside = PathBuf::from(format!("/tmp/dm-doctor-{}", std::process::id()));
    let home = aside.with_extension("home");
    fs::create_dir(&home).unwrap();
    let path = home.join("control.sock");
    let master = Master::start(&[("CONTROL", path.to_str().unwrap())]);
    let inside = UnixStream::connect(&path).unwrap();
    fs::rename(&home, &aside).unwrap();
    let found = asked_from_inside(inside);
    assert!(found.finding.ends_with("its directory is gone"), "{found:?}");
    fs::rename(&aside, &home).unwrap();
    let control = format!("--control={}", path.display());
    master.run(&["stop", &control]).is("stopped\n");
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn a_file_in_the_place_of_the_control_socket_is_found() {
    let master = Master::start(&[]);
    let inside = master.connect();
    let aside = master.directory.join("aside");
    fs::rename(master.socket(), &aside).unwrap();
    fs::write(master.socket(), "").unwrap();
    let (found, said) = unreachable(&master, inside);
    assert!(found.finding.ends_with("another file is in its place"), "{found:?}");
    assert!(said.out.contains("something was put in its socket's place"), "{said:?}");
    fs::rename(aside, master.socket()).unwrap();
}

#[test]
fn somebody_else_at_the_place_of_the_control_socket_is_found() {
    let master = Master::start(&[]);
    let inside = master.connect();
    let aside = master.directory.join("aside");
    fs::rename(master.socket(), &aside).unwrap();
    let listener = UnixListener::bind(master.socket()).unwrap();
    let found = asked_from_inside(inside);
    let end = format!("process {} listens in its place", std::process::id());
    assert!(found.gravity == "wrong" && found.finding.ends_with(&end), "{found:?}");
    drop(listener);
    fs::rename(aside, master.socket()).unwrap();
}

#[test]
fn a_control_socket_that_may_not_be_opened_is_found() {
    // Root may go everywhere.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let master = if is_root { Master::start_as(65534, &[]) } else { Master::start(&[]) };
    let inside = master.connect();
    let mode = |mode| fs::set_permissions(master.socket(), fs::Permissions::from_mode(mode));
    mode(0).unwrap();
    let found = asked_from_inside(inside);
    assert!(found.finding.ends_with("permission denied"), "{found:?}");
    assert!(found.remedy.contains("chmod 600"), "{found:?}");
    mode(0o600).unwrap();
    assert!(finding(&master, "control.sock answers").is_some());
}

#[test]
fn npm_in_between_is_found_and_a_program_itself_is_not() {
    let words = ["sh", "-c", "npm start || exec sleep 1000"];
    let mut master = Master::start_words(&words, &[("CONTRACT", "plain")]);
    master.until("every worker ready");
    let found = finding(&master, "npm").unwrap();
    assert!(found.finding.contains("starts the server through npm"), "{found:?}");
    assert!(found.remedy.contains("node app.js"), "{found:?}");
    let master = Master::start(&[("CONTRACT", "plain")]);
    assert!(finding(&master, "npm").is_none());
}

/// A number that the kernel shows in a file.
fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[test]
fn a_backlog_above_somaxconn_is_found_and_one_below_is_not() {
    let most = number("/proc/sys/net/core/somaxconn").unwrap();
    let (below, above) = ("below=127.0.0.1:0?backlog=", "above=127.0.0.2:0?backlog=");
    let listen = format!("{below}{most},{above}{}", most + 1);
    let master = Master::start(&[("LISTEN", &listen)]);
    let found = finding(&master, "listener above: backlog=").unwrap();
    assert!(found.finding.ends_with(&format!("is cut to {most}")), "{found:?}");
    assert!(found.remedy.ends_with(&format!("net.core.somaxconn={}", most + 1)), "{found:?}");
    assert!(finding(&master, "listener below: backlog=").is_none());
}

#[test]
fn handshakes_that_stay_behind_are_found_where_the_kernel_leaves_them() {
    let is_left = number("/proc/sys/net/ipv4/tcp_migrate_req") == Some(0);
    let master = Master::start(&[("LISTEN", "127.0.0.1:0")]);
    let found = finding(&master, "tcp_migrate_req");
    assert_eq!(found.is_some(), is_left, "{found:?}");
    assert!(found.is_none_or(|found| found.remedy.contains("net.ipv4.tcp_migrate_req=1")));
    let master = Master::start(&[("LISTEN", "127.0.0.1:0"), ("BALANCE", "shared")]);
    assert!(finding(&master, "tcp_migrate_req").is_none(), "all share one socket");
}

#[test]
fn a_budget_longer_than_the_usual_patience_is_found_and_a_short_one_is_not() {
    let master = Master::start(&[("STOP_TIMEOUT", "40s"), ("SHUTDOWN_DELAY", "1s")]);
    let found = finding(&master, "a stop may take").unwrap();
    assert_eq!(found.gravity, "doubtful");
    assert!(found.finding.contains("41 s; docker stop waits for 10 s"), "{found:?}");
    assert_eq!(found.remedy, "docker stop -t 46; terminationGracePeriodSeconds: 46");
    master.run(&["signal", "INT"]).is("signal 2 taken\n");
    let _ = master.run(&["signal", "INT"]);
    let master = Master::start(&[("STOP_TIMEOUT", "5s")]);
    assert_eq!(finding(&master, "a stop may take 5 s").unwrap().gravity, "good");
}

#[test]
fn a_container_where_servers_cannot_be_captured_is_found_and_one_where_they_can_is_not() {
    let outer = Master::start(&[("CONTRACT", "capture"), ("WORKERS", "1")]);
    assert_eq!(finding(&outer, "servers are captured").unwrap().gravity, "good");
    // Below the filter of one that captures, there is no other.
    let script = "exec env DUTCH_MASTER_CONTROL=$PWD/../inner.sock DUTCH_MASTER_READY=start \
                  DUTCH_MASTER_WORKERS=1 $BINARY sleep 1000";
    let script = script.replace("$BINARY", crate::harness::BINARY);
    let settings = [("CONTRACT", "capture"), ("WORKERS", "1")];
    let outer = Master::start_only(&script, &settings);
    let control = format!("--control={}", outer.directory.join("inner.sock").display());
    until("the inner master", || outer.run(&["live", &control]).code == 0);
    let said = outer.run(&["doctor", &control]);
    assert!(said.out.contains("servers can't be captured here: somebody else answers"), "{said:?}");
    assert!(said.out.contains("servers that take their sockets from LISTEN"), "{said:?}");
}

#[test]
fn a_master_that_is_not_pid_1_is_found() {
    let master = Master::start(&[]);
    let found = finding(&master, "the master is PID ").unwrap();
    assert_eq!(found.gravity, "doubtful");
    assert!(found.remedy.contains("--init"), "{found:?}");
}
