//! Sockets that a worker has been given and has not listened on yet.
//!
//! Which of them a call means, only its number says, and numbers are used again: a socket whose
//! number comes back was closed. Processes of one worker may use the same number for different
//! sockets, so that the calling thread's own come first.

use std::os::fd::{AsFd, OwnedFd};

use super::place::let_go;
use crate::sys::{
    poll::Poll,
    sockets::born::{self, State},
};

/// How many are kept for one worker. The oldest goes first, and is then the worker's alone.
const MOST: usize = 64;

/// One of them.
#[derive(Debug)]
pub(super) struct Held {
    /// Our name for it.
    pub(super) serial: u64,
    /// The worker's name for it.
    pub(super) number: i32,
    /// Who asked for it.
    thread: u32,
    /// Whether the worker's descriptor closes on exec.
    pub(super) is_cloexec: bool,
    pub(super) socket: OwnedFd,
    /// Until epoll has told of its first state.
    is_new: bool,
}

/// All of one worker's, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Nursery(Vec<Held>);

impl Nursery {
    /// Takes in a new socket.
    pub(super) fn add(
        &mut self,
        serial: u64,
        number: i32,
        thread: u32,
        is_cloexec: bool,
        socket: OwnedFd,
        poll: &Poll,
    ) {
        self.keep(poll, |held| (held.number, held.thread) != (number, thread));
        if self.0.len() >= MOST {
            let_go(&self.0.remove(0).socket, poll);
        }
        self.0.push(Held { serial, number, thread, is_cloexec, socket, is_new: true });
    }

    /// A worker gives this number an address: it shares its port from now on.
    pub(super) fn bind(&mut self, number: i32, thread: u32, poll: &Poll) {
        match self.find(number, thread) {
            // Bound already: by now the number is another socket's.
            Some(at) if self.0.get(at).is_some_and(Held::is_bound) => {
                let_go(&self.0.remove(at).socket, poll);
            }
            Some(at) => {
                let _ = self.0.get(at).map(|held| born::share(held.socket.as_fd()));
            }
            // A copy, perhaps; whichever of them it is.
            None => {
                for held in self.0.iter().filter(|held| !held.is_bound()) {
                    let _ = born::share(held.socket.as_fd());
                }
            }
        }
    }

    /// A worker listens on this number: takes out which socket that is, if it is one of ours.
    pub(super) fn take(&mut self, number: i32, thread: u32) -> Option<Held> {
        if let Some(at) = self.find(number, thread) {
            return Some(self.0.remove(at));
        }
        // A copy of the only one that is ready for it.
        let mut bound = (0..).zip(&self.0).filter(|(_, held)| held.is_bound());
        let (at, _) = bound.next()?;
        if bound.next().is_some() { None } else { Some(self.0.remove(at)) }
    }

    /// Something has changed on a socket. Lets go of it if it is no server's.
    pub(super) fn look_at(&mut self, serial: u64, poll: &Poll) {
        self.keep(poll, |held| {
            if held.serial != serial {
                return true;
            }
            let was_new = std::mem::replace(&mut held.is_new, false);
            was_new && born::state(held.socket.as_fd()) == Ok(State::Idle)
        });
    }

    /// Lets go of all others.
    fn keep(&mut self, poll: &Poll, mut stays: impl FnMut(&mut Held) -> bool) {
        self.0.retain_mut(|held| {
            let stays = stays(held);
            if !stays {
                let_go(&held.socket, poll);
            }
            stays
        });
    }

    fn find(&self, number: i32, thread: u32) -> Option<usize> {
        let same = || self.0.iter().enumerate().rev().filter(|(_, held)| held.number == number);
        let own = same().find(|(_, held)| held.thread == thread);
        own.or_else(|| same().next()).map(|(at, _)| at)
    }
}

impl Held {
    fn is_bound(&self) -> bool {
        born::place(self.socket.as_fd()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustix::net::{bind, sockopt::socket_reuseport};

    use super::*;

    fn nursery(sockets: &[(u64, i32, u32)]) -> Nursery {
        let mut nursery = Nursery::default();
        for &(serial, number, thread) in sockets {
            nursery.add(serial, number, thread, true, born::make(false, false).unwrap(), &poll());
        }
        nursery
    }

    fn poll() -> Poll {
        Poll::new().unwrap()
    }

    fn bind_to_any(nursery: &Nursery, serial: u64) {
        let held = nursery.0.iter().find(|held| held.serial == serial).unwrap();
        bind(&held.socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    }

    fn serial(held: Option<Held>) -> Option<u64> {
        held.map(|held| held.serial)
    }

    #[test]
    fn a_number_means_the_youngest_socket_of_the_thread_then_of_anybody() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 3, 200), (3, 4, 100)]);
        assert_eq!(serial(nursery.take(3, 100)), Some(1));
        assert_eq!(serial(nursery.take(3, 300)), Some(2));
        assert_eq!(serial(nursery.take(3, 100)), None);
    }

    #[test]
    fn a_number_that_comes_back_was_closed() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 3, 100)]);
        assert_eq!(serial(nursery.take(3, 100)), Some(2));
        assert_eq!(serial(nursery.take(3, 100)), None);
    }

    #[test]
    fn a_bound_socket_that_is_bound_again_is_another_one_by_now() {
        let mut nursery = nursery(&[(1, 3, 100)]);
        nursery.bind(3, 100, &poll());
        assert!(socket_reuseport(&nursery.0[0].socket).unwrap());
        bind_to_any(&nursery, 1);
        nursery.bind(3, 100, &poll());
        assert!(nursery.0.is_empty());
    }

    #[test]
    fn a_copy_under_another_number_is_the_only_bound_one() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 4, 100)]);
        nursery.bind(30, 100, &poll());
        assert!(nursery.0.iter().all(|held| socket_reuseport(&held.socket).unwrap()));
        assert_eq!(serial(nursery.take(30, 100)), None);
        bind_to_any(&nursery, 2);
        assert_eq!(serial(nursery.take(30, 100)), Some(2));
        bind_to_any(&nursery, 1);
        nursery.add(5, 5, 100, true, born::make(false, false).unwrap(), &poll());
        bind_to_any(&nursery, 5);
        assert_eq!(serial(nursery.take(30, 100)), None, "there are two");
    }

    #[test]
    fn what_connects_or_fails_is_let_go() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut nursery = nursery(&[(1, 3, 100), (2, 4, 100)]);
        nursery.look_at(1, &poll());
        nursery.look_at(2, &poll());
        assert_eq!(nursery.0.len(), 2, "that was their first state");
        rustix::net::connect(&nursery.0[0].socket, &server.local_addr().unwrap()).unwrap();
        nursery.look_at(1, &poll());
        assert_eq!(nursery.0.len(), 1);
        nursery.look_at(2, &poll());
        assert!(nursery.0.is_empty());
    }

    #[test]
    fn a_worker_has_a_bounded_number() {
        let sockets = (0..200).map(|serial| (serial, 1000, u32::try_from(serial).unwrap()));
        let nursery = nursery(&sockets.collect::<Vec<_>>());
        assert_eq!(nursery.0.len(), MOST);
        assert_eq!(nursery.0.last().unwrap().serial, 199);
    }
}
