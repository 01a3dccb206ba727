//! Socket options that rustix does not name, by nix's macros, so that none of them needs unsafe code of ours.

use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// The first 32 bytes of `struct tcp_info`, as every kernel knows them.
    TcpInfoHead,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u32; 8]
);

sockopt_impl!(
    /// Whether a socket hears groups that others on the machine joined. Means nothing to TCP.
    IpMulticastAll,
    Both,
    libc::IPPROTO_IP,
    libc::IP_MULTICAST_ALL,
    bool
);
