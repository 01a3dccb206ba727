//! Sockets that a worker has been given and has not listened on yet.
//!
//! Which of them a call means, only its number says, and numbers are used again: a socket whose
//! number comes back was closed. Processes of one worker may use the same number for different
//! sockets, so that the calling process's own come first. A number that we have not given may be a
//! copy of a socket of ours, or no socket of ours at all: it is one of ours if that has got an
//! address by the same call.

use std::os::fd::{AsFd, OwnedFd};

use super::place::let_go;
use crate::sys::{
    host::{self, Kin},
    poll::Poll,
    sockets::born::{self, State},
};

/// How many are kept for one worker. The oldest goes first, and is then the worker's alone.
const MOST: usize = 64;
/// How many numbers that we have not given are remembered for one worker.
const STRANGERS: usize = 16;

/// One of them.
#[derive(Debug)]
pub(super) struct Held {
    /// Our name for it.
    pub(super) serial: u64,
    /// The worker's name for it.
    pub(super) number: i32,
    /// Who asked for it.
    pub(super) thread: u32,
    /// Whether the worker's descriptor closes on exec.
    pub(super) is_cloexec: bool,
    pub(super) socket: OwnedFd,
    /// Until epoll has told of its first state.
    is_new: bool,
}

/// A number that we have not given, and that was given an address.
#[derive(Debug)]
struct Stranger {
    number: i32,
    thread: u32,
    /// Which of ours had no address before: it may be one of them.
    maybe: Vec<u64>,
}

/// All of one worker's, the oldest first.
#[derive(Debug)]
pub(super) struct Nursery {
    held: Vec<Held>,
    strangers: Vec<Stranger>,
    /// How the second thread stands to the first.
    kin: fn(u32, u32) -> Kin,
}

impl Default for Nursery {
    fn default() -> Self {
        Self { held: Vec::new(), strangers: Vec::new(), kin: host::kin }
    }
}

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
        self.forget_stranger(number, thread);
        if self.held.len() >= MOST {
            let_go(&self.held.remove(0).socket, poll);
        }
        self.held.push(Held { serial, number, thread, is_cloexec, socket, is_new: true });
    }

    /// A worker gives this number an address: it shares its port from now on.
    pub(super) fn bind(&mut self, number: i32, thread: u32, poll: &Poll) {
        self.forget_stranger(number, thread);
        let kin = self.kin;
        // What the number meant before has an address already, so that it means another socket by now.
        self.keep(poll, |held| {
            held.number != number || !held.is_bound() || kin(thread, held.thread) == Kin::Other
        });
        let unbound = || self.held.iter().filter(|held| !held.is_bound());
        let known = unbound()
            .filter(|held| held.number == number && kin(thread, held.thread) != Kin::Other);
        let maybe: Vec<u64> = known.map(share).collect();
        if maybe.is_empty() {
            // A copy, perhaps; whichever of them it is.
            let maybe = unbound().map(share).collect();
            if self.strangers.len() >= STRANGERS {
                self.strangers.remove(0);
            }
            self.strangers.push(Stranger { number, thread, maybe });
        }
    }

    /// A worker listens on this number: takes out which socket that is, if it is one of ours.
    pub(super) fn take(&mut self, number: i32, thread: u32) -> Option<Held> {
        let kin = |other| (self.kin)(thread, other);
        let of_stranger = |it: &&Stranger| it.number == number && kin(it.thread) != Kin::Other;
        let at = if let Some(stranger) = self.strangers.iter().rev().find(of_stranger) {
            let bound = |held: &&Held| stranger.maybe.contains(&held.serial) && held.is_bound();
            let mut found = self.held.iter().filter(bound);
            // One of two would be a guess.
            found.next().filter(|_| found.next().is_none())?.serial
        } else {
            let same = self.held.iter().filter(|held| held.number == number);
            let rank = |held: &&Held| {
                let near = match kin(held.thread) {
                    Kin::Other => 0,
                    Kin::Gone => 1,
                    Kin::Same if held.thread != thread => 2,
                    Kin::Same => 3,
                };
                (held.is_bound(), near)
            };
            // Of equals, the youngest. Another process's without an address is another socket.
            same.max_by_key(rank).filter(|held| rank(held) > (false, 0))?.serial
        };
        let at = self.held.iter().position(|held| held.serial == at)?;
        Some(self.held.remove(at))
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
        self.held.retain_mut(|held| {
            let stays = stays(held);
            if !stays {
                let_go(&held.socket, poll);
            }
            stays
        });
    }

    /// The number means another socket from now on.
    fn forget_stranger(&mut self, number: i32, thread: u32) {
        let kin = self.kin;
        self.strangers.retain(|it| it.number != number || kin(thread, it.thread) == Kin::Other);
    }
}

