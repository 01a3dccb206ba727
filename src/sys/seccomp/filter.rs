//! Which system calls of a worker come to us: a small classic BPF program.
//!
//! Only those that make a server: `socket` for a TCP stream, or for UDP where that is wanted, `bind`,
//! `listen`; and where workers share a listener, `shutdown`, but for that of a connection's writing
//! end, which is the usual one. For every other call the answer depends on nothing but its number,
//! which the kernel remembers (Linux 5.11), so that it costs nothing. x32 and foreign architectures
//! pass.

use std::fmt;

use super::Abi;

// Operations of linux/bpf_common.h, put together.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// Offsets in `struct seccomp_data` of linux/seccomp.h. Of an argument the lower half counts, as these
// calls take ints; every architecture here has it first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const DOMAIN: u32 = 16;
const KIND: u32 = 24;
const PROTOCOL: u32 = 32;

const ASK: libc::sock_filter = instruction(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF);
const ALLOW: libc::sock_filter = instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Goes on with the next instruction if equal, else skips so many.
const fn unless(k: u32, skip: u8) -> libc::sock_filter {
    instruction(IF_EQUAL, 0, skip, k)
}

/// Skips so many instructions if equal.
const fn when(k: u32, skip: u8) -> libc::sock_filter {
    instruction(IF_EQUAL, skip, 0, k)
}

/// The program. It is the same for every worker.
#[derive(Clone)]
pub(crate) struct Program(pub(super) Vec<libc::sock_filter>);

