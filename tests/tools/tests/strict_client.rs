//! The strict client against servers that break requests on purpose, class by class: a client
//! that overlooks a broken request would make every other test worthless.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_linger;
use tools::{
    attempt::{Class, Kept, Request, keep_alive, one_shot},
    http::answer,
    load::{self, Load},
    report::{Kind, Report},
    stream::{Address, Idle},
};

/// A server that does `serve` to each connection, one after the other.
fn server(serve: impl Fn(TcpStream, u32) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (connection, number) in listener.incoming().zip(0..) {
            serve(connection.unwrap(), number);
        }
    });
    address
}

fn request(address: SocketAddr) -> Request {
    Request {
        address: Address::Tcp(address),
        path: "/?id={id}".to_owned(),
        expect: Some("id={id}.".to_owned()),
        timeout: Duration::from_mins(1),
    }
}

/// Reads a request's head and returns the id that was asked for.
fn heard(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = vec![];
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if connection.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    Some(text.split(['=', ' ']).nth(2).unwrap().to_owned())
}

/// Closes so that the other end sees a reset.
fn reset(connection: &TcpStream) {
    set_socket_linger(connection, Some(Duration::ZERO)).unwrap();
}

fn right(id: &str) -> Vec<u8> {
    answer("200 OK", &format!("id={id}."), false)
}

fn class_of(serve: impl Fn(TcpStream, u32) + Send + 'static) -> Class {
    one_shot(&request(server(serve)), 7).class
}

/// The class of a second request on a connection that has served a first one well.
fn class_of_second(second: impl Fn(&mut TcpStream) + Send + 'static) -> Class {
    let request = request(server(move |mut connection, _| {
        let id = heard(&mut connection).unwrap();
        connection.write_all(&right(&id)).unwrap();
        second(&mut connection);
    }));
    let (first, kept) = keep_alive(&request, 1, None);
    assert_eq!(first.class, Class::Ok);
    keep_alive(&request, 2, Some(kept.unwrap())).0.class
}

#[test]
fn a_right_answer_is_ok() {
    let class = class_of(|mut connection, _| {
        let id = heard(&mut connection).unwrap();
        connection.write_all(&right(&id)).unwrap();
    });
    assert_eq!(class, Class::Ok);
}

#[test]
fn an_answer_in_chunks_is_ok_and_one_without_its_last_chunk_is_truncated() {
    let chunks = |end: &'static [u8]| {
        class_of(move |mut connection, _| {
            let id = heard(&mut connection).unwrap();
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = format!("{head}3\r\nid=\r\n{:x}\r\n{id}.\r\n", id.len() + 1);
            connection.write_all(chunk.as_bytes()).unwrap();
            connection.write_all(end).unwrap();
        })
    };
    assert_eq!(chunks(b"0\r\n\r\n"), Class::Ok);
    assert_eq!(chunks(b""), Class::Truncated);
}

#[test]
fn a_closed_port_is_refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(one_shot(&request(address), 1).class, Class::Refused);
}

#[test]
fn a_reset_after_the_request_is_told_from_a_close_without_an_answer() {
    let was_reset = class_of(|mut connection, _| {
        heard(&mut connection);
        reset(&connection);
    });
    let was_closed = class_of(|mut connection, _| drop(heard(&mut connection)));
    assert_eq!((was_reset, was_closed), (Class::ResetAfterSend, Class::NoAnswer));
}

#[test]
fn an_answer_shorter_than_its_length_is_truncated_in_the_body_and_in_the_head() {
    for text in ["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nid=7.", "HTTP/1.1 200 OK\r\nCont"] {
        let class = class_of(move |mut connection, _| {
            heard(&mut connection);
            connection.write_all(text.as_bytes()).unwrap();
        });
        assert_eq!(class, Class::Truncated, "{text}");
    }
}

#[test]
fn a_reset_in_the_middle_of_the_body_is_a_reset() {
    let class = class_of(|mut connection, _| {
        heard(&mut connection);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nid").unwrap();
        thread::sleep(Duration::from_millis(50));
        reset(&connection);
    });
    assert_eq!(class, Class::ResetAfterSend);
}

#[test]
fn silence_is_a_timeout() {
    let silent = server(|mut connection, _| {
        heard(&mut connection);
        // Until the client has given up.
        let _ = connection.read(&mut [0]);
    });
    let request = Request { timeout: Duration::from_millis(500), ..request(silent) };
    assert_eq!(one_shot(&request, 7).class, Class::Timeout);
}

#[test]
fn another_status_and_another_body_are_wrong() {
    let status = class_of(|mut connection, _| {
        heard(&mut connection);
        connection.write_all(&answer("500 Oh", "id=7.", true)).unwrap();
    });
    let body = class_of(|mut connection, _| {
        heard(&mut connection);
        connection.write_all(&answer("200 OK", "id=8.", true)).unwrap();
    });
    let nonsense = class_of(|mut connection, _| {
        heard(&mut connection);
        connection.write_all(b"hello\r\n\r\n").unwrap();
    });
    let all = (status, body, nonsense);
    assert_eq!(all, (Class::WrongStatus, Class::WrongBody, Class::WrongBody));
}

