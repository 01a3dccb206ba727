//! Accepting on sockets that others share, and answering until nothing is in flight.

use std::{
    env, io,
    net::TcpListener,
    os::fd::{AsFd, FromRawFd, OwnedFd},
    os::unix::net::UnixListener,
    process,
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SocketFlags, accept_with, sockopt},
};
use tools::{
    http::Reader,
    stream::{Address, Stream},
};

use crate::{Worker, pages, trouble};

/// The sockets passed by `LISTEN_FDS`, or one of its own by the knob `listen`.
pub(crate) fn listeners(worker: &Worker) -> Vec<OwnedFd> {
    if let Some(address) = worker.knobs.text("listen") {
        return vec![match address.parse().expect("an address") {
            Address::Tcp(address) => TcpListener::bind(address).expect("a port").into(),
            Address::Unix(path) => UnixListener::bind(path).expect("a socket").into(),
        }];
    }
    passed(worker)
}

fn passed(worker: &Worker) -> Vec<OwnedFd> {
    let own = |name: &str| env::var(name).ok();
    let Some(count) = own("LISTEN_FDS").and_then(|count| count.parse::<i32>().ok()) else {
        return vec![];
    };
    let pid = own("LISTEN_PID");
    if pid.as_deref() != Some(process::id().to_string().as_str()) {
        println!("worker refuses LISTEN_FDS: LISTEN_PID is {pid:?} {}", worker.who);
        return vec![];
    }
    let names = own("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut listeners = vec![];
    for number in 3..3 + count {
        // SAFETY: LISTEN_PID says that the descriptor was passed to us, and we take it once.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        if names.next() == Some("state") {
            trouble::restore(worker, fd);
        } else if sockopt::socket_acceptconn(&fd).unwrap_or(false) {
            let flags = rustix::fs::fcntl_getfl(&fd).expect("flags");
            rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK).expect("flags");
            listeners.push(fd);
        }
    }
    listeners
}

/// Accepts until the drain begins, then waits for every connection to end.
///
/// The sockets stay open meanwhile: closing one, or shutting it down, would throw away what waits
/// in a queue that others share.
pub(crate) fn until_drained(worker: &Arc<Worker>, listeners: &[OwnedFd]) {
    while worker.drained_for().is_none() {
        let mut watched = vec![PollFd::new(&worker.wake, PollFlags::IN)];
        watched.extend(listeners.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (listener, ready) in listeners.iter().zip(ready.into_iter().skip(1)) {
            if ready && worker.drained_for().is_none() {
                take(worker, listener);
            }
        }
    }
    while worker.busy.load(Ordering::Acquire) > 0 {
        thread::sleep(Duration::from_millis(5));
    }
}

fn take(worker: &Arc<Worker>, listener: &OwnedFd) {
    let socket = match accept_with(listener, SocketFlags::CLOEXEC) {
        Ok(socket) => socket,
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return,
        Err(error) => return println!("worker accept: {error} {}", worker.who),
    };
    let stream = Arc::new(Mutex::new(Some(Stream::from_socket(socket))));
    let job = {
        let (worker, stream) = (Arc::clone(worker), Arc::clone(&stream));
        move || serve(&worker, &stream, true)
    };
    worker.busy.fetch_add(1, Ordering::AcqRel);
    if thread::Builder::new().stack_size(128 * 1024).spawn(job).is_err() {
        // No room for a thread: the others wait until one request of this connection is served.
        serve(worker, &stream, false);
    }
}

fn serve(worker: &Worker, stream: &Mutex<Option<Stream>>, keep: bool) {
    if let Some(stream) = stream.lock().expect("a stream").take() {
        // A client that goes away is its own affair.
        let _ = converse(worker, stream, keep);
    }
    worker.busy.fetch_sub(1, Ordering::AcqRel);
}

fn converse(worker: &Worker, mut stream: Stream, keep: bool) -> io::Result<()> {
    stream.set_timeout(Duration::from_mins(1))?;
    let mut reader = Reader::default();
    while wait_for_request(worker, &stream, reader.left_over() > 0) {
        let Ok(head) = reader.head(&mut stream) else { return Ok(()) };
        let reply = pages::reply(worker, &head);
        let close = !keep || head.closes() || worker.drained_for().is_some();
        let bytes = tools::http::answer(reply.status, &reply.body, close);
        io::Write::write_all(&mut stream, &bytes)?;
        if let Some(afterwards) = reply.afterwards {
            afterwards();
        }
        if close {
            break;
        }
    }
    Ok(())
}

/// Waits for the next request; `false` where the connection has idled for too long while draining.
///
/// A draining worker leaves idle connections to their clients for a while and answers their next
/// request with `Connection: close`: cutting at once would meet requests that are on their way.
fn wait_for_request(worker: &Worker, stream: &Stream, at_hand: bool) -> bool {
    let linger = worker.knobs.millis("linger").unwrap_or(Duration::from_secs(2));
    let began = Instant::now();
    loop {
        let mut watched = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)];
        let tick = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        if at_hand || poll(&mut watched, Some(&tick)).is_ok_and(|ready| ready > 0) {
            return true;
        }
        let drained = worker.drained_for().map(|so_long| so_long.min(began.elapsed()));
        if drained.is_some_and(|so_long| so_long >= linger) {
            return false;
        }
    }
}