/// Lets a socket share its port, once it has one. Returns its name.
fn share(held: &Held) -> u64 {
    let _ = born::share(held.socket.as_fd());
    held.serial
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
        // A thread's process is its hundreds; those from 900 on have ended.
        let kin = |of: u32, other: u32| match other {
            900.. => Kin::Gone,
            _ if of / 100 == other / 100 => Kin::Same,
            _ => Kin::Other,
        };
        let mut nursery = Nursery { kin, ..Nursery::default() };
        for &(serial, number, thread) in sockets {
            nursery.add(serial, number, thread, true, born::make(false, false).unwrap(), &poll());
        }
        nursery
    }

    fn poll() -> Poll {
        Poll::new().unwrap()
    }

    fn bind_to_any(nursery: &Nursery, serial: u64) {
        let held = nursery.held.iter().find(|held| held.serial == serial).unwrap();
        bind(&held.socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    }

    fn serial(held: Option<Held>) -> Option<u64> {
        held.map(|held| held.serial)
    }

    #[test]
    fn a_number_means_the_youngest_socket_of_the_thread_then_of_its_process() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 3, 200), (3, 4, 100)]);
        assert_eq!(serial(nursery.take(3, 100)), Some(1));
        assert_eq!(serial(nursery.take(3, 300)), None, "another process's");
        assert_eq!(serial(nursery.take(3, 201)), Some(2));
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
        assert!(socket_reuseport(&nursery.held[0].socket).unwrap());
        bind_to_any(&nursery, 1);
        nursery.bind(3, 100, &poll());
        assert!(nursery.held.is_empty());
    }

    #[test]
    fn a_copy_under_another_number_is_the_only_one_that_got_its_address() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 4, 100), (3, 5, 100)]);
        bind_to_any(&nursery, 3);
        nursery.bind(30, 100, &poll());
        assert!(nursery.held[..2].iter().all(|held| socket_reuseport(&held.socket).unwrap()));
        assert_eq!(serial(nursery.take(30, 100)), None);
        bind_to_any(&nursery, 2);
        assert_eq!(serial(nursery.take(30, 101)), Some(2));
    }

    #[test]
    fn of_two_that_may_be_meant_it_is_neither() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 4, 100)]);
        nursery.bind(30, 100, &poll());
        bind_to_any(&nursery, 1);
        bind_to_any(&nursery, 2);
        assert_eq!(serial(nursery.take(30, 100)), None);
    }

    /// Go's runtime gives two sockets addresses to see what the kernel can, and closes them.
    #[test]
    fn a_number_that_never_was_ours_is_not_taken_for_a_socket_that_was_closed() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 4, 100)]);
        nursery.bind(3, 100, &poll());
        bind_to_any(&nursery, 1);
        nursery.bind(4, 101, &poll());
        bind_to_any(&nursery, 2);
        // The next socket is of a family that does not come to us, and gets the first one's number.
        nursery.bind(3, 102, &poll());
        assert_eq!(serial(nursery.take(3, 102)), None);
        assert_eq!(serial(nursery.take(9, 100)), None, "it has inherited that one");
    }

    #[test]
    fn a_live_socket_is_preferred_to_what_the_same_thread_left_behind() {
        let mut nursery = nursery(&[(1, 3, 100), (2, 3, 101)]);
        nursery.bind(3, 101, &poll());
        bind_to_any(&nursery, 2);
        assert_eq!(
            serial(nursery.take(3, 100)),
            Some(2),
            "the first one was never given an address"
        );
    }

    #[test]
    fn one_process_does_not_disturb_the_numbers_of_another() {
        let mut nursery = nursery(&[(1, 3, 100)]);
        nursery.bind(3, 100, &poll());
        bind_to_any(&nursery, 1);
        nursery.bind(3, 200, &poll());
        assert_eq!(serial(nursery.take(3, 200)), None, "its own 3 is none of ours");
        assert_eq!(serial(nursery.take(3, 100)), Some(1));
    }

    #[test]
    fn a_child_listens_on_what_its_parent_has_made() {
        let mut nursery = nursery(&[(1, 3, 900), (2, 4, 100)]);
        for (serial, number, thread) in [(1, 3, 900), (2, 4, 100)] {
            nursery.bind(number, thread, &poll());
            bind_to_any(&nursery, serial);
        }
        assert_eq!(serial(nursery.take(3, 200)), Some(1));
        assert_eq!(serial(nursery.take(4, 200)), Some(2));
    }

    #[test]
    fn so_many_numbers_are_remembered_and_no_more() {
        let mut nursery = nursery(&[(1, 3, 100)]);
        for number in 1000..1100 {
            nursery.bind(number, 100, &poll());
        }
        assert_eq!(nursery.strangers.len(), STRANGERS);
    }

    #[test]
    fn what_connects_or_fails_is_let_go() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut nursery = nursery(&[(1, 3, 100), (2, 4, 100)]);
        nursery.look_at(1, &poll());
        nursery.look_at(2, &poll());
        assert_eq!(nursery.held.len(), 2, "that was their first state");
        rustix::net::connect(&nursery.held[0].socket, &server.local_addr().unwrap()).unwrap();
        nursery.look_at(1, &poll());
        assert_eq!(nursery.held.len(), 1);
        nursery.look_at(2, &poll());
        assert!(nursery.held.is_empty());
    }

    #[test]
    fn a_worker_has_a_bounded_number() {
        let sockets = (0..200).map(|serial| (serial, 1000, u32::try_from(serial).unwrap()));
        let nursery = nursery(&sockets.collect::<Vec<_>>());
        assert_eq!(nursery.held.len(), MOST);
        assert_eq!(nursery.held.last().unwrap().serial, 199);
    }
}
