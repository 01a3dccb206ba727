//! A worker whose files in /proc hang for who reads them: the master goes on.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::harness::Master;

/// A server that lets the kernel write an epoll set's events to memory that is never filled, so that the
/// set stays locked. It ends by itself, or a master that hangs on it would never be rid of.
const SERVER: &str = r#"exec /usr/bin/python3 -c '
import ctypes, fcntl, mmap, os, platform, select, signal, socket, struct, threading
signal.alarm(50)
libc = ctypes.CDLL(None, use_errno=True)
call = {"x86_64": 323, "aarch64": 282}[platform.machine()]
faults = libc.syscall(call, os.O_CLOEXEC)
if faults < 0: raise SystemExit("userfaultfd: " + os.strerror(ctypes.get_errno()))
memory = mmap.mmap(-1, 4096)
place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
fcntl.ioctl(faults, 0xc018aa3f, struct.pack("QQQ", 0xaa, 0, 0))
fcntl.ioctl(faults, 0xc020aa00, struct.pack("QQQQ", place, 4096, 1, 0))
events = select.epoll()
read, write = os.pipe()
os.write(write, b"x")
events.register(read, select.EPOLLIN)
wait = lambda: libc.epoll_wait(events.fileno(), ctypes.c_void_p(place), 1, -1)
threading.Thread(target=wait, daemon=True).start()
# Somebody needs the memory, and gets none.
os.read(faults, 32)
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server = socket.socket(fileno=3)
while True:
    client, _ = server.accept()
    client.sendall(client.recv(100))
    client.close()
'"#;

const SETTINGS: [(&str, &str); 3] =
    [("LISTEN", "http=127.0.0.1:0"), ("READY", "notify"), ("KILL_TIMEOUT", "1s")];

/// Answers sooner than any hang would, or not at all.
fn in_time(mut verb: Child) -> Duration {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if let Some(status) = verb.try_wait().unwrap() {
            assert_eq!(status.signal(), None);
            return begin.elapsed();
        }
        sleep(Duration::from_millis(5));
    }
    verb.kill().unwrap();
    verb.wait().unwrap();
    panic!("no answer: the master hangs");
}

/// Somebody who hangs on what such a worker has in /proc.
fn hangs(pid: u64) -> Child {
    let mut read = Command::new("sh");
    let read = read.args(["-c", &format!("exec cat /proc/{pid}/fdinfo/*")]);
    let mut read = read.stdout(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(500));
    assert_eq!(read.try_wait().unwrap(), None, "nothing would be shown");
    read
}

#[test]
fn workers_whose_epoll_sets_hang_for_readers_cost_doctor_a_moment_and_nobody_a_request() {
    let mut master = Master::start_only(SERVER, &SETTINGS);
    let listening: serde_json::Value = serde_json::from_str(&master.until("listening")).unwrap();
    let address = listening["address"].as_str().unwrap().to_owned();
    let ready: serde_json::Value = serde_json::from_str(&master.until("worker ready")).unwrap();
    master.until("every worker ready");
    let mut other = hangs(ready["pid"].as_u64().unwrap());
    // Younger ones are not looked at.
    sleep(Duration::from_secs(3));
    let mut soonest = Duration::MAX;
    for _ in 0..3 {
        let doctor = master.verb(&["doctor"]).stdout(Stdio::null()).spawn().unwrap();
        let status = master.verb(&["status"]).stdout(Stdio::null()).spawn().unwrap();
        soonest = soonest.min(in_time(status));
        in_time(doctor);
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(b"hello\n").unwrap();
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).unwrap();
        assert_eq!(answer, "hello\n");
    }
    assert!(soonest < Duration::from_secs(1), "{soonest:?}");
    in_time(master.verb(&["reload"]).stdout(Stdio::null()).spawn().unwrap());
    let stop = Instant::now();
    assert_eq!(master.stop(), 0);
    assert!(stop.elapsed() < Duration::from_secs(20), "{:?}", stop.elapsed());
    other.wait().unwrap();
}