impl Program {
    /// Puts it together. `is_shared`: a listener that one shuts down would be shut for others.
    pub(crate) fn new(datagrams: bool, is_shared: bool) -> Self {
        Self(program(datagrams, is_shared))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

fn program(datagrams: bool, is_shared: bool) -> Vec<libc::sock_filter> {
    let mut program = vec![instruction(LOAD, 0, 0, ARCHITECTURE)];
    for abi in Abi::ALL {
        let calls = of_abi(abi, datagrams, is_shared);
        program.push(unless(abi.architecture, u8::try_from(calls.len()).unwrap_or(u8::MAX)));
        program.extend(calls);
    }
    program.push(ALLOW);
    program
}

/// What to do with a socket of this kind, where UDP is asked about.
const UDP: &[libc::sock_filter] = &[
    unless(Abi::DATAGRAM, 5),
    instruction(LOAD, 0, 0, PROTOCOL),
    when(0, 1),
    unless(Abi::UDP, 1),
    ASK,
    ALLOW,
];

/// What to do with a call of one architecture.
fn of_abi(abi: &Abi, datagrams: bool, is_shared: bool) -> Vec<libc::sock_filter> {
    let mut program = vec![instruction(LOAD, 0, 0, NUMBER)];
    if let Some(number) = abi.socketcall {
        // Its arguments are in memory, which we do not read: it is only good to know of a listen.
        program.extend([
            unless(number, 4),
            instruction(LOAD, 0, 0, DOMAIN),
            unless(Abi::SOCKETCALL_LISTEN, 1),
            ASK,
            ALLOW,
        ]);
    }
    if is_shared {
        program.extend([
            unless(abi.shutdown, 4),
            instruction(LOAD, 0, 0, KIND),
            when(Abi::SHUT_WR, 1),
            ASK,
            ALLOW,
        ]);
    }
    let udp: &[libc::sock_filter] = if datagrams { UDP } else { &[] };
    let (to_end, to_allow) = if datagrams { (17, 14) } else { (11, 8) };
    program.extend([when(abi.bind, 1), unless(abi.listen, 1), ASK, unless(abi.socket, to_end)]);
    program.extend([
        instruction(LOAD, 0, 0, DOMAIN),
        when(Abi::INET, 1),
        unless(Abi::INET6, to_allow),
        instruction(LOAD, 0, 0, KIND),
        instruction(AND, 0, 0, Abi::KIND_MASK),
    ]);
    program.extend_from_slice(udp);
    program.extend([
        unless(Abi::STREAM, 5),
        instruction(LOAD, 0, 0, PROTOCOL),
        when(0, 2),
        when(Abi::TCP, 1),
        unless(Abi::MPTCP, 1),
        ASK,
        ALLOW,
    ]);
    program
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

    use super::*;

    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;

    /// Whether the kernel would ask us.
    fn asks(architecture: u32, number: u32, arguments: [u32; 3]) -> bool {
        is_asked(&program(false, false), architecture, number, arguments)
    }

    fn is_asked(
        program: &[libc::sock_filter],
        architecture: u32,
        number: u32,
        [domain, kind, protocol]: [u32; 3],
    ) -> bool {
        let (mut at, mut a) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => {
                    a = match step.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        DOMAIN => domain,
                        KIND => kind,
                        PROTOCOL => protocol,
                        other => panic!("offset {other}"),
                    }
                }
                AND => a &= step.k,
                IF_EQUAL => at += usize::from(if a == step.k { step.jt } else { step.jf }),
                RETURN => return step.k == libc::SECCOMP_RET_USER_NOTIF,
                other => panic!("operation {other}"),
            }
        }
    }

    #[test]
    fn tcp_sockets_of_both_families_are_asked_about_whatever_their_flags() {
        let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned();
        for (architecture, number) in [(X86_64, 41), (I386, 359), (0xc000_00b7, 198)] {
            for domain in [2, 10] {
                for protocol in [0, 6, 262] {
                    assert!(asks(architecture, number, [domain, 1, protocol]));
                    assert!(asks(architecture, number, [domain, 1 | flags, protocol]));
                }
            }
        }
    }

    #[test]
    fn udp_sockets_of_both_families_are_asked_about_where_that_is_wanted() {
        let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned();
        let with = program(true, false);
        for (architecture, number) in [(X86_64, 41), (I386, 359), (0xc000_00b7, 198)] {
            for (domain, protocol) in [(2, 0), (2, 17), (10, 0), (10, 17)] {
                let wanted = [domain, 2 | flags, protocol];
                assert!(is_asked(&with, architecture, number, wanted));
                assert!(!asks(architecture, number, wanted));
            }
            assert!(is_asked(&with, architecture, number, [2, 1, 6]));
            for other in [[2, 2, 136], [2, 2, 1], [1, 2, 0], [10, 5, 0], [2, 3, 17], [2, 1, 132]] {
                assert!(!is_asked(&with, architecture, number, other), "{other:?}");
            }
        }
    }

    #[test]
    fn other_sockets_are_none_of_our_business() {
        let others = [[1, 1, 0], [2, 2, 0], [2, 3, 6], [10, 1, 132], [16, 3, 4], [2, 5, 132]];
        for arguments in others {
            assert!(!asks(X86_64, 41, arguments), "{arguments:?}");
            assert!(!asks(I386, 359, arguments), "{arguments:?}");
        }
    }

    #[test]
    fn bind_and_listen_are_asked_about_and_nothing_else() {
        for (architecture, expected) in [
            (X86_64, vec![49, 50]),
            (I386, vec![361, 363]),
            (0xc000_00b7, vec![200, 201]),
            (0x4000_0028, vec![282, 284]),
            (0xc000_00f3, vec![]),
        ] {
            let asked: Vec<u32> =
                (0..1000).filter(|number| asks(architecture, *number, [1, 1, 0])).collect();
            assert_eq!(asked, expected, "{architecture:x}");
        }
    }

    #[test]
    fn where_a_listener_is_shared_its_end_is_asked_about_but_not_that_of_writing() {
        for (architecture, number) in
            [(X86_64, 48), (I386, 373), (0xc000_00b7, 210), (0x4000_0028, 293)]
        {
            let asked = [0, 1, 2]
                .map(|how| is_asked(&program(false, true), architecture, number, [7, how, 0]));
            assert_eq!(asked, [true, false, true], "{architecture:x}");
            let all = (0..1000)
                .filter(|number| is_asked(&program(false, true), architecture, *number, [1, 2, 0]));
            assert_eq!(all.count(), 3, "{architecture:x}");
        }
        assert!(
            is_asked(&program(false, true), X86_64, 41, [2, 1, 0])
                && is_asked(&program(false, true), I386, 102, [4, 1, 0])
        );
    }

    #[test]
    fn of_socketcall_only_listen_is_asked_about() {
        let asked: Vec<u32> = (0..30).filter(|call| asks(I386, 102, [*call, 1, 0])).collect();
        assert_eq!(asked, [4]);
        assert!(!asks(X86_64, 102, [4, 1, 0]), "that is getuid");
    }

    #[test]
    fn x32_passes() {
        for number in [41, 49, 50] {
            assert!(!asks(X86_64, 0x4000_0000 | number, [2, 1, 0]));
        }
    }
}
