//! A strict client: a connection for each request, no retries, every answer checked.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

pub(crate) struct Load {
    must_stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Load {
    pub(crate) fn start(port: u16, clients: usize) -> Self {
        let must_stop = Arc::new(AtomicBool::new(false));
        let all = Arc::new(AtomicUsize::new(0));
        let client = |_| {
            let (must_stop, all) = (Arc::clone(&must_stop), Arc::clone(&all));
            std::thread::spawn(move || {
                let (mut answered, mut failures) = (0, vec![]);
                while !must_stop.load(Ordering::Relaxed) {
                    match request(port) {
                        Ok(()) => {
                            answered += 1;
                            all.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(failure) => failures.push(failure),
                    }
                }
                (answered, failures)
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { must_stop, answered: all, clients }
    }

    /// How many requests have been answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// How many requests were answered, and how the others failed.
    pub(crate) fn stop(self) -> (usize, Vec<String>) {
        self.must_stop.store(true, Ordering::Relaxed);
        let mut total = (0, vec![]);
        for client in self.clients {
            let (answered, failures) = client.join().unwrap();
            total.0 += answered;
            total.1.extend(failures);
        }
        total
    }
}

fn request(port: u16) -> Result<(), String> {
    let at = |step| move |fault: std::io::Error| format!("{step}: {fault}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(at("connect"))?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(at("timeout"))?;
    let head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(head).map_err(at("send"))?;
    let mut answer = vec![];
    stream.read_to_end(&mut answer).map_err(at("receive"))?;
    let text = String::from_utf8_lossy(&answer);
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    if text.starts_with("HTTP/1.1 200") && body.len() > 1000 && body.starts_with("xxx") {
        return Ok(());
    }
    Err(format!("answer of {} bytes", answer.len()))
}
