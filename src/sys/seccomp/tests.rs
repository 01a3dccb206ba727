//! Tests of the notification with a child process below the filter.

use std::{net::TcpListener, os::fd::AsFd, time::Duration};

use nix::unistd::ForkResult;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::*;
use crate::sys::{
    Pid, panic,
    poll::{Interest, Poll},
};

/// Forks a child that runs `body` below the filter, and exits with what that returns.
fn below(body: fn() -> i32) -> (Listener, Pid) {
    let program = Program::new(false, false);
    let (ours, theirs) = pair().unwrap();
    // SAFETY: a test's child; other threads of the test may hold locks, which `body` must not need.
    let child = match unsafe { nix::unistd::fork() }.unwrap() {
        ForkResult::Parent { child } => Pid::new(child.as_raw()).unwrap(),
        ForkResult::Child => {
            rustix::thread::set_no_new_privs(true).unwrap();
            let (listener, _) = install(&program).unwrap();
            pass(theirs.as_fd(), listener.as_fd()).unwrap();
            drop((listener, ours, theirs));
            panic::leave(body())
        }
    };
    drop(theirs);
    let mut polled = [PollFd::new(&ours, PollFlags::IN)];
    poll(&mut polled, None).unwrap();
    let listener = take_listener(ours.as_fd()).unwrap().unwrap();
    (Listener::new(listener).unwrap(), child)
}

fn next(listener: &mut Listener) -> Call {
    let mut poll = Poll::new().unwrap();
    poll.add(&*listener, 0, Interest::Read).unwrap();
    for _ in 0..100 {
        poll.wait(Some(Duration::from_millis(100))).unwrap();
        if let Heard::Call(call) = listener.receive().unwrap() {
            return call;
        }
    }
    panic!("no call came");
}

fn end(child: Pid) -> Option<u8> {
    let pid = rustix::process::Pid::from_raw(child.get());
    let options = rustix::process::WaitOptions::empty();
    let (_, status) = rustix::process::waitpid(pid, options).unwrap().unwrap();
    crate::sys::reap::ExitStatus::from_raw(status.as_raw()).code()
}

fn socket() -> OwnedFd {
    net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
}

#[test]
fn a_server_is_born_with_our_socket_and_listens_on_it() {
    let (mut listener, child) = below(|| {
        let Ok(server) = TcpListener::bind("127.0.0.1:0") else { return 1 };
        i32::from(!sockopt::socket_reuseport(&server).unwrap_or_default())
    });
    let call = next(&mut listener);
    let Asked::Socket(wanted) = call.asked() else { panic!("{call:?}") };
    assert!(!wanted.is_v6 && wanted.is_cloexec);
    let ours = socket();
    let number = listener.give(call.id, ours.as_fd(), wanted.is_cloexec).unwrap();
    let call = next(&mut listener);
    assert_eq!(call.asked(), Asked::Bind(number));
    sockopt::set_socket_reuseport(&ours, true).unwrap();
    listener.reply(call.id, Reply::Continue).unwrap();
    let call = next(&mut listener);
    assert!(matches!(call.asked(), Asked::Listen(fd, _) if fd == number));
    net::listen(&ours, 100).unwrap();
    listener.reply(call.id, Reply::Done).unwrap();
    assert_eq!(end(child), Some(0));
    assert!(sockopt::socket_acceptconn(&ours).unwrap());
    assert_eq!(listener.receive(), Ok(Heard::End), "nobody is left, and we do not wait");
}

#[test]
fn a_socket_is_put_in_the_place_of_another() {
    let (mut listener, child) = below(|| {
        let Ok(server) = net::socket(AddressFamily::INET, SocketType::STREAM, None) else {
            return 1;
        };
        if net::listen(&server, 5).is_err() {
            return 2;
        }
        i32::from(!sockopt::socket_reuseport(&server).unwrap_or_default())
    });
    let call = next(&mut listener);
    let number = listener.give(call.id, socket().as_fd(), false).unwrap();
    let call = next(&mut listener);
    let other = socket();
    sockopt::set_socket_reuseport(&other, true).unwrap();
    listener.replace(call.id, other.as_fd(), number, false).unwrap();
    listener.reply(call.id, Reply::Done).unwrap();
    assert_eq!(end(child), Some(0));
}

#[test]
fn a_call_let_go_on_is_asleep_until_its_thread_runs_and_never_again() {
    let (mut listener, child) = below(|| i32::from(socket().as_raw_fd() < 0));
    let call = next(&mut listener);
    listener.reply(call.id, Reply::Continue).unwrap();
    // If it is seen asleep, it wakes up.
    while listener.is_asleep(call.id) {
        std::thread::yield_now();
    }
    assert_eq!(end(child), Some(0));
    assert!(!listener.is_asleep(call.id));
}

#[test]
fn a_call_fails_as_we_say_and_with_enosys_once_nobody_listens() {
    let (mut listener, child) = below(|| {
        let socket = || net::socket(AddressFamily::INET, SocketType::STREAM, None);
        let first = socket().err().map(rustix::io::Errno::raw_os_error);
        let second = socket().err().map(rustix::io::Errno::raw_os_error);
        i32::from((first, second) != (Some(libc::EMFILE), Some(libc::ENOSYS)))
    });
    let call = next(&mut listener);
    listener.reply(call.id, Reply::Failed(Errno(libc::EMFILE))).unwrap();
    drop(listener);
    assert_eq!(end(child), Some(0));
}

#[test]
fn a_call_whose_process_was_killed_needs_no_answer() {
    let (mut listener, child) = below(|| {
        let _ = net::socket(AddressFamily::INET, SocketType::STREAM, None);
        0
    });
    let call = next(&mut listener);
    crate::sys::signals::kill(child, crate::sys::signals::KILL).unwrap();
    end(child);
    assert_eq!(listener.reply(call.id, Reply::Continue), Ok(()));
    assert!(listener.give(call.id, socket().as_fd(), true).is_err());
}

/// Somebody who sends signals until this is dropped.
struct Storm(std::process::Child);

impl Drop for Storm {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What a signal interrupts would be a call that comes back without its socket.
#[test]
fn a_storm_of_signals_takes_no_socket_from_a_worker() {
    crate::sys::testing::alone(
        "sys::seccomp::tests::a_storm_of_signals_takes_no_socket_from_a_worker",
        || {
            const CALLS: usize = 30_000;
            let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            signal_hook::flag::register(signal_hook::consts::SIGUSR1, seen.clone()).unwrap();
            let (mut listener, child) = below(|| {
                for _ in 0..CALLS {
                    // Number 0 is taken, so that it can't be a new socket's.
                    match net::socket(AddressFamily::INET, SocketType::STREAM, None) {
                        Ok(socket) if socket.as_raw_fd() > 2 => {}
                        _ => return 1,
                    }
                }
                0
            });
            let storm = format!("while kill -USR1 {}; do :; done 2>/dev/null", std::process::id());
            let storm = std::process::Command::new("sh").args(["-c", &storm]).spawn().unwrap();
            let storm = Storm(storm);
            while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let ours = socket();
            let mut given = 0;
            loop {
                match listener.receive().unwrap() {
                    Heard::Call(call) => {
                        listener.give(call.id, ours.as_fd(), true).unwrap();
                        given += 1;
                    }
                    Heard::Nothing => std::thread::yield_now(),
                    Heard::End => break,
                }
            }
            drop(storm);
            assert_eq!((end(child), given), (Some(0), CALLS));
        },
    );
}