#[test]
fn a_kept_connection_closed_under_a_request_is_reused_whether_closed_or_reset() {
    let closed = class_of_second(|connection| drop(heard(connection)));
    let was_reset = class_of_second(|connection| {
        heard(connection);
        reset(connection);
    });
    assert_eq!((closed, was_reset), (Class::Reused, Class::Reused));
}

#[test]
fn a_kept_connection_that_ends_in_the_middle_of_an_answer_is_no_excuse() {
    let class = class_of_second(|connection| {
        heard(connection);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nid").unwrap();
    });
    assert_eq!(class, Class::Truncated);
}

#[test]
fn a_kept_connection_tells_that_the_server_has_closed_it_or_spoken_unasked() {
    // What the server does shows in the end; where it does nothing, nothing shows.
    let looks = |patience, after: fn(&mut TcpStream)| {
        let request = request(server(move |mut connection, _| {
            let id = heard(&mut connection).unwrap();
            connection.write_all(&right(&id)).unwrap();
            after(&mut connection);
            heard(&mut connection);
        }));
        let kept: Kept = keep_alive(&request, 1, None).1.unwrap();
        let end = Instant::now() + patience;
        while kept.idle() == Idle::Open && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        kept.idle()
    };
    let (short, long) = (Duration::from_millis(100), Duration::from_mins(1));
    assert_eq!(looks(short, |_| ()), Idle::Open);
    let shut = looks(long, |connection| connection.shutdown(Shutdown::Write).unwrap());
    assert_eq!(shut, Idle::Closed);
    assert_eq!(looks(long, |connection| connection.write_all(b"hey").unwrap()), Idle::Unasked);
}

#[test]
fn an_answer_that_says_close_ends_the_connection_for_the_client_as_well() {
    let request = request(server(|mut connection, _| {
        let id = heard(&mut connection).unwrap();
        connection.write_all(&answer("200 OK", &format!("id={id}."), true)).unwrap();
        thread::sleep(Duration::from_millis(200));
    }));
    let (outcome, kept) = keep_alive(&request, 1, None);
    assert_eq!((outcome.class, kept.is_none()), (Class::Ok, true));
}

#[test]
fn a_run_counts_every_broken_request_and_no_other() {
    // Every tenth connection is broken, until there were fifty.
    let stop = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&stop);
    let address = server(move |mut connection, number| {
        end.fetch_or(number >= 49, Ordering::Relaxed);
        thread::spawn(move || {
            while let Some(id) = heard(&mut connection) {
                if number % 10 == 9 {
                    return;
                }
                connection.write_all(&right(&id)).unwrap();
            }
        });
    });
    let load = Load {
        request: request(address),
        one_shot: 2,
        keep_alive: 0,
        pause: Duration::ZERO,
        count: None,
        by: Some("id".to_owned()),
    };
    let report = load::run(load, stop);
    let number = |path: &str| report.pointer(path).and_then(serde_json::Value::as_u64).unwrap();
    let (requests, failed) = (number("/requests"), number("/failed"));
    assert!(requests >= 50 && failed == requests / 10, "{report}");
    assert_eq!(number("/one_shot/classes/no_answer"), failed);
    assert_eq!(number("/ok") + failed, requests);
    assert_eq!(report["by"].as_object().unwrap().len() as u64, number("/ok"));
    assert!(report["gap_ms"].as_f64().unwrap() > 0.0);
}

/// The longest gap in milliseconds, where requests ended so many milliseconds after the beginning
/// and the first client was told to stop at `stop`.
fn gap(ends: &[(Class, u64)], stop: u64) -> f64 {
    let began = Instant::now();
    let at = |milliseconds| began + Duration::from_millis(milliseconds);
    let mut report = Report::new(began);
    for (class, end) in ends {
        if *end > stop {
            report.note_stop(at(stop));
        }
        report.note(Kind::OneShot, *class, began, at(*end));
    }
    report.note_stop(at(stop));
    report.finish(at(9000))["gap_ms"].as_f64().unwrap()
}

#[test]
fn a_gap_is_silence_while_all_clients_ask() {
    let (ok, timeout) = (Class::Ok, Class::Timeout);
    assert!((gap(&[(ok, 100), (ok, 3100), (ok, 3200)], 3200) - 3000.0).abs() < 0.1);
    // Nobody is answered until a client gives up.
    assert!((gap(&[(ok, 100), (timeout, 2100)], 2100) - 2000.0).abs() < 0.1);
    // The last client waits for an answer when the others have gone.
    assert!((gap(&[(ok, 100), (ok, 150), (ok, 5000)], 150) - 100.0).abs() < 0.1);
}
