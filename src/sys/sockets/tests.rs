//! What the listeners promise.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::{UnixDatagram, UnixListener, UnixStream},
    },
};

use super::*;

fn tcp(text: &str) -> Address {
    Address::Tcp(text.parse().unwrap())
}

fn port_of(fd: &OwnedFd) -> u16 {
    match local_address(fd.as_fd()).unwrap() {
        Address::Tcp(at) | Address::Udp(at) => at.port(),
        other => panic!("{other} has no port"),
    }
}

/// A directory of its own for a test, removed afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockets-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_listener_is_nonblocking_and_closed_on_exec() {
    let fd = listen(&tcp("127.0.0.1:0"), &Options::default()).unwrap();
    assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    assert!(rustix::fs::fcntl_getfl(&fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    set_nonblocking(fd.as_fd(), false).unwrap();
    assert!(!rustix::fs::fcntl_getfl(&fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
}

#[test]
fn the_unspecified_ipv6_address_takes_ipv4_clients_unless_told_not_to() {
    let fd = listen(&tcp("[::]:0"), &Options::default()).unwrap();
    TcpStream::connect(("127.0.0.1", port_of(&fd))).unwrap();
    TcpStream::connect(("::1", port_of(&fd))).unwrap();
    let only =
        listen(&tcp("[::]:0"), &Options { v6only: Some(true), ..Options::default() }).unwrap();
    TcpStream::connect(("::1", port_of(&only))).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port_of(&only))).is_err());
}

#[test]
fn a_port_in_use_is_named_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = listen(&tcp(&format!("127.0.0.1:{port}")), &Options::default()).unwrap_err();
    assert_eq!(error.fault, Fault::InUse);
    let text = error.to_string();
    assert!(text.starts_with(&format!("port {port} on 127.0.0.1 is in use")), "{text}");
}

#[test]
fn a_port_in_use_is_an_error_for_lanes_though_the_kernel_would_let_them_join() {
    let options = Options { reuse_port: true, ..Options::default() };
    let other = listen(&tcp("127.0.0.1:0"), &options).unwrap();
    let at = tcp(&format!("127.0.0.1:{}", port_of(&other)));
    assert!(listen(&at, &options).is_ok());
    assert_eq!(lanes(&at, &options, 2).unwrap_err().fault, Fault::InUse);
}

#[test]
fn lanes_on_port_0_share_one_free_port() {
    for at in [tcp("127.0.0.1:0"), Address::Udp("[::]:0".parse().unwrap())] {
        let lanes = lanes(&at, &Options::default(), 3).unwrap();
        assert_ne!(port_of(&lanes[0]), 0);
        assert!(lanes.iter().all(|lane| port_of(lane) == port_of(&lanes[0])));
    }
}

#[test]
fn an_address_of_no_interface_says_what_would_do() {
    let error = listen(&tcp("192.0.2.1:0"), &Options::default()).unwrap_err();
    assert_eq!(error.fault, Fault::NoSuchAddress);
    assert!(error.to_string().contains("0.0.0.0"));
}

#[test]
fn a_privileged_port_says_which_right_is_missing() {
    let error = SocketError { address: tcp("0.0.0.0:80"), fault: Fault::of_port(Code::ACCESS) };
    assert!(error.to_string().starts_with(
        "port 80 on 0.0.0.0 needs CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start=80"
    ));
}

#[test]
fn a_udp_port_is_bound_and_cannot_be_stolen() {
    let fd = listen(&Address::Udp("127.0.0.1:0".parse().unwrap()), &Options::default()).unwrap();
    let again = Address::Udp(format!("127.0.0.1:{}", port_of(&fd)).parse().unwrap());
    assert_eq!(local_address(fd.as_fd()).unwrap(), again);
    assert_eq!(listen(&again, &Options::default()).unwrap_err().fault, Fault::InUse);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hello", ("127.0.0.1", port_of(&fd))).unwrap();
    let mut server = UdpSocket::from(fd);
    server.set_nonblocking(false).unwrap();
    assert_eq!(server.recv(&mut [0; 16]).unwrap(), 5);
    let _ = &mut server;
}

