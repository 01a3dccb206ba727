//! What a worker's script can't do by itself: datagrams, descriptors, serving.

use std::{
    env,
    io::{BufRead, BufReader, Write, pipe},
    net::TcpListener,
    os::{
        fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    thread,
};

use rustix::{
    event::{PollFd, PollFlags},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

fn own(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Does what `DM_TOOL` says.
pub(crate) fn run() {
    let text = own("DM_TEXT");
    match own("DM_TOOL").as_str() {
        "say" => say(&text),
        "outsider" => {
            rustix::process::setsid().unwrap();
            say(&text);
        }
        "nonsense" => nonsense(),
        "store" => store(&text),
        "store-many" => store_many(&text, 130),
        "einhorn" => einhorn(),
        "serve" => serve(),
        "lines" => lines(text.parse().unwrap()),
        // Somebody runs the ignored tests.
        _ => {}
    }
}

/// Says something, and comes back when the master has heard it.
fn say(text: &str) {
    send(text.as_bytes(), &[]);
    hear();
}

fn socket() -> UnixDatagram {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(own("NOTIFY_SOCKET")).unwrap();
    socket
}

fn send(bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)));
    }
    let iov = [std::io::IoSlice::new(bytes)];
    sendmsg(socket(), &iov, &mut ancillary, SendFlags::empty()).unwrap();
}

/// `sd_notify_barrier(3)`: the other end hangs up once the master has read this far.
fn hear() {
    let (reader, writer) = pipe().unwrap();
    send(b"BARRIER=1", &[writer.as_fd()]);
    drop(writer);
    let mut polled = [PollFd::new(&reader, PollFlags::empty())];
    rustix::event::poll(&mut polled, None).unwrap();
}

fn nonsense() {
    for text in
        [&b"nonsense"[..], b"READY", b"WATCHDOG_USEC=-1\nREADY=maybe", b"\0READY=1\0", &[255; 99]]
    {
        send(text, &[]);
    }
    let mut long = b"READY=1\nX_PADDING=".to_vec();
    long.resize(5000, b'x');
    send(&long, &[]);
    hear();
}

fn store(name: &str) {
    // SAFETY: the script that calls us has opened it for us, and nobody else here closes it.
    let fd = unsafe { BorrowedFd::borrow_raw(own("DM_FD").parse().unwrap()) };
    send(format!("FDSTORE=1\nFDNAME={name}").as_bytes(), &[fd]);
    hear();
}

/// So many different ones: the same one again would be no news.
fn store_many(name: &str, times: u32) {
    for _ in 0..times {
        let another = UnixDatagram::unbound().unwrap();
        send(format!("FDSTORE=1\nFDNAME={name}").as_bytes(), &[another.as_fd()]);
    }
    hear();
}

fn einhorn() {
    let mut socket = UnixStream::connect(own("EINHORN_SOCK_PATH")).unwrap();
    socket.write_all(b"{\"command\":\"worker:ack\",\"pid\":1}\n").unwrap();
    // The master closes when it has read.
    let _ = BufReader::new(socket).read_line(&mut String::new());
}

/// Prints numbered lines of 100 bytes, as fast as somebody reads them.
fn lines(count: u32) {
    let mut out = std::io::stdout().lock();
    for number in 0..count {
        let _ = writeln!(out, "{number:099}");
    }
}

/// Serves descriptor 3: a line in, `pid slot generation` out. `hold` waits for one more line,
/// `block` does so while nobody else is accepted;
/// `stopping` says STOPPING=1, accepts nobody more, and stays; `shut` shuts the listener and stays.
/// Whoever asks `who` is answered and may say more.
fn serve() {
    // SAFETY: descriptor 3 is the listener that the master passed, and ours alone.
    let listener = TcpListener::from(unsafe { OwnedFd::from_raw_fd(3) });
    send(b"READY=1", &[]);
    for stream in listener.incoming().flatten() {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let _ = stream.read_line(&mut line);
        if line.trim() == "who" {
            answer(stream.get_mut());
            line.clear();
            let _ = stream.read_line(&mut line);
        }
        match line.trim() {
            "hold" => drop(thread::spawn(move || {
                println!("holding");
                let _ = stream.read_line(&mut line);
                answer(stream.get_mut());
            })),
            "block" => {
                println!("blocked");
                let _ = stream.read_line(&mut line);
                answer(stream.get_mut());
            }
            what @ ("stopping" | "shut") => {
                if what == "shut" {
                    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
                } else {
                    say("STOPPING=1");
                }
                answer(stream.get_mut());
                drop(stream);
                loop {
                    thread::park();
                }
            }
            _ => answer(stream.get_mut()),
        }
    }
}

fn answer(to: &mut impl Write) {
    let (slot, generation) = (own("DUTCH_MASTER_SLOT"), own("DUTCH_MASTER_GENERATION"));
    let _ = writeln!(to, "{} {slot} {generation}", std::process::id());
}
