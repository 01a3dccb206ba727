//! Steers new connections of a port to those of its sockets that are live, with a small classic BPF program.
//!
//! A port with `SO_REUSEPORT` has several sockets, here called lanes: lane 0 is the one that listened first (for UDP: was
//! bound first). The kernel runs the program for every new connection, and its answer is a lane. Connections that wait
//! in a lane's queue stay where they are. A UDP port has no connections: the program runs for every datagram, and sends all
//! of one client to one lane, until the live lanes change.
//!
//! An answer beyond the last lane makes the kernel choose by itself, among all lanes: so attach a program without the last
//! lane *before* that lane is closed, and remember that on a close the last lane moves into the hole.

mod table;

use std::{
    error, fmt,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::net::{SocketType, sockopt::socket_type};

use super::Errno;
use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};
pub(crate) use table::{MOST as LONGEST_TABLE, steer_clients};

/// `BPF_MAXINSNS` of `linux/bpf_common.h`.
const LONGEST: usize = 4096;

// Operations of linux/bpf_common.h, put together.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const KEEP: u16 = 0x07; // BPF_MISC | BPF_TAX: X = A
const MIX: u16 = 0xac; // BPF_ALU | BPF_XOR | BPF_X: A ^= X
const MULTIPLY: u16 = 0x24; // BPF_ALU | BPF_MUL | BPF_K
const SHIFT_RIGHT: u16 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MODULO: u16 = 0x94; // BPF_ALU | BPF_MOD | BPF_K
const ADD: u16 = 0x04; // BPF_ALU | BPF_ADD | BPF_K
const SKIP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const SKIP: u16 = 0x05; // BPF_JMP | BPF_JA
const SKIP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x16; // BPF_RET | BPF_A
const RETURN_LANE: u16 = 0x06; // BPF_RET | BPF_K
/// `SKF_AD_OFF` + `SKF_AD_RANDOM` of linux/filter.h: a random number, instead of a word of the packet.
const RANDOM: u32 = 0xffff_f000 + 56;
/// `SKF_NET_OFF` of `linux/filter.h`: counts from the IP header.
const IP: u32 = 0xfff0_0000;

/// Why connections can't be steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SteerError {
    /// No lane is live: the kernel has no program for "nobody".
    NobodyLive,
    /// The live lanes are so scattered that the program has more instructions than the kernel takes.
    TooScattered(usize),
    /// The kernel refused the program.
    Refused(Errno),
}

impl fmt::Display for SteerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyLive => write!(f, "can't steer connections: no lane is live"),
            Self::TooScattered(length) => write!(
                f,
                "can't steer connections: the program has {length} instructions, {LONGEST} are allowed"
            ),
            Self::Refused(errno) => write!(f, "can't steer connections: {errno}"),
        }
    }
}

impl error::Error for SteerError {}

/// Steers new connections of the socket's `SO_REUSEPORT` group to these lanes, each as likely as the others.
///
/// Replaces the program that was there; in between there is no gap.
#[cfg(test)]
pub(crate) fn steer(group: BorrowedFd<'_>, live: &[u32]) -> Result<(), SteerError> {
    steer_all_but(group, live, &[])
}

/// A connection that comes from one port of the client's, and goes to one lane, live or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// The client's port; its address does not count.
    pub(crate) port: u16,
    /// Where it goes.
    pub(crate) lane: u32,
}

/// The same for all connections but those of some guests.
pub(crate) fn steer_all_but(
    group: BorrowedFd<'_>,
    live: &[u32],
    guests: &[Guest],
) -> Result<(), SteerError> {
    let is_datagrams =
        socket_type(group).map_err(|errno| SteerError::Refused(errno.into()))? == SocketType::DGRAM;
    let mut pick = lead(guests);
    pick.extend(if is_datagrams { by_client() } else { at_random() });
    attach(group, program(pick, live)?)
}

