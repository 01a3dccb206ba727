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
    /// Whether a port is chosen at connect instead of at bind. Means nothing once a socket listens.
    IpBindAddressNoPort,
    Both,
    libc::IPPROTO_IP,
    libc::IP_BIND_ADDRESS_NO_PORT,
    bool
);

sockopt_impl!(
    /// Whether a socket hears groups that others on the machine joined. Means nothing to TCP.
    IpMulticastAll,
    Both,
    libc::IPPROTO_IP,
    libc::IP_MULTICAST_ALL,
    bool
);

/// `IP_RECVERR_RFC4884` of `linux/in.h`, which libc does not name.
const IP_RECVERR_RFC4884: libc::c_int = 26;

sockopt_impl!(
    /// Whether ICMP errors come with the part that failed. Means nothing to TCP. Linux 5.9.
    IpRecverrRfc4884,
    Both,
    libc::IPPROTO_IP,
    IP_RECVERR_RFC4884,
    bool
);
