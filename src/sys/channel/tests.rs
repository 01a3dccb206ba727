//! What a worker may say, and how much of it.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::{UnixDatagram, UnixStream},
    },
};

use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("channel-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn notify(&self) -> NotifySocket {
        NotifySocket::bind(&self.0.join("notify"), None).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn client(socket: &NotifySocket) -> UnixDatagram {
    let client = UnixDatagram::unbound().unwrap();
    client.connect(socket.path()).unwrap();
    client
}

fn send_fds(client: &UnixDatagram, count: usize) {
    let null = File::open("/dev/null").unwrap();
    let fds = vec![null.as_fd(); count];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
    let bytes = [IoSlice::new(b"FDSTORE=1")];
    net::sendmsg(client, &bytes, &mut ancillary, SendFlags::empty()).unwrap();
}

/// How many descriptors of this process are /dev/null; no other test opens it often.
fn open_nulls() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target == Path::new("/dev/null")).count()
}

#[test]
fn a_datagram_says_who_sent_it() {
    let scratch = Scratch::new("who");
    let socket = scratch.notify();
    assert!(socket.receive(0).unwrap().is_none());
    client(&socket).send(b"READY=1").unwrap();
    let datagram = socket.receive(0).unwrap().unwrap();
    assert_eq!(datagram.bytes, b"READY=1");
    assert_eq!(datagram.pid, Some(Pid::own()));
    assert!(!datagram.truncated && !datagram.too_many_fds && datagram.fds.is_empty());
    assert!(socket.receive(0).unwrap().is_none());
}

#[test]
fn an_overlong_datagram_is_cut_and_told() {
    let scratch = Scratch::new("long");
    let socket = scratch.notify();
    client(&socket).send(&[b'x'; 5000]).unwrap();
    client(&socket).send(b"").unwrap();
    let datagram = socket.receive(0).unwrap().unwrap();
    assert_eq!((datagram.bytes.len(), datagram.truncated), (NotifySocket::LONGEST, true));
    assert_eq!(socket.receive(0).unwrap().unwrap().bytes, b"");
}

#[test]
fn descriptors_come_closed_on_exec() {
    let scratch = Scratch::new("fds");
    let socket = scratch.notify();
    send_fds(&client(&socket), 3);
    let datagram = socket.receive(3).unwrap().unwrap();
    assert_eq!(datagram.fds.len(), 3);
    for fd in &datagram.fds {
        assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn more_descriptors_than_allowed_are_all_closed() {
    let scratch = Scratch::new("many");
    let socket = scratch.notify();
    let sender = client(&socket);
    send_fds(&sender, 253);
    let before = open_nulls();
    let datagram = socket.receive(128).unwrap().unwrap();
    assert!(datagram.too_many_fds && datagram.fds.is_empty());
    assert!(open_nulls() < before + 50, "none of the 253 is left");
    assert_eq!(datagram.pid, Some(Pid::own()));
}

#[test]
fn the_file_is_for_its_user_or_for_all_and_goes_with_the_socket() {
    let scratch = Scratch::new("file");
    let path = scratch.0.join("notify");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    let socket = scratch.notify();
    assert_eq!(mode(), 0o622);
    assert_eq!(NotifySocket::bind(&path, None).unwrap_err(), Errno(libc::EADDRINUSE));
    drop(socket);
    assert!(!path.exists());
    let us = rustix::process::getuid();
    let uid = if us.is_root() { 4321 } else { us.as_raw() };
    let _socket = NotifySocket::bind(&path, Some(uid)).unwrap();
    assert_eq!((mode(), std::fs::metadata(&path).unwrap().uid()), (0o600, uid));
}

#[test]
fn a_message_takes_its_descriptor_along() {
    let (mut ours, theirs) = Channel::pair(1 << 20).unwrap();
    let (keep, pass) = UnixStream::pair().unwrap();
    ours.send(b"take this\n".to_vec(), Some(pass.into())).unwrap();
    assert!(!ours.must_flush());
    let mut bytes = [0; 64];
    let message = receive(theirs.as_fd(), &mut bytes).unwrap().unwrap();
    assert_eq!(&bytes[..message.length], b"take this\n");
    let [fd]: [OwnedFd; 1] = message.fds.try_into().unwrap();
    UnixStream::from(fd).write_all(b"hello").unwrap();
    let mut text = String::new();
    (&keep).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn what_the_worker_does_not_read_is_bounded_and_arrives_whole_once_it_does() {
    let (mut ours, theirs) = Channel::pair(1 << 20).unwrap();
    let mut sent = Vec::new();
    let full = loop {
        let line = vec![b'a' + u8::try_from(sent.len() % 26).unwrap(); 10_007];
        match ours.send(line.clone(), None) {
            Ok(()) => sent.extend(line),
            Err(error) => break error,
        }
        assert!(sent.len() < 16 << 20, "no bound");
    };
    assert!(matches!(full, SendError::Full(queued) if queued > (1 << 20) - 10_007));
    assert!(ours.must_flush());
    let mut theirs = UnixStream::from(theirs);
    let mut got: Vec<u8> = Vec::new();
    let mut chunk = [0; 4096];
    while got.len() < sent.len() {
        ours.flush().unwrap();
        let length = theirs.read(&mut chunk).unwrap();
        got.extend(&chunk[..length]);
    }
    assert!(got == sent && !ours.must_flush());
}

#[test]
fn the_end_and_a_broken_stream_are_told_apart_from_silence() {
    let (mut ours, theirs) = Channel::pair(100).unwrap();
    assert!(matches!(ours.receive(), Ok(Received::Nothing)));
    UnixStream::from(theirs).write_all(b"bye").unwrap();
    assert!(matches!(ours.receive(), Ok(Received::Bytes(bytes, _)) if bytes == b"bye"));
    assert!(matches!(ours.receive(), Ok(Received::End)));
    let broken = ours.send(b"anyone".to_vec(), None);
    assert_eq!(broken, Err(SendError::Broken(Errno(libc::EPIPE))));
}
