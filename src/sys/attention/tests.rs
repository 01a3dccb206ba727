//! Tests of who has a socket and waits on it: real processes, and what the kernel writes of them.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]

use std::{
    net::TcpListener,
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::*;
use crate::sys::{
    host,
    poll::{Interest, Poll},
    testing::alone,
};

/// A shell in a group of its own, whose standard input is a listener, once it runs this.
fn shell(script: &str, listener: &TcpListener) -> Child {
    let input = listener.try_clone().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]).process_group(0).env("LISTEN_PID", "77");
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(input))).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    child
}

fn seen(child: &Child, sockets: &[u64]) -> Vec<Holder> {
    group(Pid::new(child.id().try_into().unwrap()).unwrap(), sockets)
}

/// Until what was started has come to rest.
fn until(child: &Child, socket: u64, is_it: impl Fn(&[Holder]) -> bool) -> Vec<Holder> {
    for _ in 0..6000 {
        let found = seen(child, &[socket]);
        if is_it(&found) {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never: {:?}", seen(child, &[socket]));
}

fn end(mut child: Child) {
    let group = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn who_has_a_socket_and_sleeps_waits_for_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = |listener: &TcpListener| host::inode(listener.as_fd()).unwrap();
    let child = shell("echo up; sleep 1000; true", &listener);
    let is_it = |found: &[Holder]| found.iter().any(|one| one.name == "sleep");
    let found = until(&child, inode(&listener), |found| {
        is_it(found) && found.iter().all(|one| one.attention == [Attention::Elsewhere])
    });
    let [shell, sleep] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((shell.name.as_str(), sleep.parent), ("sh", Some(shell.pid)));
    assert_eq!(sleep.listen_pid, Pid::new(77));
    let absent = seen(&child, &[inode(&other)]);
    assert!(absent.iter().all(|one| one.attention == [Attention::Absent]), "{absent:?}");
    end(child);
}

#[test]
fn who_is_in_a_call_on_a_socket_waits_on_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = host::inode(listener.as_fd()).unwrap();
    let python = "import os, socket; s = socket.socket(fileno=0); os.write(1, b'up\\n'); ";
    for (wait, wanted) in [
        ("s.accept()", Attention::Waits),
        ("import select; p = select.epoll(); p.register(s, 1); p.poll()", Attention::Waits),
        ("import select; p = select.poll(); p.register(s, 1); p.poll()", Attention::Unknown),
        ("import time; time.sleep(1000)", Attention::Elsewhere),
    ] {
        let child = shell(&format!("exec /usr/bin/python3 -c \"{python}{wait}\""), &listener);
        let found = until(&child, socket, |found| {
            found.first().is_some_and(|one| one.attention == [wanted])
        });
        assert_eq!(found.len(), 1, "{wait}");
        end(child);
    }
}

#[test]
fn what_the_kernel_writes_is_understood_and_anything_else_may_be_anything() {
    assert_eq!(call("running\n"), Call::Any);
    assert_eq!(call("-1 0x7ffd 0x7f11\n"), Call::Any);
    let accept = libc::SYS_accept4;
    assert_eq!(call(&format!("{accept} 0x3 0x0 0x7ffd 0x7f11\n")), Call::On(3));
    assert_eq!(call(&format!("{} 0x3 0x0\n", libc::SYS_ppoll)), Call::Any);
    assert_eq!(call(&format!("{} 0x3 0x0\n", libc::SYS_epoll_pwait)), Call::Other);
    for text in ["", "x", &accept.to_string(), &format!("{accept} 3")] {
        assert_eq!(call(text), Call::Any, "{text}");
    }
    let line = "tfd:        5 events:       19 data:                5  pos:0 ino:12af sdev:8";
    assert_eq!(watched(line), Some(0x12af));
    assert_eq!((watched("pos: 0"), watched("tfd: 5 ino:x")), (None, None));
}

#[test]
fn what_a_child_tells_of_a_process_is_what_it_has_seen() {
    let attention = LETTERS.map(|(_, one)| one).to_vec();
    let name = "a b\n) 7".to_owned();
    let (pid, parent) = (Pid::own(), Pid::new(7));
    for listen_pid in [None, Pid::new(i32::MAX)] {
        let (name, attention) = (name.clone(), attention.clone());
        let one = Holder { pid, parent, name, listen_pid, attention };
        assert_eq!(Holder::heard(one.told().trim_end_matches('\0')), Some(one));
    }
    for told in ["", "0 1 2 a x", "1 2 3 a", "x 1 2 a x"] {
        assert_eq!(Holder::heard(told), None, "{told}");
    }
}

#[test]
fn a_socket_that_an_epoll_set_waits_for_is_polled_and_others_are_not() {
    alone(
        "sys::attention::tests::a_socket_that_an_epoll_set_waits_for_is_polled_and_others_are_not",
        || {
            let own = Pid::own().number();
            let one = TcpListener::bind("127.0.0.1:0").unwrap();
            let other = TcpListener::bind("127.0.0.1:0").unwrap();
            let poll = Poll::new().unwrap();
            poll.add(&one, 7, Interest::Read).unwrap();
            // On a busy machine an answer may be late.
            let is_polled = |thread, socket: &TcpListener| {
                (0..500).find_map(|_| {
                    let told = is_polled(thread, socket);
                    if told.is_none() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    told
                })
            };
            assert_eq!((is_polled(own, &one), is_polled(own, &other)), (Some(true), Some(false)));
            poll.remove(&one).unwrap();
            assert_eq!(is_polled(own, &one), Some(false));
            // A program may have a set for each CPU, and the right one may come last.
            let sets: Vec<_> = (0..40).map(|_| Poll::new().unwrap()).collect();
            sets.last().unwrap().add(&one, 7, Interest::Read).unwrap();
            assert_eq!((is_polled(own, &one), is_polled(own, &other)), (Some(true), Some(false)));
            assert_eq!(is_polled(0, &one), Some(false));
        },
    );
}

#[test]
fn the_program_of_a_script_is_its_interpreter() {
    let proc = Dir::open_ambient_dir("/proc", cap_std::ambient_authority()).unwrap();
    let mut command = Command::new("/bin/sh");
    let mut child = command.args(["-c", "read x"]).stdin(Stdio::piped()).spawn().unwrap();
    let pid = Pid::new(child.id().try_into().unwrap()).unwrap();
    // Between fork and exec it is still ourselves.
    while program(&proc, pid).is_none_or(|word| word != "/bin/sh") {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(program(&proc, pid), None);
}
