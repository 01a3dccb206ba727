//! The formats: round trips, real messages, refusals, and bounds that hold whatever is sent.

#[path = "wire/einhorn.rs"]
mod einhorn;
#[path = "wire/line.rs"]
mod line;
#[path = "wire/listen.rs"]
mod listen;
#[path = "wire/notify.rs"]
mod notify;
