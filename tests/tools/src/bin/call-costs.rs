//! What system calls cost this process: one line with the median of each in nanoseconds, then it
//! waits to be stopped, as a worker does.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    thread,
    time::Instant,
};

use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt::set_socket_reuseaddr};

/// Few enough for a supervisor that remembers every port that one worker has listened on.
const SOCKETS: u16 = 200;
const FIRST_PORT: u16 = 20_000;
const BATCHES: usize = 50;
const CALLS: u32 = 20_000;

fn main() -> io::Result<()> {
    // Everything once before it counts.
    cycle(FIRST_PORT)?;
    let untrapped = median((0..BATCHES).map(|_| batch()).collect());
    let cycles: Vec<[u64; 3]> =
        (1..=SOCKETS).map(|number| cycle(FIRST_PORT + number)).collect::<io::Result<_>>()?;
    let [socket, bind, listen] =
        [0, 1, 2].map(|at| median(cycles.iter().map(|costs| costs[at]).collect()));
    println!("costs untrapped={untrapped} socket={socket} bind={bind} listen={listen}");
    loop {
        thread::park();
    }
}

/// A call that no filter asks about, so often that the clock costs nothing.
fn batch() -> u64 {
    let began = Instant::now();
    for _ in 0..CALLS {
        std::hint::black_box(rustix::process::getppid());
    }
    nanoseconds(began) / u64::from(CALLS)
}

/// What a server does once; closing is not counted.
fn cycle(port: u16) -> io::Result<[u64; 3]> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let began = Instant::now();
    let server: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    let socket = nanoseconds(began);
    set_socket_reuseaddr(&server, true)?;
    let began = Instant::now();
    bind(&server, &at)?;
    let bind = nanoseconds(began);
    let began = Instant::now();
    listen(&server, 128)?;
    Ok([socket, bind, nanoseconds(began)])
}

fn nanoseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
