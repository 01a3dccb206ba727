//! A server on the passed socket, descriptor 3, with the standard library alone. It needs no code
//! for its end: when it is told to stop, it has long had nothing to do.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::fd::FromRawFd,
    thread,
};

fn answer(client: &TcpStream, generation: &str) -> io::Result<()> {
    for line in BufReader::new(client).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let body = format!("hello from generation={generation}\n");
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
    let mut client = client;
    client.write_all(format!("{head}\r\n\r\n{body}").as_bytes())
}

fn main() -> io::Result<()> {
    // SAFETY: dutch-master passes the listener as descriptor 3, and nobody else here has it.
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    if let Ok(notify) = env::var("NOTIFY_FD") {
        // Any byte written here means: ready.
        fs::write(format!("/proc/self/fd/{notify}"), "\n")?;
    }
    for client in listener.incoming() {
        let client = client?;
        thread::spawn(move || {
            let generation = env::var("DUTCH_MASTER_GENERATION").unwrap_or_default();
            answer(&client, &generation)
        });
    }
    Ok(())
}
