//! Bytes to values and back, without I/O: every format that a worker or an operator speaks.
//!
//! Nothing in this room reads, writes or asks the time, and nothing a peer can send makes it panic
//! or use more memory than the bound that stands beside each format.

pub mod control;
pub mod einhorn;
pub mod exposition;
pub mod line;
pub mod listen;
pub mod node;
pub mod notify;
pub mod server_starter;
