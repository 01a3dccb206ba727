//! Steers the clients of a UDP port by a table: where one entry changes, the clients of the others stay.

use std::os::fd::BorrowedFd;

use super::{MODULO, RETURN_LANE, SKIP_IF_EQUAL, SteerError, attach, by_client, instruction};

/// How many entries a table may have.
pub(crate) const MOST: usize = 1024;

/// Leads each client, by its address and port, to one entry of the table, which is a lane.
pub(crate) fn steer_clients(group: BorrowedFd<'_>, table: &[u32]) -> Result<(), SteerError> {
    let count = u32::try_from(table.len()).unwrap_or(u32::MAX);
    let Some(last) = table.last() else { return Err(SteerError::NobodyLive) };
    let mut program = by_client();
    program.push(instruction(MODULO, 0, count));
    for (entry, lane) in (0..).zip(table) {
        program.push(libc::sock_filter { jf: 1, ..instruction(SKIP_IF_EQUAL, 0, entry) });
        program.push(instruction(RETURN_LANE, 0, *lane));
    }
    program.push(instruction(RETURN_LANE, 0, *last));
    attach(group, program)
}

#[cfg(test)]
mod tests {
    use std::{
        net::UdpSocket,
        os::fd::{AsFd, OwnedFd},
    };

    use super::*;
    use crate::sys::sockets::{self, Address, Options};

    /// Which lane has a datagram, and takes it.
    fn who(lanes: &[OwnedFd]) -> Option<usize> {
        let flags = rustix::net::RecvFlags::DONTWAIT;
        lanes.iter().position(|lane| rustix::net::recv(lane, &mut [0u8; 8], flags).is_ok())
    }

    #[test]
    fn clients_stay_where_they_are_while_the_lane_of_others_is_replaced() {
        let at = Address::Udp("127.0.0.1:0".parse().unwrap());
        let lanes = sockets::lanes(&at, &Options::default(), 4).unwrap();
        let Address::Udp(at) = sockets::local_address(lanes[0].as_fd()).unwrap() else { panic!() };
        let clients: Vec<_> = (0..90).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let found = |table: &[u32]| -> Vec<usize> {
            steer_clients(lanes[0].as_fd(), table).unwrap();
            let ask = |client: &UdpSocket| {
                client.send_to(b"", at).unwrap();
                who(&lanes).unwrap()
            };
            clients.iter().map(ask).collect()
        };
        let before = found(&[0, 1, 2]);
        for lane in 0..3 {
            assert!(before.iter().filter(|it| **it == lane).count() > 10, "{before:?}");
        }
        let after = found(&[0, 3, 2]);
        let moved = before.iter().map(|lane| if *lane == 1 { 3 } else { *lane });
        assert_eq!(after, moved.collect::<Vec<_>>());
    }

    #[test]
    fn the_kernel_takes_the_longest_table() {
        let at = Address::Udp("127.0.0.1:0".parse().unwrap());
        let lanes = sockets::lanes(&at, &Options::default(), 1).unwrap();
        steer_clients(lanes[0].as_fd(), &[0; MOST]).unwrap();
    }
}
