//! The numbers of the calls that we answer, for each architecture, and what a call asks for.

use super::Call;

/// How one architecture numbers them.
#[derive(Debug)]
pub(crate) struct Abi {
    /// `AUDIT_ARCH_…` of linux/audit.h.
    pub(super) architecture: u32,
    pub(super) socket: u32,
    pub(super) bind: u32,
    pub(super) listen: u32,
    pub(super) shutdown: u32,
    /// The one call that stood for all three.
    pub(super) socketcall: Option<u32>,
}

impl Abi {
    /// `x86_64` and its 32-bit programs, aarch64 and its.
    pub(super) const ALL: &[Self] = &[
        Self {
            architecture: 0xc000_003e,
            socket: 41,
            bind: 49,
            listen: 50,
            shutdown: 48,
            socketcall: None,
        },
        Self {
            architecture: 0x4000_0003,
            socket: 359,
            bind: 361,
            listen: 363,
            shutdown: 373,
            socketcall: Some(102),
        },
        Self {
            architecture: 0xc000_00b7,
            socket: 198,
            bind: 200,
            listen: 201,
            shutdown: 210,
            socketcall: None,
        },
        Self {
            architecture: 0x4000_0028,
            socket: 281,
            bind: 282,
            listen: 284,
            shutdown: 293,
            socketcall: None,
        },
    ];

    // linux/socket.h, linux/net.h and linux/in.h.
    pub(super) const INET: u32 = 2;
    pub(super) const INET6: u32 = 10;
    pub(super) const STREAM: u32 = 1;
    pub(super) const DATAGRAM: u32 = 2;
    /// `SOCK_NONBLOCK`, and on these architectures `SOCK_CLOEXEC`, are above it.
    pub(super) const KIND_MASK: u32 = 0xf;
    pub(super) const TCP: u32 = 6;
    pub(super) const UDP: u32 = 17;
    pub(super) const MPTCP: u32 = 262;
    /// `SHUT_WR` of sys/socket.h, which does nothing to a listener.
    pub(super) const SHUT_WR: u32 = 1;
    /// `SYS_LISTEN`, the first argument of socketcall(2).
    pub(super) const SOCKETCALL_LISTEN: u32 = 4;
}

/// A socket as somebody wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four things, each so or not by itself")]
pub(crate) struct Wanted {
    /// IPv6, else IPv4.
    pub(crate) is_v6: bool,
    /// UDP, else TCP.
    pub(crate) is_datagrams: bool,
    /// `SOCK_NONBLOCK`.
    pub(crate) is_nonblocking: bool,
    /// `SOCK_CLOEXEC`.
    pub(crate) is_cloexec: bool,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A socket; MPTCP counts as TCP.
    Socket(Wanted),
    /// To give this descriptor an address.
    Bind(i32),
    /// To listen on this descriptor, with so long a queue.
    Listen(i32, i32),
    /// To shut this descriptor down, not for writing alone.
    Shutdown(i32),
    /// To listen on a descriptor that we are not told.
    ListenUnseen,
    /// Something that should not have come to us.
    Other,
}

impl Call {
    /// What it asks for.
    pub(crate) fn asked(&self) -> Asked {
        let Some(abi) = Abi::ALL.iter().find(|abi| abi.architecture == self.architecture) else {
            return Asked::Other;
        };
        let [first, second, ..] = self.arguments.map(lower);
        let number = self.number.cast_unsigned();
        if number == abi.socket {
            let flags = second.cast_signed();
            return Asked::Socket(Wanted {
                is_v6: first == Abi::INET6,
                is_datagrams: second & Abi::KIND_MASK == Abi::DATAGRAM,
                is_nonblocking: flags & libc::SOCK_NONBLOCK != 0,
                is_cloexec: flags & libc::SOCK_CLOEXEC != 0,
            });
        }
        if number == abi.bind {
            return Asked::Bind(first.cast_signed());
        }
        if number == abi.listen {
            return Asked::Listen(first.cast_signed(), second.cast_signed());
        }
        if number == abi.shutdown {
            return Asked::Shutdown(first.cast_signed());
        }
        if Some(number) == abi.socketcall { Asked::ListenUnseen } else { Asked::Other }
    }
}

/// The calls take ints: the upper half of the register is nobody's.
fn lower(argument: u64) -> u32 {
    let [.., a, b, c, d] = argument.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(architecture: u32, number: i32, first: u64, second: u64) -> Asked {
        let arguments = [first, second, 0, 0, 0, 0];
        Call { id: 1, thread: 2, architecture, number, arguments }.asked()
    }

    #[test]
    fn a_call_is_understood_by_its_architecture() {
        for (architecture, socket, bind, listen, shutdown) in [
            (0xc000_003e, 41, 49, 50, 48),
            (0x4000_0003, 359, 361, 363, 373),
            (0xc000_00b7, 198, 200, 201, 210),
        ] {
            let wanted = Wanted {
                is_v6: true,
                is_datagrams: false,
                is_nonblocking: false,
                is_cloexec: true,
            };
            assert_eq!(call(architecture, socket, 10, 0o2_000_001), Asked::Socket(wanted));
            assert_eq!(call(architecture, bind, 7, 0), Asked::Bind(7));
            assert_eq!(call(architecture, listen, 7, 128), Asked::Listen(7, 128));
            assert_eq!(call(architecture, shutdown, 7, 2), Asked::Shutdown(7));
        }
        assert_eq!(call(0x4000_0003, 102, 4, 0), Asked::ListenUnseen);
        assert_eq!(call(0xc000_003e, 1, 4, 0), Asked::Other);
        assert_eq!(call(0xdead_beef, 41, 2, 1), Asked::Other);
    }

    #[test]
    fn only_the_lower_half_of_a_register_counts() {
        let dirty = |value: u64| value | 0xffff_ffff_0000_0000;
        assert_eq!(call(0xc000_003e, 50, dirty(3), dirty(0xffff_ffff)), Asked::Listen(3, -1));
    }
}