fn attach(group: BorrowedFd<'_>, mut program: Vec<libc::sock_filter>) -> Result<(), SteerError> {
    let length = program.len();
    let program = libc::sock_fprog {
        len: u16::try_from(length).map_err(|_| SteerError::TooScattered(length))?,
        filter: program.as_mut_ptr(),
    };
    setsockopt(&group.as_fd(), AttachReusePortCbpf, &program)
        .map_err(|errno| SteerError::Refused(errno.into()))
}

/// Leads each guest to its lane. The client's port follows an IP header without options, which is what our own kernel sends.
fn lead(guests: &[Guest]) -> Vec<libc::sock_filter> {
    if guests.is_empty() {
        return Vec::new();
    }
    let mut steps = vec![
        instruction(LOAD_BYTE, 0, IP),
        instruction(SKIP_IF_AT_LEAST, 2, 0x60),
        instruction(LOAD_HALF, 0, IP + 20),
        instruction(SKIP, 0, 1),
        instruction(LOAD_HALF, 0, IP + 40),
    ];
    for guest in guests {
        steps.push(libc::sock_filter { jf: 1, ..instruction(SKIP_IF_EQUAL, 0, guest.port.into()) });
        steps.push(instruction(RETURN_LANE, 0, guest.lane));
    }
    steps
}

/// Picks a number for each connection.
fn at_random() -> Vec<libc::sock_filter> {
    vec![instruction(LOAD, 0, RANDOM)]
}

/// Picks a number for each client: from the last 32 bits of its address and its port, which follow the IP header. An IPv4
/// header with options has something else there, which is the same for all datagrams of a client, too.
fn by_client() -> Vec<libc::sock_filter> {
    vec![
        instruction(LOAD_BYTE, 0, IP),
        instruction(SKIP_IF_AT_LEAST, 4, 0x60),
        instruction(LOAD, 0, IP + 12),
        instruction(KEEP, 0, 0),
        instruction(LOAD_HALF, 0, IP + 20),
        instruction(SKIP, 0, 3),
        instruction(LOAD, 0, IP + 20),
        instruction(KEEP, 0, 0),
        instruction(LOAD_HALF, 0, IP + 40),
        instruction(MIX, 0, 0),
        // Knuth's multiplicative hash: the upper half depends on every bit.
        instruction(MULTIPLY, 0, 0x9e37_79b1),
        instruction(SHIFT_RIGHT, 0, 16),
    ]
}

/// The program: the picked number is a rank among the live lanes; then the lane of that rank.
///
/// Lanes next to each other form a run, in which a lane is its rank plus a constant: three instructions a run, however many
/// lanes it has. A thousand lanes have five hundred runs at worst.
fn program(
    pick: Vec<libc::sock_filter>,
    live: &[u32],
) -> Result<Vec<libc::sock_filter>, SteerError> {
    let mut live = live.to_vec();
    live.sort_unstable();
    live.dedup();
    let count = u32::try_from(live.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(SteerError::NobodyLive);
    }
    let mut program = pick;
    program.push(instruction(MODULO, 0, count));
    let mut rank = 0u32;
    for run in live.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let first = run.first().copied().unwrap_or_default();
        // The lanes before the run are at least as many as the ranks before it.
        let offset = first.saturating_sub(rank);
        rank = rank.saturating_add(u32::try_from(run.len()).unwrap_or(u32::MAX));
        if rank < count {
            program.push(instruction(SKIP_IF_AT_LEAST, 2, rank));
        }
        program.push(instruction(ADD, 0, offset));
        program.push(instruction(RETURN, 0, 0));
    }
    if program.len() > LONGEST { Err(SteerError::TooScattered(program.len())) } else { Ok(program) }
}