#[test]
fn the_accept_queue_is_measured() {
    let options = Options { backlog: Some(7), ..Options::default() };
    let fd = listen(&tcp("127.0.0.1:0"), &options).unwrap();
    assert_eq!(accept_queue(fd.as_fd()).unwrap(), AcceptQueue { length: 0, limit: 7 });
    let _one = TcpStream::connect(("127.0.0.1", port_of(&fd))).unwrap();
    let _two = TcpStream::connect(("127.0.0.1", port_of(&fd))).unwrap();
    assert_eq!(accept_queue(fd.as_fd()).unwrap(), AcceptQueue { length: 2, limit: 7 });
    let udp = listen(&Address::Udp("127.0.0.1:0".parse().unwrap()), &Options::default()).unwrap();
    assert!(accept_queue(udp.as_fd()).is_err());
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let scratch = Scratch::new("stale");
    let path = scratch.0.join("app.sock");
    drop(UnixListener::bind(&path).unwrap());
    let fd = listen(&Address::Unix(path.clone()), &Options::default()).unwrap();
    assert_eq!(local_address(fd.as_fd()).unwrap(), Address::Unix(path.clone()));
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_socket_file_on_which_somebody_answers_is_left_alone() {
    let scratch = Scratch::new("answered");
    let path = scratch.0.join("app.sock");
    let other = UnixListener::bind(&path).unwrap();
    let error = listen(&Address::Unix(path.clone()), &Options::default()).unwrap_err();
    assert_eq!(error.fault, Fault::InUse);
    UnixStream::connect(&path).unwrap().write_all(b"hi").unwrap();
    let (_probe, _) = other.accept().unwrap();
    let (mut stream, _) = other.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hi");
}

#[test]
fn a_datagram_socket_in_use_is_left_alone() {
    let scratch = Scratch::new("datagram");
    let path = scratch.0.join("app.sock");
    let _other = UnixDatagram::bind(&path).unwrap();
    let error = listen(&Address::Unix(path), &Options::default()).unwrap_err();
    assert_eq!(error.fault, Fault::InUse);
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let scratch = Scratch::new("file");
    let target = scratch.0.join("precious");
    fs::write(&target, "data").unwrap();
    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    for path in [target.clone(), link.clone(), scratch.0.clone()] {
        let error = listen(&Address::Unix(path), &Options::default()).unwrap_err();
        assert_eq!(error.fault, Fault::NotASocket);
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "data");
}

#[test]
fn owner_and_mode_of_a_socket_file_are_as_asked() {
    let scratch = Scratch::new("mode");
    let path = scratch.0.join("app.sock");
    let (uid, gid) = if rustix::process::getuid().is_root() { (123, 456) } else { return };
    let options =
        Options { mode: Some(0o620), uid: Some(uid), gid: Some(gid), ..Options::default() };
    listen(&Address::Unix(path.clone()), &options).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o620);
    assert_eq!((found.uid(), found.gid()), (uid, gid));
}

#[test]
fn a_path_longer_than_a_socket_address_works() {
    let scratch = Scratch::new("long");
    let directory = scratch.0.join("d".repeat(120));
    fs::create_dir(&directory).unwrap();
    let path = directory.join("app.sock");
    let address = Address::Unix(path.clone());
    let fd = listen(&address, &Options::default()).unwrap();
    assert!(fs::symlink_metadata(&path).is_ok());
    assert_eq!(listen(&address, &Options::default()).unwrap_err().fault, Fault::InUse);
    drop(fd);
    listen(&address, &Options::default()).unwrap();
    let name = Address::Unix(scratch.0.join("n".repeat(120)));
    assert_eq!(listen(&name, &Options::default()).unwrap_err().fault, Fault::TooLong);
}

#[test]
fn a_missing_directory_and_an_empty_path_are_told() {
    let missing = listen(&Address::Unix("/nowhere/app.sock".into()), &Options::default());
    assert_eq!(missing.unwrap_err().fault, Fault::NoDirectory);
    let empty = listen(&Address::Unix(PathBuf::new()), &Options::default());
    assert_eq!(empty.unwrap_err().fault, Fault::NoName);
}

#[test]
fn an_abstract_name_belongs_to_one() {
    let name = Address::Abstract(format!("dutch-{}", std::process::id()).into_bytes());
    let fd = listen(&name, &Options::default()).unwrap();
    assert_eq!(local_address(fd.as_fd()).unwrap(), name);
    assert_eq!(listen(&name, &Options::default()).unwrap_err().fault, Fault::InUse);
    let long = Address::Abstract(vec![b'x'; 108]);
    assert_eq!(listen(&long, &Options::default()).unwrap_err().fault, Fault::TooLong);
}

#[test]
fn who_listens_everywhere_is_near_at_the_loopback_that_every_machine_has() {
    let near = |at: &str, is_v6only| near(at.parse().unwrap(), is_v6only).to_string();
    assert_eq!(near("[::]:80", false), "127.0.0.1:80");
    assert_eq!(near("[::]:80", true), "[::1]:80");
    assert_eq!(near("0.0.0.0:80", false), "127.0.0.1:80");
    assert_eq!(near("[fd00::1]:80", true), "[fd00::1]:80");
}
