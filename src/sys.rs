//! Every system call of the binary: this room does what it is told and decides nothing.

pub(crate) mod cgroup;
pub(crate) mod channel;
pub(crate) mod diag;
pub(crate) mod proc;
pub(crate) mod sockets;
pub(crate) mod steer;
pub(crate) mod terminal;
pub(crate) mod users;
pub(crate) mod watch;