fn instruction(code: u16, skip: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: skip, jf: 0, k }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

    use std::{
        collections::BTreeMap,
        net::{TcpStream, UdpSocket},
        os::fd::OwnedFd,
    };

    use super::super::sockets::{self, Address, Options};
    use super::*;

    /// What the kernel would answer for this random number.
    fn run(program: &[libc::sock_filter], random: u32) -> u32 {
        let (mut at, mut a) = (0, 0);
        for _ in 0..=program.len() {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => a = random,
                MODULO => a %= step.k,
                ADD => a += step.k,
                SKIP_IF_AT_LEAST => at += usize::from(if a >= step.k { step.jt } else { step.jf }),
                RETURN => return a,
                other => panic!("operation {other}"),
            }
        }
        panic!("the program does not end");
    }

    /// How often each lane is chosen, with every rank once.
    fn chosen(live: &[u32]) -> BTreeMap<u32, u32> {
        let program = program(at_random(), live).unwrap();
        let mut chosen = BTreeMap::new();
        for random in 0..u32::try_from(live.len()).unwrap() {
            *chosen.entry(run(&program, random)).or_default() += 1;
        }
        chosen
    }

    #[test]
    fn every_live_lane_is_as_likely_as_the_others_and_no_other_is_chosen() {
        let scattered: Vec<u32> = (0..1000).step_by(2).collect();
        let cases = [
            vec![0],
            vec![7],
            vec![0, 1, 2],
            vec![3, 4, 9],
            vec![9, 0, 5, 4],
            scattered,
            (0..1000).collect(),
        ];
        for live in cases {
            let expected: BTreeMap<u32, u32> = live.iter().map(|&lane| (lane, 1)).collect();
            assert_eq!(chosen(&live), expected);
        }
    }

    #[test]
    fn a_lane_named_twice_counts_once() {
        assert_eq!(
            program(at_random(), &[4, 4, 4]).unwrap().len(),
            program(at_random(), &[4]).unwrap().len()
        );
    }

    #[test]
    fn nobody_live_and_lanes_too_scattered_are_refused() {
        assert_eq!(program(at_random(), &[]), Err(SteerError::NobodyLive));
        let scattered: Vec<u32> = (0..4000).step_by(2).collect();
        assert!(matches!(program(at_random(), &scattered), Err(SteerError::TooScattered(_))));
    }

    fn lanes(count: usize) -> (Vec<OwnedFd>, u16) {
        let at = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let lanes = sockets::lanes(&at, &Options::default(), count).unwrap();
        let Address::Tcp(at) = sockets::local_address(lanes[0].as_fd()).unwrap() else { panic!() };
        (lanes, at.port())
    }

    fn waiting(lanes: &[OwnedFd]) -> Vec<u32> {
        lanes.iter().map(|lane| sockets::accept_queue(lane.as_fd()).unwrap().length).collect()
    }

    fn connect(port: u16, count: usize) -> Vec<TcpStream> {
        (0..count).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect()
    }

    #[test]
    fn the_kernel_takes_the_longest_program_of_a_thousand_lanes() {
        let (lanes, _) = lanes(1);
        let scattered: Vec<u32> = (0..1000).step_by(2).collect();
        steer(lanes[0].as_fd(), &scattered).unwrap();
    }

    #[test]
    fn connections_go_to_live_lanes_only_and_to_all_of_them() {
        let (lanes, port) = lanes(4);
        steer(lanes[0].as_fd(), &[1, 3]).unwrap();
        let _clients = connect(port, 200);
        let waiting = waiting(&lanes);
        assert_eq!((waiting[0], waiting[2]), (0, 0));
        assert_eq!(waiting[1] + waiting[3], 200);
        assert!(waiting[1].abs_diff(waiting[3]) < 80, "{waiting:?}");
    }

    #[test]
    fn a_lane_steered_off_keeps_its_queue_and_gets_nothing_new() {
        let (lanes, port) = lanes(2);
        steer(lanes[0].as_fd(), &[0]).unwrap();
        let _early = connect(port, 5);
        steer(lanes[1].as_fd(), &[1]).unwrap();
        let _late = connect(port, 20);
        assert_eq!(waiting(&lanes), [5, 20]);
        for _ in 0..5 {
            rustix::net::accept(&lanes[0]).unwrap();
        }
        assert_eq!(rustix::net::accept(&lanes[0]).unwrap_err(), rustix::io::Errno::AGAIN);
    }

    #[test]
    fn an_answer_beyond_the_last_lane_lets_the_kernel_choose_among_all() {
        let (lanes, port) = lanes(3);
        steer(lanes[0].as_fd(), &[7]).unwrap();
        let _clients = connect(port, 300);
        let waiting = waiting(&lanes);
        assert_eq!(waiting.iter().sum::<u32>(), 300);
        assert!(waiting.iter().all(|&length| length > 30), "{waiting:?}");
    }

    #[test]
    fn the_last_lane_moves_into_the_hole_that_a_closed_one_leaves() {
        let (mut lanes, port) = lanes(3);
        drop(lanes.remove(0));
        steer(lanes[0].as_fd(), &[0]).unwrap();
        let _clients = connect(port, 20);
        assert_eq!(waiting(&lanes), [0, 20]);
    }

    #[test]
    fn a_new_lane_gets_nothing_until_it_is_steered_in() {
        let (lanes, port) = lanes(2);
        steer(lanes[0].as_fd(), &[0, 1]).unwrap();
        let options = Options { reuse_port: true, ..Options::default() };
        let at = Address::Tcp(format!("127.0.0.1:{port}").parse().unwrap());
        let new = sockets::listen(&at, &options).unwrap();
        let _clients = connect(port, 100);
        assert_eq!(waiting(&[new])[0], 0);
        assert_eq!(waiting(&lanes).iter().sum::<u32>(), 100);
    }

    #[test]
    fn a_guest_goes_to_its_lane_though_nobody_else_does_and_others_do_not_follow() {
        for host in ["127.0.0.1", "[::1]"] {
            let at = Address::Tcp(format!("{host}:0").parse().unwrap());
            let lanes = sockets::lanes(&at, &Options::default(), 3).unwrap();
            let Address::Tcp(at) = sockets::local_address(lanes[0].as_fd()).unwrap() else {
                panic!()
            };
            let legs: Vec<_> =
                (0..2).map(|_| super::super::relay::bind(at.ip()).unwrap()).collect();
            let guests = [Guest { port: legs[0].1, lane: 2 }, Guest { port: legs[1].1, lane: 1 }];
            steer_all_but(lanes[0].as_fd(), &[0], &guests).unwrap();
            let _others: Vec<_> = (0..20).map(|_| TcpStream::connect(at).unwrap()).collect();
            for (leg, _) in &legs {
                sockets::set_nonblocking(leg.as_fd(), false).unwrap();
                rustix::net::connect(leg, &at).unwrap();
            }
            assert_eq!(waiting(&lanes), [20, 1, 1], "{host}");
        }
    }

    fn datagrams(lane: &OwnedFd) -> usize {
        let taken = || rustix::net::recv(lane, &mut [0u8; 8], rustix::net::RecvFlags::empty());
        std::iter::from_fn(|| taken().ok()).count()
    }

    #[test]
    fn all_datagrams_of_a_client_go_to_one_lane_and_clients_to_all_live_ones() {
        for (at, from) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"), ("[::]", "127.0.0.1")] {
            let at = Address::Udp(format!("{at}:0").parse().unwrap());
            let lanes = sockets::lanes(&at, &Options::default(), 4).unwrap();
            steer(lanes[0].as_fd(), &[0, 2, 3]).unwrap();
            let Address::Udp(at) = sockets::local_address(lanes[0].as_fd()).unwrap() else {
                panic!()
            };
            let mut clients = [0; 4];
            for _ in 0..120 {
                let client = UdpSocket::bind(format!("{from}:0")).unwrap();
                for _ in 0..3 {
                    client.send_to(b"x", format!("{from}:{}", at.port())).unwrap();
                }
                let counts: Vec<usize> = lanes.iter().map(datagrams).collect();
                let lane = counts.iter().position(|&count| count == 3).unwrap();
                clients[lane] += 1;
            }
            assert_eq!(clients[1], 0);
            assert!([0, 2, 3].iter().all(|&lane| clients[lane] > 10), "{clients:?}");
        }
    }
}
