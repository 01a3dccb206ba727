//! Clients that mean no good, or do not know better: bounded, and sent away.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
};

use crate::harness::{LONG, Master, Said};

/// Everything that comes until the other side hangs up.
#[track_caller]
fn rest(mut stream: impl Read) -> String {
    let mut text = Vec::new();
    let end = stream.read_to_end(&mut text).map_err(|error| error.kind());
    assert_ne!(end, Err(ErrorKind::WouldBlock), "nobody hangs up");
    String::from_utf8_lossy(&text).into_owned()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn garbage_is_refused_and_its_sender_sent_away() {
    let master = Master::start(&[]);
    let long = "x".repeat(100_000);
    let twice = "{\"v\":1,\"op\":\"live\"}\n{\"v\":1,\"op\":\"live\"}\n";
    for text in ["nonsense\n", "\n", "{\"v\":9,\"op\":\"live\"}\n", &long, twice] {
        let mut stream = master.connect();
        let _ = stream.write_all(text.as_bytes());
        let answer = rest(stream);
        // Who is cut off while still sending may lose our last words.
        assert!(answer.contains("\"refused\"") || text == long, "{text:.20}: {answer}");
    }
    master.run(&["live"]).is("the loop answers\n");
}

#[test]
fn who_says_nothing_is_sent_away_and_others_are_served_meanwhile() {
    let master = Master::start(&[("HTTP", "127.0.0.1:0")]);
    let silent = master.connect();
    let mut half = TcpStream::connect(master.http.as_ref().unwrap()).unwrap();
    half.set_read_timeout(Some(LONG)).unwrap();
    half.write_all(b"GET /livez HTT").unwrap();
    master.run(&["live"]).is("the loop answers\n");
    assert!(master.get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!((rest(silent), rest(half)), (String::new(), String::new()));
}

#[test]
fn of_more_than_32_clients_the_silent_ones_make_room() {
    let master = Master::start(&[]);
    let before = master.descriptors();
    let follower = || {
        let mut stream = master.connect();
        stream.write_all(b"{\"v\":1,\"op\":\"events\",\"follow\":true}\n").unwrap();
        assert!(stream.read(&mut [0]).unwrap() > 0);
        stream
    };
    let silent = master.connect();
    let mut crowd: Vec<UnixStream> = (0..31).map(|_| follower()).collect();
    master.run(&["live"]).is("the loop answers\n");
    assert_eq!(rest(silent), "");
    crowd.push(follower());
    assert_eq!(rest(master.connect()), "", "nobody of these is silent");
    drop(crowd);
    for _ in 0..10_000 {
        // The socket's queue may be full for a moment.
        let _ = UnixStream::connect(master.socket());
    }
    while master.run(&["live"]).code != 0 {}
    // The last answer's connection may still be there.
    master.settles(before + 1);
}

#[test]
fn who_says_that_it_will_ask_no_more_still_gets_its_answer() {
    let master = Master::start(&[]);
    let before = master.descriptors();
    let ask = |request: &[u8]| {
        let mut stream = master.connect();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream
    };
    let told = rest(ask(b"{\"v\":1,\"op\":\"reload\"}\n"));
    assert!(
        told.ends_with("\"message\":\"generation 2 serves, 2 of 2 workers ready\"}\n"),
        "{told}"
    );
    assert!(rest(ask(b"{\"v\":1,\"op\":\"live\"}\n")).contains("the loop answers"));
    assert_eq!(rest(ask(b"{\"v\":1,\"op\":\"live\"")), "", "no line, no request");
    let mut follower = ask(b"{\"v\":1,\"op\":\"events\",\"follow\":true}\n");
    assert!(follower.read(&mut [0; 9999]).unwrap() > 0);
    drop(follower);
    // Who is gone is forgotten.
    master.settles(before + 1);
}

#[test]
fn metrics_that_are_asked_for_all_the_time_are_measured_once_a_second() {
    let settings = [("HTTP", "127.0.0.1:0"), ("WORKERS", "1")];
    let mut master = Master::start_only("while :; do :; done", &settings);
    master.until("every worker ready");
    let line = "dutch_master_worker_cpu_seconds_total{slot=\"0\"} ";
    let began = std::time::Instant::now();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 4 {
        let text = master.get("/metrics");
        seen.insert(text.lines().find_map(|found| found.strip_prefix(line)).unwrap().to_owned());
    }
    assert!(began.elapsed() >= std::time::Duration::from_secs(2), "{seen:?}");
}

#[test]
fn http_answers_probes_and_refuses_the_rest() {
    let master = Master::start(&[("HTTP", "127.0.0.1:0")]);
    let before = master.descriptors();
    for (request, status) in [
        ("GET /livez HTTP/1.1\r\n\r\n", "200 OK"),
        ("HEAD /metrics HTTP/1.0\r\n\r\n", "200 OK"),
        ("GET /readyz?verbose HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /livez HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("\0\0\0\0\r\n\r\n", "400 Bad Request"),
    ] {
        let answer = master.http(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
    }
    assert!(master.http("HEAD /metrics HTTP/1.0\r\n\r\n").ends_with("\r\n\r\n"));
    for _ in 0..2_000 {
        drop(TcpStream::connect(master.http.as_ref().unwrap()).unwrap());
    }
    let json = master.get("/status.json");
    let (_, body) = json.split_once("\r\n\r\n").unwrap();
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["ready"], 2);
    master.settles(before + 1);
}

#[test]
fn another_user_gets_nothing() {
    assert!(is_root(), "only root can show what another user gets: run this as root");
    let master = Master::start(&[]);
    let mode =
        |mode| fs::set_permissions(master.socket(), fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(fs::metadata(master.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    // The binary may lie where nobody else can go: a shell asks in its place.
    let ask = |op: &str| {
        let script = format!(
            "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
             s.sendall(b'{{\"v\":1,\"op\":\"{op}\"}}\\n'); print(s.recv(9999).decode())"
        );
        let mut python = std::process::Command::new("/usr/bin/python3");
        python.args(["-c", &script]).arg(master.socket()).uid(65534).gid(65534);
        python.output().ok().map(Said::of)
    };
    let refused = ask("status").expect("python3: scripts/test host installs it");
    assert!(refused.err.contains("PermissionError"), "{refused:?}");
    mode(0o666);
    let sent_away = ask("stop").unwrap();
    assert!(sent_away.out.trim().is_empty(), "{sent_away:?}");
    mode(0o600);
    master.run(&["ready"]).is("2 of 2 workers ready\n");
}

#[test]
fn an_idle_master_with_both_doors_open_is_not_woken() {
    let mut master = Master::start(&[("HTTP", "127.0.0.1:0")]);
    master.until("roll complete");
    let mut follower = master.connect();
    follower.write_all(b"{\"v\":1,\"op\":\"events\",\"follow\":true}\n").unwrap();
    let mut bytes = [0; 4096];
    let _ = follower.read(&mut bytes).unwrap();
    let mut half_closed = master.connect();
    half_closed.write_all(b"{\"v\":1,\"op\":\"events\",\"follow\":true}\n").unwrap();
    half_closed.shutdown(Shutdown::Write).unwrap();
    let _ = half_closed.read(&mut bytes).unwrap();
    follower.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    while follower.read(&mut bytes).is_ok() {}
    let before = master.rests();
    assert!(follower.read(&mut bytes).is_err() && follower.read(&mut bytes).is_err());
    assert_eq!(master.fact("voluntary_ctxt_switches"), before, "woken while idle");
}
