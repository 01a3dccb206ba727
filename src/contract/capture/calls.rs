//! A worker's calls, one by one: what is done here, and what the kernel does as if we were not there.

use std::os::fd::AsFd;

use dutch_master::WorkerId;

use super::{
    Capture, News, Source,
    held::Held,
    member::Door,
    place::{Lane, let_go},
};
use crate::sys::{
    holds, host,
    poll::Interest,
    seccomp::{Asked, Call, Reply, Wanted},
    sockets::born::{self, Place},
};

impl Capture {
    pub(super) fn answer(&mut self, number: u64, call: &Call) {
        let asked = call.asked();
        if let Asked::Shutdown(fd) = asked {
            return self.on_shutdown(number, call, fd);
        }
        if asked != Asked::Other && !self.shares_network(call) {
            return self.unreachable(number, call);
        }
        match asked {
            Asked::Socket(wanted) if wanted.is_datagrams => {
                self.on_datagram_socket(number, call, wanted);
            }
            Asked::Socket(wanted) => self.on_socket(number, call, wanted),
            Asked::Bind(fd) => self.on_bind(number, call, fd),
            Asked::Listen(fd, backlog) => self.on_listen(number, call, fd, backlog),
            Asked::ListenUnseen => {
                self.unseen(number, call, "it listens by socketcall(2), unseen by us");
            }
            Asked::Shutdown(_) | Asked::Other => self.reply(number, call, Reply::Continue),
        }
    }

    /// A call that is gone needs no reply, and one that can't be answered has no other to give.
    pub(super) fn reply(&mut self, number: u64, call: &Call, reply: Reply) {
        if let Some(Door::Open(door)) = self.members.get_mut(&number).map(|it| &mut it.door) {
            let _ = door.reply(call.id, reply);
        }
    }

    fn on_socket(&mut self, number: u64, call: &Call, wanted: Wanted) {
        let serial = self.next_serial;
        let Some(Door::Open(door)) = self.members.get(&number).map(|member| &member.door) else {
            return;
        };
        let given = born::make(wanted.is_v6, wanted.is_nonblocking).and_then(|socket| {
            Ok((door.give(call.id, socket.as_fd(), wanted.is_cloexec)?, socket))
        });
        // Over its own limit, or ours: the kernel knows what to say.
        let Ok((fd, socket)) = given else { return self.reply(number, call, Reply::Continue) };
        self.next_serial = serial.wrapping_add(1);
        // One that is not watched would keep a connection open that its worker has closed.
        if self.poll.add(&socket, Source::Socket(serial).token(), Interest::Change).is_err() {
            return;
        }
        let Some(member) = self.members.get_mut(&number) else { return };
        member.nursery.add(serial, fd, call.thread, wanted.is_cloexec, socket, &self.poll);
        self.datagrams.forget_number(member.newcomer.worker, fd, call.thread);
        self.forget_number(number, fd);
    }

    fn on_bind(&mut self, number: u64, call: &Call, fd: i32) {
        if self.binds_datagrams(number, call, fd) {
            return;
        }
        if let Some(member) = self.members.get_mut(&number) {
            member.nursery.bind(fd, call.thread, &self.poll);
        }
        // What listens is bound already: the number means another socket by now.
        self.forget_number(number, fd);
        self.reply(number, call, Reply::Continue);
    }

    fn on_listen(&mut self, number: u64, call: &Call, fd: i32, backlog: i32) {
        // Whoever has ended before is out of the kernel's order, in which this one comes last. Calls
        // that are seen here wait at their doors still.
        self.hear_sockets();
        let is_shared = self.is_shared;
        let Some(member) = self.members.get_mut(&number) else { return };
        let worker = member.newcomer.worker;
        let held = member.nursery.take(fd, call.thread);
        let held = self.unless_overwritten(held, fd, call);
        let place = held.as_ref().and_then(|held| born::place(held.socket.as_fd()));
        let Some((held, place)) = self.unless_unbound(held, place) else {
            let same = self.lane_under(worker, call, fd).map(|lane| {
                // Shared with others, it was never shut.
                lane.is_deaf &= !is_shared;
                born::listen(lane.socket.as_fd(), backlog)
            });
            return match same {
                Some(Ok(())) => self.reply(number, call, Reply::Done),
                Some(Err(errno)) => self.reply(number, call, Reply::Failed(errno)),
                None => self.unseen(number, call, "it listens where we do not see it"),
            };
        };
        let reply = self.seat(worker, call, place, held, fd, backlog);
        self.reply(number, call, reply);
    }

    /// The socket of a worker's that listens under a number, unless that means another one since.
    pub(super) fn lane_under(
        &mut self,
        worker: WorkerId,
        call: &Call,
        fd: i32,
    ) -> Option<&mut Lane> {
        let mut lanes = self.groups.iter_mut().flat_map(|group| group.lanes_of(worker));
        lanes.find(|lane| {
            lane.number == Some(fd)
                && holds::has_open(call.thread, fd, lane.socket.as_fd()) != Some(false)
        })
    }

    /// A number may mean another socket since, by dup2(2): that is the worker's affair alone.
    fn unless_overwritten(&self, held: Option<Held>, fd: i32, call: &Call) -> Option<Held> {
        let held = held?;
        if holds::has_open(call.thread, fd, held.socket.as_fd()) == Some(false) {
            let_go(&held.socket, &self.poll);
            return None;
        }
        Some(held)
    }

    fn unless_unbound(&self, held: Option<Held>, place: Option<Place>) -> Option<(Held, Place)> {
        let held = held?;
        if place.is_none() {
            let_go(&held.socket, &self.poll);
        }
        Some((held, place?))
    }

    /// Whether a socket of ours would be of the network that the caller is in, as far as can be known.
    fn shares_network(&self, call: &Call) -> bool {
        call.thread != 0
            && self.network.is_none_or(|own| {
                host::network_of(Some(call.thread)).is_none_or(|network| network == own)
            })
    }

    /// It has gone to a network of its own, which a socket of ours would let it out of.
    fn unreachable(&mut self, number: u64, call: &Call) {
        if matches!(call.asked(), Asked::Listen(..) | Asked::ListenUnseen) {
            return self.unseen(number, call, "it listens in a network of its own, unseen by us");
        }
        self.reply(number, call, Reply::Continue);
    }

    /// A listen that is none of ours: a unix socket's, say, or a port that the kernel chooses.
    fn unseen(&mut self, number: u64, call: &Call, remark: &'static str) {
        if let Some(member) = self.members.get_mut(&number) {
            member.listened = Some(self.now);
            if !std::mem::replace(&mut member.is_unseen, true) {
                self.news.push(News::Remark(member.newcomer.worker, remark));
            }
        }
        self.reply(number, call, Reply::Continue);
    }
}
