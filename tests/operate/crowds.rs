//! Crowds at the doors: whoever comes leaves nothing behind, and nobody keeps others out.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use crate::harness::{Master, until};

/// Memory that a crowd may leave behind, in kB: an allocator's rest, not something for each of them.
const REST: u64 = 512;
const CROWD: usize = 10_000;

/// One request, one answer.
fn ask(mut stream: impl Read + Write, request: &[u8]) -> String {
    let mut bytes = [0; 999];
    // Who is turned away reads nothing.
    let length = stream.write_all(request).and_then(|()| stream.read(&mut bytes)).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// Does it a few times to fill what is kept anyway, then for the whole crowd.
#[track_caller]
fn leaves_nothing(master: &Master, what: &str, mut come: impl FnMut()) {
    (0..500).for_each(|_| come());
    let (memory, descriptors) = (master.fact("VmRSS"), master.descriptors());
    (0..CROWD).for_each(|_| come());
    master.run(&["live"]).is("the loop answers\n");
    let grown = master.fact("VmRSS").saturating_sub(memory);
    assert!(grown <= REST, "{what}: {grown} kB more after {CROWD} connections");
    // Who left without waiting for an answer may still have to be seen off.
    until(&format!("what {what} has opened to be closed"), || {
        master.descriptors() <= descriptors + 1
    });
}

#[test]
fn ten_thousand_connections_one_after_the_other_leave_nothing_behind() {
    let master = Master::start(&[("HTTP", "127.0.0.1:0")]);
    let http = || TcpStream::connect(master.http.as_ref().unwrap()).unwrap();
    leaves_nothing(&master, "control socket", || {
        assert!(ask(master.connect(), b"{\"v\":1,\"op\":\"ready\"}\n").contains("2 of 2"));
    });
    leaves_nothing(&master, "control socket, garbage", || {
        let _ = ask(master.connect(), b"{\"v\":1,\"op\":[[[[[[[[[[[[\n");
    });
    leaves_nothing(&master, "HTTP", || {
        assert!(ask(http(), b"GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
    });
    leaves_nothing(&master, "HTTP, half a request", || {
        let _ = http().write_all(b"GET /metr");
    });
}

#[test]
fn a_crowd_that_stays_is_bounded_and_keeps_nobody_out() {
    let master = Master::start(&[("HTTP", "127.0.0.1:0")]);
    let (memory, descriptors) = (master.fact("VmRSS"), master.descriptors());
    let mut crowd: Vec<TcpStream> = vec![];
    let mut operators: Vec<UnixStream> = vec![];
    for number in 0..1000 {
        let mut slow = TcpStream::connect(master.http.as_ref().unwrap()).unwrap();
        let _ = slow.write_all(b"GET /livez HTTP/1.1\r\nX: ");
        crowd.push(slow);
        operators.push(master.connect());
        let _ = operators[number].write_all(b"{\"v\":1,");
        if number % 100 == 0 {
            // Those who stay send a byte now and then.
            for slow in &mut crowd {
                let _ = slow.write_all(b"x");
            }
            assert!(master.get("/livez").ends_with("the loop answers\n"));
            master.run(&["ready"]).is("2 of 2 workers ready\n");
        }
    }
    assert!(master.descriptors() <= descriptors + 64 + 1, "32 of each kind");
    let grown = master.fact("VmRSS").saturating_sub(memory);
    assert!(grown <= 4 * REST, "{grown} kB more");
    drop((crowd, operators));
    master.run(&["live"]).is("the loop answers\n");
}
